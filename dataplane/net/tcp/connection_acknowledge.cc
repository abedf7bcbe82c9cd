// An acknowledgment arrives: what was delivered, what was lost, and what the congestion control,
// the timers and the send plan learn of it. The order matters: deliveries first, then the window,
// then losses, then the response, then the plan.
#include <algorithm>

#include "cache/base/assert.h"
#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {

namespace {

constexpr std::uint32_t kDuplicateThreshold = 3;  // RFC 5681 3.2
// Whoever sacks crumbs (CVE-2019-11478) gets no more ranges than losing every other segment of what
// is in flight takes, and these.
constexpr std::uint64_t kSpareRanges = 32;

}  // namespace

// The pipe. A peer without SACK tells of each segment it got out of order by a duplicate
// acknowledgment (RFC 5681 3.2, step 4).
std::uint64_t Connection::in_flight() const {
  const std::uint64_t bytes = log_.in_flight_bytes();
  if (sack_) return bytes;
  return bytes -
         std::min<std::uint64_t>(bytes, std::uint64_t{duplicate_acknowledgments_} * segment_bytes_);
}

void Connection::process_acknowledgment(const Segment& segment, StreamPosition begin,
                                        StreamPosition acknowledged) {
  const MonotonicTime now = core_.now;
  const std::optional<std::uint32_t> echo = echo_of(segment);
  const bool advanced = acknowledged > unacknowledged_;
  const std::uint64_t passed_bytes = advanced ? acknowledged - unacknowledged_ : 0;
  const bool was_recovering = recovery_ != Recovery::none;
  const std::uint64_t in_flight_before = in_flight();
  TransmissionLog::Delivery delivery = log_.begin_delivery();
  if (advanced) {
    // The original had arrived before its retransmission was even sent (Eifel, RFC 3522).
    const bool spurious = recovery_ != Recovery::none && episode_unproven_ &&
                          episode_retransmitted_bytes_ > 0 && echo &&
                          static_cast<std::int32_t>(*echo - episode_timestamp_) < 0;
    log_.acknowledge(core_.transmissions, acknowledged, &delivery);
    unacknowledged_ = acknowledged;
    consecutive_timeouts_ = 0;
    first_unanswered_at_ = {};
    probe_base_ = now;
    // Without SACK a recovery mends one gap a round trip; the timer is started over by the first
    // partial acknowledgment only, so that many gaps end in a time-out and slow start (RFC 6582
    // 3.2, step 3: the impatient variant).
    if (sack_ || recovery_ != Recovery::fast || !partial_seen_) retransmission_base_ = now;
    partial_seen_ = recovery_ == Recovery::fast;
    if (spurious) undo_recovery();
    if (episode_retransmitted_bytes_ > 0) episode_unproven_ = false;
  }
  StreamPosition duplicate_end = 0;
  if (sack_ && segment.header.options.sack.count > 0) {
    duplicate_end = process_sacks(segment, acknowledged, &delivery);
  }
  if (delivery.any) probe_base_ = now;
  const bool window_changed = update_window(segment, begin, acknowledged);
  sample_round_trip(delivery, advanced ? echo : std::nullopt);
  const std::uint64_t delivered =
      count_duplicate(segment, advanced, window_changed, delivery.bytes);
  if (delivery.timed && delivery.timed_sent_at >= path_changed_at_ &&
      delivery.bytes >= segment_bytes_) {
    if (path_mtu_.on_acknowledged(full_packet_bytes(), now) != PathMtu::Change::none) {
      path_changed_at_ = now;
      update_segment_bytes();
    }
  }

  // --- loss ---
  if (sack_) {
    std::optional<bool> retransmission_arrived;
    // Only an acknowledgment that advances echoes something new (RFC 7323 4.3): with SACKs alone
    // the echo is older than any retransmission, whichever of the two arrived.
    if (advanced && echo && delivery.any) {
      const std::uint32_t sent = timestamp_now(delivery.sent_at) + timestamp_offset_;
      retransmission_arrived = static_cast<std::int32_t>(*echo - sent) >= 0;
    }
    rack_.on_delivery(delivery, path(), retransmission_arrived, now);
    const bool plain = segment.payload.empty() && !advanced && !window_changed &&
                       segment.header.options.sack.count == 0;
    const StreamPosition probed = tail_probe_.end();
    const auto outcome = tail_probe_.on_acknowledgment(acknowledged, duplicate_end, plain);
    if (outcome == TailLossProbe::Outcome::repaired && recovery_ == Recovery::none &&
        !is_answered(probed - 1)) {
      congestion().on_congestion(CongestionSignal::loss, in_flight_before, now);
      congestion().on_recovery_end(now);
      episode_retransmitted_bytes_ = 0;  // duplicates of an old episode do not undo this
      echo_end_ = next_ + 1;
      if (ecn_) reduction_untold_ = true;
    }
  }
  if (ecn_ && segment.header.flags.ece && recovery_ == Recovery::none &&
      acknowledged >= echo_end_) {
    congestion().on_congestion(CongestionSignal::echo, in_flight_before, now);
    episode_retransmitted_bytes_ = 0;  // as above
    ++core_.counters.echo_reductions;
    echo_end_ = next_ + 1;  // once a round trip
    reduction_untold_ = true;
  }
  const bool newly_lost = (delivered > 0 || advanced) && detect_losses(in_flight_before);
  if (recovery_ == Recovery::fast) {
    reduction_.on_acknowledgment(delivered, in_flight(), advanced, newly_lost);
    // The gap a partial acknowledgment names is filled at once (RFC 6582 3.2, step 3).
    if (!sack_ && advanced && newly_lost) reduction_.allow_segment();
  }
  if (recovery_ != Recovery::none && unacknowledged_ >= recovery_end_) leave_recovery();

  // --- what may be in flight ---
  if (delivered > 0) {
    AcknowledgmentEvent event;
    event.now = now;
    // The window grows by what the acknowledgment passes (RFC 3465 2.1), not by what arrived out of
    // order before it (RFC 3042 2), nor in answer to an echo of congestion (RFC 3168 6.1.2).
    event.delivered_bytes = was_recovering || !advanced ? delivered : passed_bytes;
    event.in_flight_bytes = in_flight();
    event.window_limited = window_limited_;
    event.in_recovery = recovery_ == Recovery::fast || !advanced ||
                        // A peer echoes until a new segment tells it of the reduction; after a
                        // time-out there may be none for long.
                        (ecn_ && segment.header.flags.ece && recovery_ == Recovery::none);
    event.round_ended = unacknowledged_ >= round_end_;
    if (delivery.timed) event.round_trip_time = now - delivery.timed_sent_at;
    event.minimum_round_trip = round_trip_.minimum();
    event.smoothed_round_trip = round_trip_.smoothed();
    if (event.round_ended) round_end_ = next_;
    congestion().on_acknowledgment(event);
    if (core_.options.pacing) pacer_.set_rate(pacing_rate(congestion(), round_trip_));
  }
  if (advanced && our_end_is_sent() && unacknowledged_ == stream_end()) end_of_ours_acknowledged();
  if (!alive()) return;
  release_plan();
  arm_loss_timer();
  if (next_ < stream_end() || log_.lost_bytes() > 0 || !starved_) ready();
}

void Connection::end_of_ours_acknowledged() {
  switch (state_) {
    case State::fin_wait_1:
      state_ = State::fin_wait_2;
      linger_until_ = core_.now + core_.options.linger;
      arm_slow_timer();
      return;
    case State::closing:
      return finish(CloseReason::finished, true);
    case State::last_ack:
      return finish(CloseReason::finished);
    default:
      return;
  }
}

// --- SACK ---

// Where the duplicate ends that the first block reports (RFC 2883 4: below the acknowledgment, or
// within the second block); 0: none.
StreamPosition Connection::process_sacks(const Segment& segment, StreamPosition acknowledged,
                                         TransmissionLog::Delivery* delivery) {
  const std::span<const SackBlock> blocks = segment.header.options.sack.span();
  StreamPosition duplicate_end = 0;
  const std::uint64_t most_ranges = kSpareRanges + 2 * (next_ - unacknowledged_) / segment_bytes_;
  for (std::size_t index = 0; index < blocks.size(); ++index) {
    const StreamPosition begin = ours_.position_of(blocks[index].begin, unacknowledged_);
    const StreamPosition end = ours_.position_of(blocks[index].end, unacknowledged_);
    if (begin >= end || end > next_) continue;
    if (index == 0) {
      bool duplicate = end <= acknowledged;
      if (!duplicate && blocks.size() > 1) {
        const StreamPosition outer_begin = ours_.position_of(blocks[1].begin, unacknowledged_);
        const StreamPosition outer_end = ours_.position_of(blocks[1].end, unacknowledged_);
        duplicate = outer_begin <= begin && end <= outer_end;
      }
      if (duplicate) {
        // Older than a window: a delayed or made-up one, which tells nothing.
        if (end + largest_window_ >= unacknowledged_) {
          on_duplicate_reported(begin, end);
          duplicate_end = end;
        }
        continue;
      }
    }
    if (begin < acknowledged) continue;  // stale
    log_.sack(core_.transmissions, begin, end, delivery, most_ranges);
  }
  return duplicate_end;
}

// When the peer got everything twice that the episode sent again, nothing had been lost.
void Connection::on_duplicate_reported(StreamPosition begin, StreamPosition end) {
  ++core_.counters.duplicates_reported;
  rack_.on_duplicate_reported(unacknowledged_, next_);
  if (begin < episode_begin_ || episode_retransmitted_bytes_ == 0) return;
  if (end > episode_retransmitted_end_) return;  // the network's duplicate, not ours
  episode_retransmitted_bytes_ -= std::min(episode_retransmitted_bytes_, end - begin);
  if (episode_retransmitted_bytes_ == 0) undo_recovery();
}

// --- round trip and window ---

// What an acknowledgment that advances may prove something by. When our timestamps do not reach the
// peer any more, taken out by a middlebox in mid-connection, it repeats the last for ever (RFC 7323
// 4.3): that one is from before all that is not acknowledged, and proves nothing.
std::optional<std::uint32_t> Connection::echo_of(const Segment& segment) const {
  if (!timestamps_ || !segment.header.options.timestamps) return std::nullopt;
  const std::uint32_t echo = segment.header.options.timestamps->echo;
  if (echo == 0 || static_cast<std::int32_t>(echo - oldest_echo_) < 0) return std::nullopt;
  return echo;
}

void Connection::sample_round_trip(const TransmissionLog::Delivery& delivery,
                                   std::optional<std::uint32_t> echo) {
  const MonotonicTime now = core_.now;
  Duration sample{-1};
  if (delivery.timed) {
    sample = now - delivery.timed_sent_at;
  } else if (echo) {
    // Some of it was sent more than once: the echo tells which one arrived, to a millisecond (RFC
    // 7323 4.1).
    const std::uint32_t elapsed_ms = timestamp_now(now) + timestamp_offset_ - *echo;
    if (elapsed_ms < 600'000) sample = std::chrono::milliseconds(std::max(elapsed_ms, 1u));
  }
  // Echoes of what follows are not older: it was sent later, at least for the first time.
  if (delivery.timed && delivery.timed_end <= unacknowledged_)
    oldest_echo_ = timestamp_now(delivery.timed_sent_at) + timestamp_offset_;
  if (sample < Duration::zero()) return;
  back_off_ = 0;  // only now, as what was sent twice measures nothing (RFC 6298 5, Karn)
  const std::uint64_t pairs = log_.in_flight_bytes() / (2ull * segment_bytes_) + 1;
  round_trip_.add_sample(sample, now,
                         static_cast<std::uint32_t>(std::min<std::uint64_t>(pairs, 1u << 16)));
  std::size_t bucket = 0;
  Duration bound = std::chrono::microseconds(64);
  while (bucket + 1 < Counters::kRoundTripBuckets && round_trip_.smoothed() >= bound) {
    bound *= 2;
    ++bucket;
  }
  ++core_.counters.round_trips[bucket];
}

// RFC 9293 3.10.7.4, the window of the fifth step. Returns whether it changed.
bool Connection::update_window(const Segment& segment, StreamPosition begin,
                               StreamPosition acknowledged) {
  if (acknowledged < unacknowledged_ || begin < window_told_at_ ||
      (begin == window_told_at_ && acknowledged < window_told_with_)) {
    return false;
  }
  const std::uint32_t window = std::uint32_t{segment.header.window} << peer_window_shift_;
  const StreamPosition right = acknowledged + window;
  const bool was_closed = window_right_ <= unacknowledged_;
  const bool changed = right != window_right_;
  window_told_at_ = begin;
  window_told_with_ = acknowledged;
  window_right_ = right;
  largest_window_ = std::max(largest_window_, window);
  if (was_closed && window_right_ > unacknowledged_) {
    // What probed the closed window was dropped there; that is no sign of congestion. A single byte
    // counts as never sent, so that it goes out with what follows it.
    if (next_ == unacknowledged_ + 1 && !our_end_is_sent()) {
      log_.clear(core_.transmissions);
      next_ = unacknowledged_;
    } else if (!log_.empty() && loss_timer_for_ == LossTimer::window) {
      log_.mark_all_lost();
    }
    consecutive_timeouts_ = back_off_ = 0;
    first_unanswered_at_ = {};
    retransmission_base_ = core_.now;  // what waits for the pacer now has not timed out
  }
  return changed;
}

// --- loss and recovery ---

// For peers without SACK: duplicate acknowledgments stand for deliveries (RFC 5681 3.2, RFC 6582).
// Returns how many bytes were delivered.
std::uint64_t Connection::count_duplicate(const Segment& segment, bool advanced,
                                          bool window_changed, std::uint64_t delivered_bytes) {
  if (sack_) return delivered_bytes;
  if (advanced) {
    const std::uint64_t counted = std::uint64_t{duplicate_acknowledgments_} * segment_bytes_;
    duplicate_acknowledgments_ =
        recovery_ == Recovery::fast && unacknowledged_ < recovery_end_
            ? static_cast<std::uint32_t>(
                  counted > delivered_bytes ? (counted - delivered_bytes) / segment_bytes_ : 0)
            : 0;
    return delivered_bytes > counted ? delivered_bytes - counted : segment_bytes_;
  }
  const bool duplicate =
      !window_changed && segment.payload.empty() && !segment.header.flags.fin && !log_.empty() &&
      ours_.position_of(segment.header.acknowledgment, unacknowledged_) == unacknowledged_;
  if (!duplicate) return 0;
  // A peer can only have got what is in flight behind the gap.
  if (in_flight() == 0) return 0;
  ++duplicate_acknowledgments_;
  return segment_bytes_;
}

// Returns whether more is lost than was known.
bool Connection::detect_losses(std::uint64_t in_flight_before) {
  const MonotonicTime now = core_.now;
  const std::uint64_t lost_before = log_.lost_bytes();
  if (sack_) {
    // The peer acknowledged up to something it had sacked: it has forgotten the rest (RFC 2018 8).
    if (log_.front() != nullptr && log_.front()->state == Transmission::State::sacked) {
      log_.forget_sacks();
    }
    // More bytes than one segment less can hold; the last of a burst is often a short one.
    const bool threshold =
        log_.sacked_bytes() > std::uint64_t{kDuplicateThreshold - 1} * segment_bytes_;
    const std::optional<MonotonicTime> again =
        rack_.detect(log_, path(), recovery_ != Recovery::none, threshold, now);
    reordering_until_ = again.value_or(MonotonicTime{});
  } else if (recovery_ == Recovery::none) {
    // Not for what a former recovery made the peer repeat (RFC 6582 3.2, step 2).
    if (duplicate_acknowledgments_ >= kDuplicateThreshold && unacknowledged_ >= recovery_end_) {
      log_.mark_lost(core_.transmissions, unacknowledged_, unacknowledged_ + segment_bytes_);
    }
  } else if (recovery_ == Recovery::fast && log_.front() != nullptr &&
             !log_.front()->retransmitted && unacknowledged_ < recovery_end_) {
    // A partial acknowledgment: the next gap begins here (RFC 6582 3.2, step 3).
    log_.mark_lost(core_.transmissions, unacknowledged_, unacknowledged_ + segment_bytes_);
  } else if (recovery_ == Recovery::timeout && log_.front() != nullptr &&
             duplicate_acknowledgments_ >= kDuplicateThreshold &&
             now - log_.front()->sent_at > round_trip_.timeout()) {
    // What was sent again after the time-out was lost again. Duplicates this late tell of what was
    // sent after it, not of what the peer had before (RFC 6582 4 guesses that from numbers or
    // timestamps); to wait for a timer that has backed off would take up to a minute.
    log_.mark_lost(core_.transmissions, unacknowledged_, unacknowledged_ + segment_bytes_);
  }
  const bool newly_lost = log_.lost_bytes() > lost_before;
  if (newly_lost && recovery_ == Recovery::none) enter_recovery(in_flight_before);
  return newly_lost;
}

void Connection::enter_recovery(std::uint64_t in_flight_before) {
  ++core_.counters.fast_recoveries;
  recovery_ = Recovery::fast;
  partial_seen_ = false;
  recovery_end_ = next_;
  episode_begin_ = unacknowledged_;
  episode_retransmitted_bytes_ = 0;
  episode_unproven_ = true;
  tail_probe_.cancel();
  // What is sent and not acknowledged, sacked or not, is what the path carried (RFC 5681 2 and 3.1,
  // RFC 9438 4.6); how it is spread over the recovery starts from what was still under way.
  episode_reduced_ = !is_answered(unacknowledged_);
  if (episode_reduced_) {
    congestion().on_congestion(CongestionSignal::loss, next_ - unacknowledged_, core_.now);
  }
  echo_end_ = next_ + 1;
  reduction_.begin(in_flight_before, congestion().slow_start_threshold_bytes(), segment_bytes_);
  if (ecn_) reduction_untold_ = true;
}

void Connection::leave_recovery() {
  if (recovery_ == Recovery::fast) {
    congestion().on_recovery_end(core_.now);
    reduction_.end();
  }
  rack_.on_recovery_end();
  recovery_ = Recovery::none;
  duplicate_acknowledgments_ = 0;
}

void Connection::undo_recovery() {
  ++core_.counters.spurious_recoveries;
  if (episode_reduced_) {
    congestion().undo(core_.now);
    echo_end_ = 0;  // an echo counts again
  }
  reduction_.end();
  log_.unmark_lost();
  recovery_ = Recovery::none;
  episode_retransmitted_bytes_ = 0;
  duplicate_acknowledgments_ = 0;  // CWR may be owed for an echo; one too many does no harm
}

// A router's word counts only about something that is under way, and never raises anything (RFC
// 5927 7.2). What was too big is sent again at once; that is not congestion (RFC 1191 6.4).
void Connection::on_packet_too_big(SequenceNumber quoted, std::uint32_t mtu,
                                   std::uint16_t quoted_bytes) {
  if (!alive()) return;
  const StreamPosition position = ours_.position_of(quoted, unacknowledged_);
  if (position < unacknowledged_ || position >= next_) {
    ++core_.counters.errors_ignored;
    return;
  }
  if (path_mtu_.on_packet_too_big(mtu, quoted_bytes, core_.now) != PathMtu::Change::smaller) {
    return;
  }
  ++core_.counters.path_mtu_reductions;
  core_.path_mtus.insert(flow_.peer.address, path_mtu_.packet_bytes(), core_.now);
  path_changed_at_ = core_.now;
  update_segment_bytes();
  log_.mark_lost(core_.transmissions, position, next_);
  ready();
}

}  // namespace nearfield::net::tcp
