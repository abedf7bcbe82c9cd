#include "dataplane/net/tcp/pacer.h"

#include <algorithm>

#include "dataplane/net/tcp/wide.h"

namespace nearfield::net::tcp {

namespace {

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::uint64_t kLongestWait = INT64_MAX / 2;

}  // namespace

void Pacer::set_rate(std::uint64_t bytes_per_second) {
  if (bytes_per_second == rate_) {
    return;
  }
  rate_ = bytes_per_second;
  remainder_ = 0;  // less than a nanosecond
}

std::uint64_t Pacer::quantum() const {
  const std::uint64_t least = std::min<std::uint64_t>(2ull * segment_bytes_, kMaximumQuantumBytes);
  return std::clamp(rate_ / 1000, least, kMaximumQuantumBytes);
}

std::uint64_t Pacer::capacity() const { return quantum() + rate_ / 1000; }

std::uint64_t Pacer::allowance(MonotonicTime now) const {
  if (rate_ == 0) {
    return kUnlimited;
  }
  if (now <= empty_at_) {
    return burst_bytes_;
  }
  const auto elapsed = static_cast<std::uint64_t>((now - empty_at_).count());
  const Wide earned = Wide{elapsed} * rate_;
  const Wide filled = earned - std::min(earned, Wide{remainder_});
  return std::min(divide(filled, kNanosecondsPerSecond).quotient, capacity()) + burst_bytes_;
}

void Pacer::on_sent(std::uint64_t bytes, MonotonicTime now) {
  if (rate_ == 0) {
    return;
  }
  const std::uint64_t from_burst = std::min<std::uint64_t>(bytes, burst_bytes_);
  burst_bytes_ -= static_cast<std::uint32_t>(from_burst);
  bytes -= from_burst;
  if (bytes == 0) {
    return;
  }
  // What ran over the bucket's brim is gone.
  const auto brim = Duration{static_cast<std::int64_t>(
      std::min(divide(Wide{capacity()} * kNanosecondsPerSecond, rate_).quotient, kLongestWait))};
  if (now - empty_at_ > brim) {
    empty_at_ = now - brim;
    remainder_ = 0;
  }
  const auto [nanoseconds, rest] = divide(Wide{bytes} * kNanosecondsPerSecond + remainder_, rate_);
  const MonotonicTime latest = now + kMaximumDebt;
  const auto room = static_cast<std::uint64_t>(std::max(latest - empty_at_, Duration{0}).count());
  if (nanoseconds >= room) {
    empty_at_ = latest;
    remainder_ = 0;
  } else {
    empty_at_ += Duration{static_cast<std::int64_t>(nanoseconds)};
    remainder_ = rest;
  }
}

MonotonicTime Pacer::next_opportunity(std::uint64_t wanted_bytes) const {
  const std::uint64_t needed = std::min(wanted_bytes, quantum());
  if (rate_ == 0 || needed <= burst_bytes_) {
    return MonotonicTime{};
  }
  const Wide cost = Wide{needed - burst_bytes_} * kNanosecondsPerSecond + remainder_;
  const std::uint64_t wait = divide(cost + rate_ - 1, rate_).quotient;
  return empty_at_ + Duration{static_cast<std::int64_t>(std::min(wait, kLongestWait))};
}

void Pacer::on_idle(MonotonicTime now, std::uint64_t burst_bytes) {
  burst_bytes_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(burst_bytes, UINT32_MAX));
  empty_at_ = std::max(empty_at_, now);
  remainder_ = 0;
}

std::uint64_t pacing_rate(const Congestion& congestion, const RoundTrip& round_trip) {
  if (!round_trip.has_sample()) {
    return 0;
  }
  const Wide window = congestion.window_bytes();
  const Wide ahead = congestion.in_slow_start() ? window * 2 : window * 5 / 4;
  const auto smoothed =
      static_cast<std::uint64_t>(std::max(round_trip.smoothed(), Duration{1}).count());
  return std::max<std::uint64_t>(divide(ahead * kNanosecondsPerSecond, smoothed).quotient, 1);
}

}  // namespace nearfield::net::tcp
