#include "dataplane/net/tcp/rack.h"

#include <algorithm>

namespace nearfield::net::tcp {

using namespace std::chrono_literals;

namespace {

constexpr std::uint8_t kPersistRecoveries = 16;  // RFC 8985 6.2 step 4
constexpr std::uint8_t kMaximumFactor = 254;     // the window is capped at a round trip anyway
// What a receiver may wait before it acknowledges a single segment (TLP.max_ack_delay of RFC 8985
// 7.2).
constexpr Duration kWorstDelayedAcknowledgment = 200ms;

bool sent_after(MonotonicTime time_a, StreamPosition end_a, MonotonicTime time_b,
                StreamPosition end_b) {
  return time_a > time_b || (time_a == time_b && end_a > end_b);
}

}  // namespace

void Rack::on_delivery(const TransmissionLog::Delivery& delivery, const Path& path,
                       std::optional<bool> retransmission_arrived, MonotonicTime now) {
  if (delivery.reordered) reordering_seen_ = true;
  const auto take = [&](MonotonicTime sent_at, StreamPosition end) {
    round_trip_ = now - sent_at;
    if (delivered_end_ == 0 || sent_after(sent_at, end, delivered_sent_at_, delivered_end_)) {
      delivered_sent_at_ = sent_at;
      delivered_end_ = end;
    }
  };
  if (!delivery.any) return;
  // An answer faster than the path allows, or to an older timestamp, is one to the original.
  if (delivery.retransmitted &&
      (retransmission_arrived == false || now - delivery.sent_at < path.minimum)) {
    if (delivery.timed) take(delivery.timed_sent_at, delivery.timed_end);
    return;
  }
  take(delivery.sent_at, delivery.end);
}

void Rack::on_duplicate_reported(StreamPosition unacknowledged, StreamPosition next) {
  if (unacknowledged < duplicate_round_end_) return;
  duplicate_round_end_ = next;
  window_factor_ = static_cast<std::uint8_t>(std::min<int>(window_factor_ + 1, kMaximumFactor));
  factor_persists_ = kPersistRecoveries;
}

void Rack::on_recovery_end() {
  if (window_factor_ == 1) return;
  if (--factor_persists_ == 0) {
    window_factor_ = 1;
    factor_persists_ = kPersistRecoveries;
  }
}

Duration Rack::reordering_window(const Path& path, bool in_recovery,
                                 bool duplicate_threshold_reached) const {
  if (!reordering_seen_ && (in_recovery || duplicate_threshold_reached)) return Duration::zero();
  return std::min(path.minimum / 4 * window_factor_, path.smoothed);
}

std::optional<MonotonicTime> Rack::detect(TransmissionLog& log, const Path& path, bool in_recovery,
                                          bool duplicate_threshold_reached,
                                          MonotonicTime now) const {
  if (delivered_end_ == 0) return std::nullopt;
  const Duration allowed =
      round_trip_ + reordering_window(path, in_recovery, duplicate_threshold_reached);
  std::optional<MonotonicTime> look_again;
  log.judge_oldest_first([&](const Transmission& range) {
    using Verdict = TransmissionLog::Verdict;
    if (!sent_after(delivered_sent_at_, delivered_end_, range.sent_at, range.end)) {
      return Verdict::stop;
    }
    const MonotonicTime lost_at = range.sent_at + allowed;
    if (lost_at <= now) return Verdict::lose;
    look_again = lost_at;  // the last of them, as the RFC asks: one timer for all
    return Verdict::keep;
  });
  return look_again;
}

void Rack::mark_after_timeout(TransmissionLog& log, const Path& path, MonotonicTime now) const {
  const StreamPosition first = log.front() == nullptr ? 0 : log.front()->begin;
  const Duration allowed = round_trip_ + reordering_window(path, false, false);
  log.judge_oldest_first([&](const Transmission& range) {
    using Verdict = TransmissionLog::Verdict;
    if (range.begin == first || range.sent_at + allowed <= now) return Verdict::lose;
    return Verdict::keep;
  });
}

Duration TailLossProbe::time_out(bool has_sample, Duration smoothed,
                                 bool single_segment_in_flight) {
  if (!has_sample) return 1s;
  return 2 * smoothed + (single_segment_in_flight ? kWorstDelayedAcknowledgment : 0ms);
}

void TailLossProbe::on_sent(StreamPosition next, bool is_retransmission) {
  end_ = next;
  is_retransmission_ = is_retransmission;
}

TailLossProbe::Outcome TailLossProbe::on_acknowledgment(StreamPosition acknowledged,
                                                        StreamPosition duplicate_end, bool plain) {
  if (end_ == 0 || acknowledged < end_) return Outcome::none;
  // A duplicate of anything else hides nothing. Not everybody counts a FIN among the bytes.
  const bool duplicate = duplicate_end == end_ || duplicate_end + 1 == end_;
  if (!is_retransmission_ || duplicate) {
    end_ = 0;
    return Outcome::nothing_lost;
  }
  if (acknowledged > end_) {
    end_ = 0;
    return Outcome::repaired;
  }
  // Exactly the end. A duplicate without data or SACK says that both the original and the probe
  // arrived; what else moved the front came from the probe alone.
  const Outcome outcome = plain ? Outcome::nothing_lost : Outcome::none;
  if (plain) end_ = 0;
  return outcome;
}

}  // namespace nearfield::net::tcp
