// RoundTrip: how long the path takes there and back: the smoothed estimate and the retransmission
// time-out made of it (RFC 6298), and the minimum of the recent path, which loss detection (RFC
// 8985) and congestion control compare against.
//
// Invariant: timeout() is at least kMinimumMargin and at most kMaximumTimeout; the exponential
// back-off of RFC 6298 5.5 is the connection's, which shifts it. The awkward part is that a
// sender with timestamps takes many samples a round trip: each is weighted by how many there are
// (RFC 7323 appendix G), or the estimate would forget the last round trips too fast. A weight may
// be as small as 1 in 500,000, so the estimates carry 16 bits of fraction below a nanosecond.
#pragma once

#include <array>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::tcp {

class RoundTrip {
 public:
  // What a time-out allows beyond the smoothed round trip, however steady the path: a receiver may
  // delay an acknowledgment by so much (RFC 1122 4.2.3.2: less than 500 ms, in practice 40-200).
  // RFC 6298 2.4 asks for a least time-out of 1 s instead, which no deployed sender keeps; a bound
  // on the sum alone would leave long steady paths a margin of nothing.
  static constexpr Duration kMinimumMargin = std::chrono::milliseconds(200);
  static constexpr Duration kMaximumTimeout = std::chrono::seconds(60);       // RFC 6298 2.5
  static constexpr Duration kInitialTimeout = std::chrono::seconds(1);        // RFC 6298 2.1
  static constexpr Duration kSlowHandshakeTimeout = std::chrono::seconds(3);  // RFC 6298 5.7
  // How long a minimum is believed. Long enough for a queue of our own making to drain in between,
  // short enough for a changed route; the same as Linux's documented tcp_min_rtt_wlen.
  static constexpr Duration kMinimumWindow = std::chrono::minutes(5);

  // `rtt`: of data sent once (Karn's rule is the caller's), ignored when negative, counted as at
  // most kMaximumTimeout. `samples_per_round`: how many samples a round trip yields, at least 1
  // (RFC 7323 appendix G: in-flight bytes / two segments, rounded up).
  void add_sample(Duration rtt, MonotonicTime now, std::uint32_t samples_per_round);
  // The SYN-ACK had to be sent again: until there is a sample, wait longer (RFC 6298 5.7).
  void handshake_was_slow() { handshake_was_slow_ = true; }

  bool has_sample() const { return latest_.count() != 0; }
  // All 0 before the first sample, and never 0 (latest, minimum) after.
  Duration smoothed() const { return Duration{smoothed_scaled_ >> kFractionBits}; }
  Duration variation() const { return Duration{variation_scaled_ >> kFractionBits}; }
  Duration latest() const { return latest_; }
  Duration minimum() const { return minima_[0]; }
  Duration timeout() const;

 private:
  static constexpr int kFractionBits = 16;

  void update_minimum(Duration rtt, MonotonicTime now);

  std::int64_t smoothed_scaled_ = 0;   // SRTT in nanoseconds << kFractionBits
  std::int64_t variation_scaled_ = 0;  // RTTVAR, the same
  Duration latest_{0};
  // The least, and the least of what came after it, and of what came after that.
  std::array<Duration, 3> minima_{};
  // When they were taken, milliseconds modulo 2^32; only differences count.
  std::array<std::uint32_t, 3> minima_at_ms_{};
  bool handshake_was_slow_ = false;
};
static_assert(sizeof(RoundTrip) <= 64);

}  // namespace nearfield::net::tcp
