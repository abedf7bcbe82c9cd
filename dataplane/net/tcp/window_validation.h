// WindowValidation: whether the path has lately carried what the congestion window allows (RFC
// 7661).
//
// pipeACK, the most that was acknowledged in one round trip over the last max(3 * RTT, 1 s), is
// what the path is known to carry. A window up to twice that is validated; above, it may be kept
// for five minutes, is not grown, and a loss is answered from pipeACK instead of from it. That is
// what lets a listener's next segment start at the rate of the last one without growing a window
// that was never filled. The awkward part is idleness: samples expire with time, not with
// acknowledgments, so every question takes the time.
#pragma once

#include <array>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::tcp {

class WindowValidation {
 public:
  static constexpr Duration kNonValidatedPeriod = std::chrono::minutes(5);   // RFC 7661 4.4
  static constexpr Duration kLeastSamplingPeriod = std::chrono::seconds(1);  // RFC 7661 4.2

  // An acknowledgment outside a recovery (none is taken within: RFC 7661 4.2).
  void on_acknowledgment(MonotonicTime now, std::uint64_t delivered_bytes, bool round_ended,
                         Duration smoothed_round_trip);
  // What was learned no longer holds: pipeACK is undefined again (RFC 7661 4.4.1).
  void reset();

  // Whether there was anything to measure since reset(). While not, every window counts as valid.
  bool defined() const { return defined_; }
  std::uint64_t pipe_ack_bytes(MonotonicTime now) const;
  bool validates(std::uint64_t window_bytes, MonotonicTime now) const {
    return !defined_ || pipe_ack_bytes(now) >= window_bytes / 2;
  }

  // The window was in use at `now`: the non-validated period, if any, starts over.
  void mark_valid(MonotonicTime now);
  // How many whole non-validated periods ended since they were last asked for.
  std::uint32_t take_expired_periods(MonotonicTime now);

 private:
  static constexpr std::int64_t kBins = 4;

  std::array<std::uint32_t, kBins> bins_{};  // the largest samples, by time
  std::uint32_t sample_bytes_ = 0;           // of the round in progress
  std::uint8_t newest_ = 0;
  bool defined_ = false;
  bool ever_valid_ = false;
  std::uint32_t period_ms_ = 1000;  // the sampling period
  MonotonicTime newest_since_{};    // when the newest bin began
  MonotonicTime valid_at_{};        // when the window was last known to be valid
};
static_assert(sizeof(WindowValidation) <= 48);

}  // namespace nearfield::net::tcp
