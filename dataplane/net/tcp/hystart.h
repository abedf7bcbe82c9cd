// HyStart: when to leave the first slow start before it overruns the queue (HyStart++, RFC 9406).
//
// A round trip time that rises from one round to the next tells of a queue that builds: growth
// slows to a quarter (conservative slow start) for five rounds, and then slow start is over, or it
// resumes when the time falls again and the rise was jitter. Only for the first slow start, while
// the threshold is still unknown; later ones end at the threshold (4.3). The awkward part is
// that a round without eight samples decides nothing: small flows never leave slow start by delay.
#pragma once

#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::tcp {

class HyStart {
 public:
  // Constants of RFC 9406 4.3.
  static constexpr Duration kMinimumThreshold = std::chrono::milliseconds(4);
  static constexpr Duration kMaximumThreshold = std::chrono::milliseconds(16);
  static constexpr int kThresholdDivisor = 8;
  static constexpr int kSamples = 8;
  static constexpr int kGrowthDivisor = 4;
  static constexpr int kConservativeRounds = 5;
  static constexpr std::uint64_t kUnpacedSegments = 8;  // L without pacing; unlimited with it

  enum class Phase : std::uint8_t { slow_start, conservative, done };

  // An acknowledgment in the first slow start. `round_trip_time`: negative for no sample.
  // `round_ended`: what was sent at the last round's end is now acknowledged. True when slow start
  // is over: the threshold becomes the window.
  bool on_acknowledgment(Duration round_trip_time, bool round_ended);
  // Loss or ECN, or the threshold became known otherwise.
  void finish() { phase_ = Phase::done; }
  Phase phase() const { return phase_; }

  // By how much the window grows for `delivered_bytes` in slow start.
  std::uint64_t growth_bytes(std::uint64_t delivered_bytes, std::uint32_t segment_bytes,
                             bool paced) const;

 private:
  static constexpr std::uint32_t kUnknown = UINT32_MAX;

  // Microseconds; kUnknown stands for the infinity of RFC 9406.
  std::uint32_t last_round_minimum_us_ = kUnknown;
  std::uint32_t round_minimum_us_ = kUnknown;
  std::uint32_t baseline_us_ = kUnknown;
  std::uint8_t samples_ = 0;
  std::uint8_t conservative_rounds_ = 0;
  Phase phase_ = Phase::slow_start;
};
static_assert(sizeof(HyStart) <= 16);

}  // namespace nearfield::net::tcp
