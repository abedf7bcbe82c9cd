#include "dataplane/tls/random_source.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "cache/base/assert.h"

namespace nearfield::tls {

void system_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    // Up to 256 bytes come whole, without interruption by signals (getrandom(2)).
    const ssize_t got = ::getrandom(bytes.data(), std::min<std::size_t>(bytes.size(), 256), 0);
    NEARFIELD_ASSERT(got > 0 || errno == EINTR);
    if (got > 0) bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

}  // namespace nearfield::tls
