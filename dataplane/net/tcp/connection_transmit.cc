// Sending: what is lost first, then what is new, as far as the congestion window, the peer's
// window, the pacer and the output allow; and the segments that carry no data.
#include <algorithm>

#include "cache/base/assert.h"
#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {

namespace {

// The handler is asked for more while less than this is unsent: enough for the largest burst and
// the next.
constexpr std::uint64_t kUnsentBytes = 256 * 1024;
constexpr std::uint16_t kTimestampOptionBytes = 12;

}  // namespace

void Connection::update_segment_bytes() {
  const std::uint16_t headers = (v4_ ? 20 : 40) + kMinimumHeaderBytes;
  const std::uint16_t whole =
      std::min<std::uint16_t>(peer_segment_bytes_, path_mtu_.packet_bytes() - headers);
  segment_bytes_ =
      std::max(whole, kMinimumSegmentBytes) - (timestamps_ ? kTimestampOptionBytes : 0);
  pacer_.set_segment_bytes(segment_bytes_);
  if (congestion_made_) congestion().set_segment_bytes(segment_bytes_);
}

// What a packet with a full segment takes on the path; the peer's limit may keep it below the
// path's.
std::uint32_t Connection::full_packet_bytes() const {
  return segment_bytes_ + (timestamps_ ? kTimestampOptionBytes : 0u) + kMinimumHeaderBytes +
         (v4_ ? 20u : 40u);
}

std::uint64_t Connection::whole_segments(std::uint64_t bytes) const {
  return bytes / segment_bytes_ * segment_bytes_;
}

void Connection::fill_plan() {
  if (starved_ || ending_ || handler_ == nullptr || plan_.room() == 0) return;
  const StreamPosition end = data_end();
  if (end - std::min(next_, end) >= kUnsentBytes) return;
  const std::uint64_t before = plan_.size_bytes();
  starved_ = true;  // until it appends, or wakes us from within
  handler_->on_send_ready(plan_);
  if (plan_.size_bytes() != before) starved_ = false;
}

// --- how much ---

std::uint64_t Connection::congestion_allowance() const {
  if (recovery_ == Recovery::fast) return reduction_.allowance();
  const std::uint64_t window = congestion().window_bytes();
  const std::uint64_t used = in_flight();
  // The first two duplicate acknowledgments let a new segment out each (RFC 3042), which
  // in_flight() and SACK do by themselves.
  return window > used ? window - used : 0;
}

// False: not yet; the pacing timer says when.
bool Connection::pacer_allows(std::uint64_t wanted_bytes, std::uint64_t* allowance) {
  *allowance = pacer_.allowance(core_.now);
  const std::uint64_t worth = std::min(wanted_bytes, pacer_.quantum());
  if (*allowance >= worth) return true;
  core_.wheel.arm(pacing_timer_, pacer_.next_opportunity(wanted_bytes));
  return false;
}

Connection::Turn Connection::transmit_lost(std::uint64_t* budget) {
  while (log_.lost_bytes() > 0) {
    if (*budget == 0) return Turn::more;
    std::uint64_t allowed = congestion_allowance();
    const std::uint64_t needed = std::min<std::uint64_t>(segment_bytes_, log_.lost_bytes());
    if (allowed < needed) {
      if (in_flight() > 0) break;  // its acknowledgment goes on
      allowed = segment_bytes_;
    }
    std::uint64_t paced = 0;
    if (!pacer_allows(std::min(allowed, log_.lost_bytes()), &paced)) break;
    std::uint64_t bytes = std::min({allowed, paced, TransmissionLog::kMaximumRangeBytes,
                                    std::uint64_t{core_.options.burst_bytes}});
    bytes = std::max<std::uint64_t>(whole_segments(bytes), segment_bytes_);
    auto range = log_.next_lost(core_.transmissions, bytes);
    if (range->end > window_right_) {
      if (range->begin >= window_right_) break;  // the peer took its window back: probe
      range = log_.next_lost(core_.transmissions, window_right_ - range->begin);
      // Without memory to cut it, the part that fits goes out for the whole, whose rest is found
      // lost again later.
      range->end = std::min(range->end, window_right_);
    }
    if (!transmit_range(*range, true)) return Turn::blocked;
    log_.on_lost_resent(core_.now);
    on_range_sent(*range, true);
    // Each retransmission starts the timer over (RFC 6675 6): what waits for it has only begun to.
    if (sack_) retransmission_base_ = core_.now;
    *budget -= std::min(*budget, range->bytes());
  }
  return Turn::done;
}

Connection::Turn Connection::transmit_new(std::uint64_t* budget) {
  window_limited_ = log_.lost_bytes() > 0;
  if (window_limited_) return Turn::done;
  if (log_.empty() && next_ < stream_end() &&
      core_.now - last_sent_at_ > retransmission_timeout()) {
    if (path_mtu_.on_time(core_.now) != PathMtu::Change::none) {
      path_changed_at_ = core_.now;
      update_segment_bytes();
    }
    congestion().on_idle_restart(core_.now - last_sent_at_, core_.now);
    if (core_.options.pacing) pacer_.on_idle(core_.now, initial_window_bytes(segment_bytes_));
    last_sent_at_ = core_.now;  // once: the pacer may want to wait a little before the first burst
  }
  while (next_ < stream_end()) {
    if (*budget == 0) return Turn::more;
    if (!log_.may_append(core_.transmissions)) {
      window_limited_ = true;  // with a larger window the ranges there are carry more each
      break;
    }
    const std::uint64_t unsent = data_end() - next_;  // 0: only the FIN
    const std::uint64_t segment = std::min<std::uint64_t>(unsent, segment_bytes_);
    const std::uint64_t window = peer_window();
    if (window == 0) break;
    std::uint64_t allowed = congestion_allowance();
    if (allowed < segment) {
      if (in_flight() > 0) {
        window_limited_ = true;
        break;
      }
      allowed = segment;
    }
    std::uint64_t bytes =
        std::min({unsent, window, allowed, TransmissionLog::kMaximumRangeBytes - 1,
                  std::uint64_t{core_.options.burst_bytes}});
    // Nothing small for want of window, unless it is all the peer ever offers (RFC 9293 3.8.6.2.1).
    if (bytes < segment && bytes < largest_window_ / 2) break;
    if (bytes > 0) {
      std::uint64_t paced = bytes;
      // Its last range for a while, as memory is scarce: all that may go goes with it.
      const bool last_range =
          core_.transmissions.is_scarce() && log_.count() + 1 >= TransmissionPool::kGuaranteed;
      if (!last_range && !pacer_allows(bytes, &paced)) {
        window_limited_ = true;  // by the window's own pace
        break;
      }
      bytes = std::min(bytes, std::max(paced, segment));
      if (bytes < unsent && bytes > segment_bytes_) bytes = whole_segments(bytes);
    }
    const bool ends = ending_ && bytes == unsent && bytes < window;
    if (bytes == 0 && !ends) break;
    const TransmissionLog::Range range{next_, next_ + bytes + (ends ? 1 : 0)};
    if (!transmit_range(range, false)) return Turn::blocked;
    const bool was_idle = log_.empty();
    log_.append(core_.transmissions, range.begin, range.end, core_.now);
    next_ = range.end;
    if (was_idle) retransmission_base_ = core_.now;
    if (range.begin < highest_sent_) {  // a window probe's byte: its acknowledgment times nothing
      log_.on_probed(core_.transmissions, {range.begin, std::min(range.end, highest_sent_)},
                     core_.now);
    }
    on_range_sent(range, false);
    if (ends) {
      state_ = state_ == State::close_wait ? State::last_ack : State::fin_wait_1;
      // What was not taken will not be any more.
      paused_ = false;
      offer_held();
    }
    *budget -= std::min(*budget, bytes);
  }
  if (next_ == stream_end() && !starved_ && !ending_ && plan_.room() > 0) {
    return Turn::more;  // ask the handler again
  }
  return Turn::done;
}

void Connection::on_range_sent(TransmissionLog::Range range, bool again) {
  const MonotonicTime now = core_.now;
  highest_sent_ = std::max(highest_sent_, range.end);
  last_sent_at_ = probe_base_ = now;
  pacer_.on_sent(range.bytes(), now);
  if (recovery_ == Recovery::fast) reduction_.on_sent(range.bytes());
  if (!again) return;
  retransmitted_bytes_ += range.bytes();
  core_.counters.retransmitted_bytes += range.bytes();
  if (episode_retransmitted_bytes_ == 0 && episode_unproven_) {
    episode_timestamp_ = timestamp_now(now) + timestamp_offset_;
  }
  episode_retransmitted_end_ = episode_retransmitted_bytes_ == 0
                                   ? range.end
                                   : std::max(episode_retransmitted_end_, range.end);
  episode_retransmitted_bytes_ += range.bytes();
}

// --- segments ---

Header Connection::make_header(StreamPosition position) {
  Header header;
  header.source_port = flow_.local.port;
  header.destination_port = flow_.peer.port;
  header.sequence = ours_.number_of(position);
  header.acknowledgment = theirs_.number_of(receive_next_);
  header.flags.ack = true;
  header.flags.ece = echo_congestion_;
  // The window: what is free, told in steps worth having, and never less than was told (RFC 9293
  // 3.8.6.2.2).
  const std::uint64_t held = receive_next_ - consumed_;
  const std::uint64_t size = core_.options.receive_window_bytes;
  const StreamPosition right = receive_next_ + (size - std::min(held, size));
  if (right >= offered_right_ + window_step() || (held == 0 && right > offered_right_))
    offered_right_ = right;
  header.window =
      static_cast<std::uint16_t>(std::min<std::uint64_t>(receive_right() - receive_next_, 65535));
  if (timestamps_) {
    header.options.timestamps = {.value = timestamp_now(core_.now) + timestamp_offset_,
                                 .echo = recent_timestamp_};
  }
  if (sack_ && (!reassembly_.empty() || reassembly_.has_duplicate())) {
    header.options.sack = reassembly_.sack_blocks(theirs_, receive_next_);
  }
  return header;
}

void Connection::on_header_sent() {
  acknowledgment_due_ = false;
  unacknowledged_segments_ = 0;
  last_acknowledgment_sent_ = receive_next_;
  reassembly_.on_duplicate_reported();
  core_.wheel.cancel(acknowledgment_timer_);
}

bool Connection::transmit_range(TransmissionLog::Range range, bool again) {
  const StreamPosition data = data_end();
  NEARFIELD_ASSERT(range.begin >= plan_begin_ && range.end <= data + (ending_ ? 1 : 0));
  OutgoingSegment segment;
  segment.flow = &flow_;
  segment.header = make_header(range.begin);
  segment.header.flags.fin = range.end > data;
  segment.header.flags.psh = range.end >= data && range.begin < data;
  const StreamPosition payload_end = std::min(range.end, data);
  if (payload_end > range.begin) {
    segment.plan = &plan_;
    segment.plan_offset = range.begin - plan_begin_;
    segment.payload_bytes = static_cast<std::uint32_t>(payload_end - range.begin);
    const std::size_t usual = kMinimumHeaderBytes + (timestamps_ ? kTimestampOptionBytes : 0);
    const std::size_t more = header_bytes(segment.header.options) - usual;  // SACK blocks
    segment.piece_bytes = static_cast<std::uint16_t>(
        segment_bytes_ - std::min<std::size_t>(more, segment_bytes_ / 2));
    // Not on retransmissions (RFC 3168 6.1.5), nor on probes of a closed window (6.1.6), which come
    // as such or are one byte.
    segment.ecn_capable =
        ecn_ && !again && range.begin >= highest_sent_ && window_right_ > range.begin;
    if (segment.ecn_capable && reduction_untold_) segment.header.flags.cwr = true;
  }
  segment.may_fragment = path_mtu_.may_fragment();
  const std::optional<Ticket> ticket = core_.transmit(segment);
  if (!ticket) return false;
  if (segment.plan != nullptr) last_ticket_ = *ticket;
  if (segment.header.flags.cwr) reduction_untold_ = false;
  on_header_sent();
  return true;
}

bool Connection::transmit_acknowledgment(StreamPosition position) {
  OutgoingSegment segment;
  segment.flow = &flow_;
  segment.header = make_header(position);
  if (!core_.transmit(segment)) return false;
  ++core_.counters.pure_acknowledgments_sent;
  on_header_sent();
  return true;
}

bool Connection::transmit_reset() {
  OutgoingSegment segment;
  segment.flow = &flow_;
  segment.header = make_header(next_);
  segment.header.flags.rst = true;
  segment.header.flags.ece = false;
  segment.header.options.sack = {};
  if (!core_.transmit(segment)) return false;
  ++core_.counters.resets_sent;
  return true;
}

}  // namespace nearfield::net::tcp
