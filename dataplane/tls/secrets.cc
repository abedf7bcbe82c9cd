// wipe(), and what wipes itself.
#include "dataplane/tls/secrets.h"

#include <cstring>

namespace nearfield::tls {

// explicit_bzero is the C library's promise that the stores stay.
void wipe(std::span<std::byte> bytes) {
  if (!bytes.empty()) explicit_bzero(bytes.data(), bytes.size());
}

TrafficKeys::~TrafficKeys() {
  wipe(key);
  wipe(iv);
  wipe(secret);
}

}  // namespace nearfield::tls
