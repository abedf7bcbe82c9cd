// What both engines share: the comparison of tags. The time it takes says nothing about where two
// tags differ; otherwise a forger would find the right tag byte by byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

inline bool same_tag(const std::byte* left, const std::byte* right) {
  std::uint64_t a[2];
  std::uint64_t b[2];
  static_assert(sizeof a == kTagBytes);
  std::memcpy(a, left, kTagBytes);
  std::memcpy(b, right, kTagBytes);
  return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

}  // namespace nearfield::tls
