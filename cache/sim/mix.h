// mix64: a bijection of 64-bit numbers that mixes all bits (the finaliser of SplitMix64; Steele,
// Lea, Flood 2014). Distinct identifiers never collide, so the simulator may compare mixed ones
// instead of the originals.
#pragma once

#include <cstdint>

namespace nearfield::cache::sim {

inline std::uint64_t mix64(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace nearfield::cache::sim
