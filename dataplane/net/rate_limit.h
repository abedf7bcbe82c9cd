// RateLimit: how often something is done for strangers (resets, echoes, ICMP errors, questions for
// neighbours), as a token bucket: so often a second, so often at once. Time is a parameter. Not
// synchronised.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net {

class RateLimit {
 public:
  // At most `burst` at once and `per_second` on average; either 0: never. Full at first.
  RateLimit(std::uint32_t per_second, std::uint32_t burst)
      : per_second_(per_second), full_(kToken * burst), credit_(per_second == 0 ? 0 : full_) {}

  bool allow(MonotonicTime now) {
    if (now > last_) earn(static_cast<std::uint64_t>((now - last_).count()));
    last_ = std::max(last_, now);
    if (credit_ < kToken) {
      ++refused_;
      return false;
    }
    credit_ -= kToken;
    return true;
  }

  std::uint64_t refused() const { return refused_; }

 private:
  // Credit is counted in 1/10^9 of a token, so that each nanosecond earns `per_second` of it and
  // nothing is rounded.
  static constexpr std::uint64_t kToken = 1'000'000'000;

  void earn(std::uint64_t elapsed_ns) {
    if (per_second_ == 0) return;
    const std::uint64_t missing = full_ - credit_;
    credit_ = elapsed_ns > missing / per_second_ ? full_ : credit_ + elapsed_ns * per_second_;
  }

  std::uint64_t per_second_;
  std::uint64_t full_;
  std::uint64_t credit_;
  MonotonicTime last_{};
  std::uint64_t refused_ = 0;
};

}  // namespace nearfield::net
