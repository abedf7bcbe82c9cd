#include "dataplane/net/tcp/pacer.h"

#include <algorithm>

namespace nearfield::net::tcp {

namespace {

__extension__ using Wide = unsigned __int128;  // a product of two 64-bit numbers

constexpr std::uint64_t kNanosecondsPerSecond = 1'000'000'000;

std::uint64_t saturate(Wide value) {
  return value > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(value);
}

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
  const Wide filled = (Wide{elapsed} * rate_ - std::min(Wide{elapsed} * rate_, Wide{remainder_})) /
                      kNanosecondsPerSecond;
  return std::min(saturate(filled), capacity()) + burst_bytes_;
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
      std::min<Wide>(Wide{capacity()} * kNanosecondsPerSecond / rate_, INT64_MAX / 2))};
  if (now - empty_at_ > brim) {
    empty_at_ = now - brim;
    remainder_ = 0;
  }
  const Wide cost = Wide{bytes} * kNanosecondsPerSecond + remainder_;
  const Wide nanoseconds = cost / rate_;
  const MonotonicTime latest = now + kMaximumDebt;
  const auto room = static_cast<std::uint64_t>(std::max(latest - empty_at_, Duration{0}).count());
  if (nanoseconds >= room) {
    empty_at_ = latest;
    remainder_ = 0;
  } else {
    empty_at_ += Duration{static_cast<std::int64_t>(nanoseconds)};
    remainder_ = static_cast<std::uint64_t>(cost % rate_);
  }
}

MonotonicTime Pacer::next_opportunity(std::uint64_t wanted_bytes) const {
  const std::uint64_t needed = std::min(wanted_bytes, quantum());
  if (rate_ == 0 || needed <= burst_bytes_) {
    return MonotonicTime{};
  }
  const Wide cost = Wide{needed - burst_bytes_} * kNanosecondsPerSecond + remainder_;
  const Wide wait = (cost + rate_ - 1) / rate_;
  return empty_at_ + Duration{static_cast<std::int64_t>(std::min<Wide>(wait, INT64_MAX / 2))};
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
  return std::max<std::uint64_t>(saturate(ahead * kNanosecondsPerSecond / smoothed), 1);
}

}  // namespace nearfield::net::tcp
