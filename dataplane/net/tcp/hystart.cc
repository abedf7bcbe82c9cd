#include "dataplane/net/tcp/hystart.h"

#include <algorithm>

namespace nearfield::net::tcp {

bool HyStart::on_acknowledgment(Duration round_trip_time, bool round_ended) {
  using std::chrono::microseconds;
  if (phase_ == Phase::done) {
    return false;
  }
  if (round_trip_time.count() >= 0) {
    const auto sample_us = static_cast<std::uint32_t>(std::min<std::int64_t>(
        std::chrono::duration_cast<microseconds>(round_trip_time).count(), kUnknown - 1));
    round_minimum_us_ = std::min(round_minimum_us_, sample_us);
    samples_ = static_cast<std::uint8_t>(std::min(samples_ + 1, kSamples));
  }
  if (samples_ >= kSamples) {
    if (phase_ == Phase::slow_start && last_round_minimum_us_ != kUnknown) {
      constexpr std::uint32_t kLeast = kMinimumThreshold / microseconds(1);
      constexpr std::uint32_t kMost = kMaximumThreshold / microseconds(1);
      const std::uint32_t threshold =
          std::clamp(last_round_minimum_us_ / kThresholdDivisor, kLeast, kMost);
      if (std::uint64_t{round_minimum_us_} >= std::uint64_t{last_round_minimum_us_} + threshold) {
        baseline_us_ = round_minimum_us_;
        conservative_rounds_ = 0;
        phase_ = Phase::conservative;
      }
    } else if (phase_ == Phase::conservative && round_minimum_us_ < baseline_us_) {
      baseline_us_ = kUnknown;
      phase_ = Phase::slow_start;
    }
  }
  if (round_ended) {
    last_round_minimum_us_ = round_minimum_us_;
    round_minimum_us_ = kUnknown;
    samples_ = 0;
    // The round in which the phase began counts, however little of it was left (RFC 9406 4.2).
    if (phase_ == Phase::conservative && ++conservative_rounds_ >= kConservativeRounds) {
      phase_ = Phase::done;
      return true;
    }
  }
  return false;
}

std::uint64_t HyStart::growth_bytes(std::uint64_t delivered_bytes, std::uint32_t segment_bytes,
                                    bool paced) const {
  const std::uint64_t growth =
      paced ? delivered_bytes : std::min(delivered_bytes, kUnpacedSegments * segment_bytes);
  return phase_ == Phase::conservative ? growth / kGrowthDivisor : growth;
}

}  // namespace nearfield::net::tcp
