// The timers of a connection. One for what was sent and not answered, whatever it waits for at the
// moment (RFC 8985 8 asks for exactly that); one for the pace, one for acknowledgments, and one
// for everything slow.
#include <algorithm>

#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {

namespace {

constexpr int kMaximumShift = 8;
// Whether a device has let go of our bytes is looked at this often.
constexpr Duration kLookAgain = std::chrono::milliseconds(1);
// Unanswered keep-alives are repeated after this, until options.give_up_after is over.
constexpr Duration kKeepAliveAgain = std::chrono::seconds(15);

}  // namespace

Duration Connection::retransmission_timeout() const {
  const Duration once = round_trip_.timeout();
  return std::min(once * (1 << std::min<int>(back_off_, kMaximumShift)),
                  RoundTrip::kMaximumTimeout);
}

void Connection::arm_loss_timer() {
  const MonotonicTime now = core_.now;
  // Each acknowledgment puts it off. The wheel hears of it only when it is to fire sooner: once a
  // time-out it fires too early and looks again, which costs less than to move it each time.
  const auto arm = [&](LossTimer reason, MonotonicTime deadline) {
    loss_timer_for_ = reason;
    loss_due_ = deadline;
    if (!loss_timer_.armed() || loss_timer_.deadline() > deadline) {
      core_.wheel.arm(loss_timer_, deadline);
    }
  };
  const auto disarm = [&] {
    loss_timer_for_ = LossTimer::none;
    core_.wheel.cancel(loss_timer_);
  };
  if (!alive()) return disarm();
  const bool wants_to_send = next_ < stream_end();
  if (log_.empty() && !wants_to_send) return disarm();
  // The peer's window keeps us from sending at all: probe it (RFC 9293 3.8.6.1).
  const bool nothing_under_way = log_.in_flight_bytes() == 0 || window_right_ <= unacknowledged_;
  const StreamPosition first_to_send = log_.lost_bytes() > 0 ? unacknowledged_ : next_;
  const std::uint64_t room = window_right_ > first_to_send ? window_right_ - first_to_send : 0;
  const std::uint64_t worth = std::min<std::uint64_t>(
      {segment_bytes_, std::max<std::uint64_t>(stream_end() - first_to_send, 1),
       std::max<std::uint64_t>(largest_window_ / 2, 1)});
  if (nothing_under_way && room < worth) {
    if (loss_timer_for_ == LossTimer::window && loss_timer_.armed()) return;
    return arm(LossTimer::window, now + retransmission_timeout());
  }
  if (log_.empty()) return disarm();  // paced, or waiting for the output
  if (reordering_until_ != MonotonicTime{} && log_.in_flight_bytes() > 0) {
    return arm(LossTimer::reordering, reordering_until_);
  }
  const MonotonicTime last = retransmission_base_ + retransmission_timeout();
  if (sack_ && recovery_ == Recovery::none && log_.lost_bytes() == 0 && log_.sacked_bytes() == 0 &&
      !tail_probe_.outstanding() && consecutive_timeouts_ == 0 && !tail_probe_due_ &&
      next_ <= window_right_) {
    const MonotonicTime probe =
        probe_base_ + TailLossProbe::time_out(round_trip_.has_sample(), round_trip_.smoothed(),
                                              log_.in_flight_bytes() <= segment_bytes_);
    return arm(LossTimer::probe, std::min(probe, last));
  }
  arm(LossTimer::retransmission, last);
}

void Connection::on_loss_timer(void* context) {
  auto& self = *static_cast<Connection*>(context);
  if (!self.alive()) return;
  if (self.core_.now < self.loss_due_) {
    return self.core_.wheel.arm(self.loss_timer_, self.loss_due_);
  }
  switch (self.loss_timer_for_) {
    case LossTimer::none:
      return;
    case LossTimer::reordering:
      self.detect_losses(self.in_flight());
      break;
    case LossTimer::probe:
      self.tail_probe_due_ = true;
      break;
    case LossTimer::retransmission:
      self.retransmission_timed_out();
      break;
    case LossTimer::window:
      if (self.given_up(self.last_heard_at_)) return;
      self.window_probe_due_ = true;
      break;
  }
  if (self.alive()) self.ready();
}

bool Connection::given_up(MonotonicTime since) {
  if (core_.now - since < core_.options.give_up_after) return false;
  ++core_.counters.given_up;
  transmit_reset();
  finish(CloseReason::timed_out);
  return true;
}

// RFC 6298 5.4 to 5.6, RFC 5681 3.1, RFC 8985 6.3.
void Connection::retransmission_timed_out() {
  const MonotonicTime now = core_.now;
  ++core_.counters.timeouts;
  if (first_unanswered_at_ == MonotonicTime{}) first_unanswered_at_ = retransmission_base_;
  if (given_up(first_unanswered_at_)) return;
  if (consecutive_timeouts_ < UINT8_MAX) ++consecutive_timeouts_;
  if (back_off_ < kMaximumShift) ++back_off_;

  const Transmission* front = log_.front();
  const std::uint32_t unused =
      front == nullptr
          ? 0
          : segment_bytes_ -
                static_cast<std::uint32_t>(std::min<std::uint64_t>(front->bytes(), segment_bytes_));
  const std::uint32_t packet = full_packet_bytes() - unused;
  if (path_mtu_.on_timeout(consecutive_timeouts_, packet, now) != PathMtu::Change::none) {
    ++core_.counters.path_mtu_reductions;
    path_changed_at_ = now;
    update_segment_bytes();
  }

  // The peer may have thrown away what it had sacked; a second time-out in a row is the hint.
  if (consecutive_timeouts_ > 1 ||
      (front != nullptr && front->state == Transmission::State::sacked)) {
    log_.forget_sacks();
  }
  if (sack_) {
    rack_.mark_after_timeout(log_, path(), now);
  } else {
    log_.mark_all_lost();
  }
  // One reduction for the flight, however often its first segment times out (RFC 5681 3.1).
  if (consecutive_timeouts_ == 1) {
    congestion().on_congestion(CongestionSignal::timeout, next_ - unacknowledged_, now);
    episode_begin_ = unacknowledged_;
    episode_retransmitted_bytes_ = 0;
    episode_reduced_ = episode_unproven_ = true;
    echo_end_ = next_ + 1;
    if (ecn_) reduction_untold_ = true;
  }
  recovery_ = Recovery::timeout;
  recovery_end_ = next_;
  reduction_.end();
  tail_probe_.cancel();
  tail_probe_due_ = false;
  duplicate_acknowledgments_ = 0;
  reordering_until_ = {};
  retransmission_base_ = now;
}

// Something has to arrive so that the fate of what was sent before it can be told: new data when
// there is some, else the last segment again, whatever the congestion window says (RFC 8985 7.3).
bool Connection::probe_tail() {
  const bool wanted = !log_.empty() && recovery_ == Recovery::none && log_.lost_bytes() == 0;
  if (!wanted || tail_probe_.outstanding()) {
    tail_probe_due_ = false;
    return true;
  }
  const std::uint64_t unsent = data_end() > next_ ? data_end() - next_ : 0;
  const std::uint64_t fresh = std::min({unsent, peer_window(), std::uint64_t{segment_bytes_}});
  const bool whole = fresh > 0 && (fresh == segment_bytes_ || fresh == unsent);
  if (whole && log_.may_append(core_.transmissions)) {
    const TransmissionLog::Range range{next_, next_ + fresh};
    if (!transmit_range(range, false)) return false;
    log_.append(core_.transmissions, range.begin, range.end, core_.now);
    next_ = range.end;
    on_range_sent(range, false);
    tail_probe_.on_sent(next_, false);
  } else {
    const auto range = log_.last_unsacked(segment_bytes_);
    if (!range || range->end > window_right_) {
      tail_probe_due_ = false;
      return true;
    }
    if (!transmit_range(*range, true)) return false;
    log_.on_probed(core_.transmissions, *range, core_.now);
    on_range_sent(*range, true);
    // A duplicate of the probe proves nothing about an episode that was over before it.
    episode_retransmitted_bytes_ -= std::min(episode_retransmitted_bytes_, range->bytes());
    tail_probe_.on_sent(next_, true);
  }
  ++core_.counters.loss_probes;
  tail_probe_due_ = false;
  retransmission_base_ = core_.now;
  return true;
}

// One byte at the window's edge, which the peer answers with its window.
bool Connection::probe_window() {
  const bool sent_before = !log_.empty();
  const bool sacked = sent_before && log_.front()->state == Transmission::State::sacked;
  if ((!sent_before && next_ == stream_end()) || sacked ||
      (!sent_before && !log_.may_append(core_.transmissions))) {
    window_probe_due_ = false;
    return true;
  }
  const StreamPosition at = sent_before ? unacknowledged_ : next_;
  const std::uint64_t room = window_right_ > at ? window_right_ - at : 0;
  const StreamPosition end = sent_before ? next_ : data_end();
  // A window too small to be worth using is used now, after waiting for more in vain.
  const std::uint64_t bytes = std::min<std::uint64_t>(
      {std::max<std::uint64_t>(room, 1), std::max<std::uint64_t>(end - std::min(at, end), 1),
       segment_bytes_});
  TransmissionLog::Range range{at, at + bytes};
  if (sent_before) range.end = std::min(range.end, log_.front()->end);
  const bool ends = range.end > data_end();
  if (!transmit_range(range, sent_before)) return false;
  if (sent_before) {
    log_.on_probed(core_.transmissions, range, core_.now);
  } else {
    log_.append(core_.transmissions, range.begin, range.end, core_.now);
    next_ = range.end;
    if (ends) {
      state_ = state_ == State::close_wait ? State::last_ack : State::fin_wait_1;
      paused_ = false;
      offer_held();
    }
  }
  highest_sent_ = std::max(highest_sent_, range.end);
  last_sent_at_ = retransmission_base_ = probe_base_ = core_.now;
  if (consecutive_timeouts_ < UINT8_MAX) ++consecutive_timeouts_;
  if (back_off_ < kMaximumShift) ++back_off_;
  ++core_.counters.window_probes;
  window_probe_due_ = false;
  core_.wheel.cancel(loss_timer_);
  return true;
}

void Connection::on_pacing_timer(void* context) { static_cast<Connection*>(context)->ready(); }

void Connection::on_acknowledgment_timer(void* context) {
  static_cast<Connection*>(context)->acknowledge_now();
}

// --- everything slow ---

void Connection::arm_slow_timer() {
  MonotonicTime deadline = MonotonicTime::max();
  if (state_ == State::closed || releases_[0].to != 0) deadline = core_.now + kLookAgain;
  if (state_ == State::fin_wait_2) deadline = std::min(deadline, linger_until_);
  if (alive() && core_.options.keep_alive > Duration::zero()) {
    const bool asked = first_unanswered_at_ != MonotonicTime{};
    const MonotonicTime due = last_heard_at_ + core_.options.keep_alive;
    // What is in flight is asked after by its own timer; until then this one only looks again.
    deadline = std::min(deadline, asked || due <= core_.now ? core_.now + kKeepAliveAgain : due);
  }
  if (deadline == MonotonicTime::max()) return core_.wheel.cancel(slow_timer_);
  core_.wheel.arm(slow_timer_, deadline);
}

void Connection::on_slow_timer(void* context) {
  auto& self = *static_cast<Connection*>(context);
  if (self.state_ == State::closed) return self.ready();
  if (self.state_ == State::fin_wait_2 && self.core_.now >= self.linger_until_) {
    // The handler need not wait longer; TIME-WAIT answers the peer's FIN, whenever it comes.
    return self.finish(CloseReason::finished, true);
  }
  self.release_plan();
  const Duration keep_alive = self.core_.options.keep_alive;
  if (keep_alive > Duration::zero() && self.log_.empty() &&
      self.core_.now - self.last_heard_at_ >= keep_alive) {
    if (self.first_unanswered_at_ == MonotonicTime{}) {
      self.first_unanswered_at_ = self.core_.now;
    } else if (self.given_up(self.first_unanswered_at_)) {
      return;
    }
    self.keep_alive_due_ = true;
    self.ready();
  } else if (self.log_.empty()) {
    self.first_unanswered_at_ = {};
  }
  self.arm_slow_timer();
}

}  // namespace nearfield::net::tcp
