#include "dataplane/net/tcp/window_validation.h"

#include <algorithm>

namespace nearfield::net::tcp {

namespace {

std::int64_t milliseconds_of(Duration duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration).count();
}

}  // namespace

void WindowValidation::on_acknowledgment(MonotonicTime now, std::uint64_t delivered_bytes,
                                         bool round_ended, Duration smoothed_round_trip) {
  constexpr std::int64_t kLeastMs = kLeastSamplingPeriod / std::chrono::milliseconds(1);
  period_ms_ = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(3 * milliseconds_of(smoothed_round_trip), kLeastMs, 600'000));
  const Duration bin = std::chrono::milliseconds(period_ms_ / kBins);
  if (!defined_) {
    newest_since_ = now;
    defined_ = true;
  }
  // Four bins of a fourth of the period each: a sample counts for three fourths of it to all of it.
  if (now - newest_since_ >= kBins * bin) {
    bins_ = {};
    newest_since_ = now;
  }
  while (now - newest_since_ >= bin) {
    newest_ = static_cast<std::uint8_t>((newest_ + 1) % kBins);
    bins_[newest_] = 0;
    newest_since_ += bin;
  }
  sample_bytes_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(
      std::min<std::uint64_t>(delivered_bytes, UINT32_MAX) + sample_bytes_, UINT32_MAX));
  // A round in progress has carried at least this much.
  bins_[newest_] = std::max(bins_[newest_], sample_bytes_);
  if (round_ended) {
    sample_bytes_ = 0;
  }
}

void WindowValidation::reset() {
  bins_ = {};
  sample_bytes_ = 0;
  defined_ = false;
}

std::uint64_t WindowValidation::pipe_ack_bytes(MonotonicTime now) const {
  const Duration bin = std::chrono::milliseconds(period_ms_ / kBins);
  const std::int64_t expired = (now - newest_since_) / bin;
  std::uint32_t largest = 0;
  for (std::int64_t age = 0; age + std::max<std::int64_t>(expired, 0) < kBins; ++age) {
    largest = std::max(largest, bins_[static_cast<std::size_t>((newest_ + kBins - age) % kBins)]);
  }
  return largest;
}

void WindowValidation::mark_valid(MonotonicTime now) {
  valid_at_ = now;
  ever_valid_ = true;
}

std::uint32_t WindowValidation::take_expired_periods(MonotonicTime now) {
  if (!ever_valid_) {
    mark_valid(now);
    return 0;
  }
  const std::int64_t periods = (now - valid_at_) / kNonValidatedPeriod;
  if (periods <= 0) {
    return 0;
  }
  valid_at_ += periods * kNonValidatedPeriod;
  return static_cast<std::uint32_t>(std::min<std::int64_t>(periods, UINT32_MAX));
}

}  // namespace nearfield::net::tcp
