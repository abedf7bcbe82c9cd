// SipHash-2-4: a keyed hash for tables whose keys strangers choose (names from the internet,
// addresses of clients). With a secret key nobody can prepare names that fall into one bucket,
// which std::hash allows. Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012; the test
// holds their reference vectors.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace nearfield {

struct SipHashKey {
  std::uint64_t first = 0;
  std::uint64_t second = 0;

  // A key from the kernel's random source. Blocks only on a machine that has just been switched on.
  static SipHashKey random();
};

std::uint64_t siphash(const SipHashKey& key, std::span<const std::byte> bytes);

inline std::uint64_t siphash(const SipHashKey& key, std::string_view text) {
  return siphash(key, std::as_bytes(std::span(text)));
}

}  // namespace nearfield
