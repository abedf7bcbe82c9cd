// Birth and end of a connection, and what its handler calls.
#include "dataplane/net/tcp/connection.h"

#include <algorithm>
#include <new>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/tcp/cubic.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {

const char* name_of(State state) {
  switch (state) {
    case State::free:
      return "free";
    case State::established:
      return "established";
    case State::fin_wait_1:
      return "fin-wait-1";
    case State::fin_wait_2:
      return "fin-wait-2";
    case State::close_wait:
      return "close-wait";
    case State::closing:
      return "closing";
    case State::last_ack:
      return "last-ack";
    case State::closed:
      return "closed";
  }
  return "?";
}

Connection::~Connection() {
  log_.clear(core_.transmissions);
  reassembly_.clear(core_.receives);
  if (congestion_made_) congestion().~Congestion();
}

void Connection::open(const Handshake& handshake) {
  NEARFIELD_ASSERT(state_ == State::free);
  const MonotonicTime now = core_.now;
  state_ = State::established;
  flow_ = handshake.flow;
  v4_ = flow_.peer.address.is_v4();
  sack_ = handshake.sack;
  timestamps_ = handshake.timestamps;
  ecn_ = handshake.ecn;

  ours_ = SequenceSpace(handshake.initial);
  unacknowledged_ = next_ = plan_begin_ = round_end_ = kFirstBytePosition;
  window_right_ = next_ + handshake.window;
  window_told_at_ = window_told_with_ = kFirstBytePosition;
  largest_window_ = handshake.window;
  peer_window_shift_ = handshake.peer.window_shift.value_or(0);
  peer_segment_bytes_ = handshake.peer.maximum_segment_bytes;

  theirs_ = SequenceSpace(handshake.peer.initial);
  receive_next_ = consumed_ = last_acknowledgment_sent_ = kFirstBytePosition;
  offered_right_ = receive_next_ + core_.options.receive_window_bytes;
  recent_timestamp_ = handshake.peer.timestamp_value;
  recent_timestamp_at_ = now;
  timestamp_offset_ = handshake.timestamp_offset;
  oldest_echo_ = timestamp_now(core_.now) + timestamp_offset_;

  path_mtu_.start(core_.options.packet_bytes, v4_);
  if (const auto known = core_.path_mtus.find(flow_.peer.address, now)) {
    path_mtu_.on_packet_too_big(*known, 0, now);
  }
  update_segment_bytes();
  auto* cubic = new (congestion_) Cubic(segment_bytes_, core_.options.pacing);
  // RFC 5681 3.1: one segment when the SYN-ACK was lost, which RFC 6928 2 has mean more than once.
  if (handshake.syn_acks_repeated > 1) cubic->begin_with_one_segment();
  static_assert(sizeof(Cubic) <= kMaximumCongestionBytes && alignof(Cubic) <= 8);
  congestion_made_ = true;
  if (handshake.syn_acks_repeated > 0) round_trip_.handshake_was_slow();
  if (handshake.round_trip > Duration::zero()) {
    round_trip_.add_sample(handshake.round_trip, now, 1);
  }
  if (core_.options.pacing) {
    pacer_.set_rate(pacing_rate(congestion(), round_trip_));
    pacer_.on_idle(now, congestion().window_bytes());
  }
  last_heard_at_ = last_sent_at_ = now;
  arm_slow_timer();
}

void Connection::start(StreamHandler& handler) {
  handler_ = &handler;
  ready();
}

void Connection::refuse() {
  transmit_reset();
  finish(CloseReason::aborted);
}

// --- what the handler calls: marks only ---

void Connection::wake_sender() {
  starved_ = false;
  ready();
}

void Connection::resume_receive() {
  resume_requested_ = true;
  ready();
}

void Connection::close_after_send() {
  ending_ = true;
  ready();
}

void Connection::abort() {
  aborting_ = true;
  ready();
}

std::uint64_t Connection::acknowledged_bytes() {
  return std::min(unacknowledged_, data_end()) - kFirstBytePosition;
}

// --- the turn ---

Connection::Turn Connection::run() {
  if (alive() && resume_requested_ && !aborting_) {
    resume_requested_ = false;
    paused_ = false;
    offer_held();
  }
  if (alive() && !aborting_) fill_plan();
  if (alive() && aborting_) {
    if (!transmit_reset()) return Turn::blocked;
    finish(CloseReason::aborted);
  }
  if (!alive()) {
    tell_end();
    return Turn::done;
  }
  release_plan();
  std::uint64_t budget = core_.options.burst_bytes;
  if (window_probe_due_ && !probe_window()) return Turn::blocked;
  if (tail_probe_due_ && !probe_tail()) return Turn::blocked;
  Turn turn = transmit_lost(&budget);
  if (turn == Turn::done) turn = transmit_new(&budget);
  if (turn == Turn::blocked) return turn;
  if (keep_alive_due_) {
    if (!transmit_acknowledgment(next_ - 1)) return Turn::blocked;
    keep_alive_due_ = false;
  }
  if (acknowledgment_due_ && !transmit_acknowledgment(next_)) return Turn::blocked;
  arm_loss_timer();
  return turn;
}

// --- the end ---

void Connection::finish(CloseReason reason, bool time_wait) {
  if (!alive()) return;
  core_.on_flow_ended(*this, time_wait);
  state_ = State::closed;
  close_reason_ = reason;
  core_.wheel.cancel(loss_timer_);
  core_.wheel.cancel(pacing_timer_);
  core_.wheel.cancel(acknowledgment_timer_);
  core_.wheel.cancel(slow_timer_);
  log_.clear(core_.transmissions);
  reassembly_.clear(core_.receives);
  ready();
}

void Connection::tell_end() {
  if (state_ != State::closed) return;
  if (StreamHandler* handler = std::exchange(handler_, nullptr)) handler->on_closed(close_reason_);
  if (queued_) return;  // the list must not lead through a free slot; its turn comes again
  if (last_ticket_ > core_.output.completed()) {
    arm_slow_timer();  // the device still reads our bytes
    return;
  }
  plan_.clear();
  core_.on_slot_free(*this);
}

void Connection::drop() {
  if (!in_use()) return;
  finish(CloseReason::aborted);
  if (StreamHandler* handler = std::exchange(handler_, nullptr)) handler->on_closed(close_reason_);
  plan_.clear();
}

// What is acknowledged goes when no device reads it any more. Two steps wait at most: the one that
// will be over first, and all that came after it.
void Connection::release_plan() {
  const StreamPosition arrived = std::min(unacknowledged_, data_end());
  const StreamPosition before = plan_begin_;
  const auto release_to = [&](StreamPosition position) {
    if (position <= plan_begin_) return;
    plan_.release(position - plan_begin_);
    plan_begin_ = position;
  };
  if (arrived == before) return;
  const bool was_full = plan_.room() == 0;
  const Ticket completed = core_.output.completed();
  if (last_ticket_ <= completed) {
    release_to(arrived);
    releases_[0] = releases_[1] = {};
  } else {
    while (releases_[0].to != 0 && releases_[0].after <= completed) {
      release_to(releases_[0].to);
      releases_[0] = std::exchange(releases_[1], {});
    }
    if (arrived > plan_begin_) {
      PendingRelease& last = releases_[0].to == 0 ? releases_[0] : releases_[1];
      if (arrived > std::max(releases_[0].to, releases_[1].to)) last = {arrived, last_ticket_};
      arm_slow_timer();
    }
  }
  if (plan_begin_ == before) return;
  // There is room in the plan again, which may be what the handler lacked, or why it was not asked.
  if (starved_ || was_full) ready();
  starved_ = false;
  if (handler_ != nullptr) handler_->on_released(plan_begin_ - before);
}

// --- looking at it ---

ConnectionView Connection::view() const {
  ConnectionView view;
  view.flow = flow_;
  view.state = state_;
  if (!alive()) return view;
  view.smoothed_round_trip = round_trip_.smoothed();
  view.minimum_round_trip = round_trip_.minimum();
  view.retransmission_timeout = retransmission_timeout();
  view.congestion_window_bytes = congestion().window_bytes();
  view.slow_start_threshold_bytes = congestion().slow_start_threshold_bytes();
  view.pacing_bytes_per_second = pacer_.rate();
  view.in_flight_bytes = in_flight();
  view.lost_bytes = log_.lost_bytes();
  view.sacked_bytes = log_.sacked_bytes();
  view.unsent_bytes = data_end() > next_ ? data_end() - next_ : 0;
  view.peer_window_bytes = window_right_ > unacknowledged_ ? window_right_ - unacknowledged_ : 0;
  // The peer's FIN has a number, and is nothing that is held.
  const bool peer_ended = fin_position_ != 0 && receive_next_ > fin_position_;
  const std::uint64_t received_end = peer_ended ? fin_position_ : receive_next_;
  view.receive_held_bytes = received_end - std::min(consumed_, received_end);
  view.acknowledged_bytes = std::min(unacknowledged_, data_end()) - kFirstBytePosition;
  view.received_bytes = receive_next_ - kFirstBytePosition;
  view.retransmitted_bytes = retransmitted_bytes_;
  view.segment_bytes = segment_bytes_;
  view.packet_bytes = path_mtu_.packet_bytes();
  view.consecutive_timeouts = consecutive_timeouts_;
  view.sack = sack_;
  view.timestamps = timestamps_;
  view.ecn = ecn_;
  view.congestion_control = congestion().name();
  view.recovery = recovery_ == Recovery::none   ? "none"
                  : recovery_ == Recovery::fast ? "fast"
                                                : "time-out";
  return view;
}

void Connection::check() const {
  if (!alive()) return;
  log_.check();
  NEARFIELD_ASSERT(unacknowledged_ <= next_ && next_ <= stream_end());
  NEARFIELD_ASSERT(plan_begin_ <= unacknowledged_);
  NEARFIELD_ASSERT(consumed_ <= receive_next_);
  NEARFIELD_ASSERT(log_.in_flight_bytes() + log_.lost_bytes() + log_.sacked_bytes() ==
                   next_ - unacknowledged_);
  NEARFIELD_ASSERT(log_.empty() || log_.front()->begin == unacknowledged_);
}

}  // namespace nearfield::net::tcp
