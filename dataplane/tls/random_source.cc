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

int library_random(void* source, unsigned char* bytes, std::size_t count) {
  const std::span<std::byte> filled(reinterpret_cast<std::byte*>(bytes), count);
  if (source == nullptr)
    system_random(filled);
  else
    (*static_cast<const RandomSource*>(source))(filled);
  return 0;
}

}  // namespace nearfield::tls
