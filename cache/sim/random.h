// Random: a small seeded generator whose numbers are the same on every platform, unlike the
// standard's distributions. xoshiro256++ (Blackman, Vigna 2019), seeded through SplitMix64.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "cache/sim/mix.h"

namespace nearfield::cache::sim {

// A number in [0, 1) from 64 mixed bits.
inline double unit_interval(std::uint64_t bits) {
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t i = 0; i < 4; ++i) state_[i] = mix64(seed * 4 + i);
  }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  double uniform() { return unit_interval(next()); }
  bool chance(double probability) { return uniform() < probability; }
  // 0 to bound - 1.
  std::uint64_t below(std::uint64_t bound) {
    return static_cast<std::uint64_t>(uniform() * static_cast<double>(bound));
  }
  double exponential(double mean) { return -mean * std::log1p(-uniform()); }
  double normal() {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }
  double lognormal(double median, double sigma) { return median * std::exp(sigma * normal()); }

 private:
  std::uint64_t state_[4];
};

}  // namespace nearfield::cache::sim
