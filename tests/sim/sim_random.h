// SplitMix64 (Steele, Lea, Flood 2014): a small generator whose whole state is its seed, equal on
// every machine.
#pragma once

#include <cstdint>

namespace nearfield::sim {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }
  // [lowest, highest]; the bias of the remainder does not matter to tests.
  std::uint64_t between(std::uint64_t lowest, std::uint64_t highest) {
    return lowest + next() % (highest - lowest + 1);
  }

 private:
  std::uint64_t state_;
};

}  // namespace nearfield::sim
