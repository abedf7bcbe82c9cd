// TokenBucket: how often something is done at most: `rate` times a second, `burst` times at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::ip {

class TokenBucket {
 public:
  // rate_per_second: 1 to 1,000,000; burst: at least 1. Starts full.
  constexpr TokenBucket(std::uint32_t rate_per_second, std::uint32_t burst)
      : interval_(Duration(1'000'000'000 / rate_per_second)), burst_(burst) {}

  // Whether it may be done now; counts it when so. A `now` before an earlier one gives nothing.
  constexpr bool take(MonotonicTime now) {
    // The bucket as the time at which it would be full: one number, no drift.
    const MonotonicTime full_at = std::max(full_at_, now);
    if (full_at - now > interval_ * (burst_ - 1)) return false;
    full_at_ = full_at + interval_;
    return true;
  }

 private:
  Duration interval_;
  std::int64_t burst_;
  MonotonicTime full_at_{};
};

}  // namespace nearfield::net::ip
