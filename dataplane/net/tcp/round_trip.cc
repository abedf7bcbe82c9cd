#include "dataplane/net/tcp/round_trip.h"

#include <algorithm>

namespace nearfield::net::tcp {

namespace {

std::uint32_t milliseconds_of(MonotonicTime time) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
}

}  // namespace

void RoundTrip::add_sample(Duration rtt, MonotonicTime now, std::uint32_t samples_per_round) {
  if (rtt.count() < 0) {
    return;
  }
  // 0 stands for "no sample"; a path shorter than a nanosecond may count as one.
  rtt = std::clamp(rtt, Duration{1}, Duration{kMaximumTimeout});
  const std::int64_t scaled = rtt.count() << kFractionBits;
  if (!has_sample()) {
    smoothed_scaled_ = scaled;  // RFC 6298 2.2
    variation_scaled_ = scaled / 2;
  } else {
    // alpha 1/8 and beta 1/4 (RFC 6298 2.3), each divided by the samples of a round (RFC 7323
    // appendix G). RTTVAR first: it takes the old SRTT. A window has fewer than 2^16 pairs of
    // segments of the least size that counts.
    const std::int64_t samples = std::clamp<std::uint32_t>(samples_per_round, 1, 1 << 16);
    const std::int64_t error = scaled - smoothed_scaled_;
    variation_scaled_ += ((error < 0 ? -error : error) - variation_scaled_) / (4 * samples);
    smoothed_scaled_ += error / (8 * samples);
  }
  latest_ = rtt;
  update_minimum(rtt, now);
}

// The algorithm of Kathleen Nichols: best, second best after it, third best after that; when the
// best grows old the second takes its place. A quarter and a half of the window without better
// ones are when the second and the third are chosen anew, lest all three be of the same moment.
void RoundTrip::update_minimum(Duration rtt, MonotonicTime now) {
  constexpr auto kWindowMs = static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(kMinimumWindow).count());
  const std::uint32_t now_ms = milliseconds_of(now);
  const auto set_from = [&](std::size_t first) {
    for (std::size_t i = first; i < minima_.size(); ++i) {
      minima_[i] = rtt;
      minima_at_ms_[i] = now_ms;
    }
  };
  if (minima_[0].count() == 0 || rtt <= minima_[0] || now_ms - minima_at_ms_[2] > kWindowMs) {
    set_from(0);
    return;
  }
  if (rtt <= minima_[1]) {
    set_from(1);
  } else if (rtt <= minima_[2]) {
    set_from(2);
  }
  const std::uint32_t age_ms = now_ms - minima_at_ms_[0];
  if (age_ms > kWindowMs) {
    // Twice, because after a pause the second may be too old as well.
    for (int i = 0; i < 2 && now_ms - minima_at_ms_[0] > kWindowMs; ++i) {
      minima_ = {minima_[1], minima_[2], rtt};
      minima_at_ms_ = {minima_at_ms_[1], minima_at_ms_[2], now_ms};
    }
  } else if (minima_at_ms_[1] == minima_at_ms_[0] && age_ms > kWindowMs / 4) {
    set_from(1);
  } else if (minima_at_ms_[2] == minima_at_ms_[1] && age_ms > kWindowMs / 2) {
    set_from(2);
  }
}

Duration RoundTrip::timeout() const {
  if (!has_sample()) {
    return handshake_was_slow_ ? kSlowHandshakeTimeout : kInitialTimeout;
  }
  return std::min(smoothed() + std::max(Duration{kMinimumMargin}, 4 * variation()),
                  Duration{kMaximumTimeout});
}

}  // namespace nearfield::net::tcp
