// What a client does with segments: RFC 9293 3.10.7, PAWS, SACK and D-SACK, delayed and stretched
// acknowledgments, windows that close. It keeps no bytes: each is compared with the pattern when it
// arrives.
#include <algorithm>

#include "tests/sim/tcp/client.h"

namespace nearfield::sim::tcp {
namespace {

constexpr Duration kReadPause = std::chrono::milliseconds(10);
constexpr std::size_t kRememberedBlocks = 8;

std::int32_t ahead(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::int32_t>(left - right);
}

}  // namespace

std::int64_t Client::position_of(std::uint32_t sequence) const {
  return static_cast<std::int64_t>(next_expected()) + ahead(sequence, sequence_at(next_expected()));
}

void Client::receive(std::span<const std::byte> packet, MonotonicTime now) {
  const auto segment = read(packet);
  if (!segment || segment->source != identity_.server || segment->destination != identity_.local) {
    ++counters_.damaged;
    return;
  }
  ++counters_.segments_received;
  switch (state_) {
    case State::waiting:
    case State::vanished:
    case State::reset_by_server:
      return;
    case State::reset:
      // What a host without this connection answers (RFC 9293 3.10.7.1).
      if (!segment->has(kRst) && segment->has(kAck)) send_reset(segment->acknowledgment);
      return;
    case State::opening:
      return receive_opening(*segment, now);
    case State::established:
    case State::finished:
      return receive_established(*segment, now);
  }
}

void Client::receive_opening(const Segment& segment, MonotonicTime now) {
  const bool is_ours =
      segment.has(kAck) && segment.acknowledgment == identity_.initial_sequence + 1;
  if (segment.has(kAck) && !is_ours) {
    // Of an earlier connection with this address and port (RFC 9293 3.10.7.3).
    if (!segment.has(kRst)) send_reset(segment.acknowledgment);
    return;
  }
  if (!is_ours) return;
  if (segment.has(kRst)) {
    state_ = State::reset_by_server;
    if (profile_.may_be_refused) return;
    return violation_("the server refused the connection");
  }
  if (!segment.has(kSyn)) return;

  state_ = State::established;
  server_initial_ = segment.sequence;
  sack_on_ = profile_.sack && segment.sack_permitted;
  ecn_on_ = profile_.ecn && segment.has(kEce) && !segment.has(kCwr);
  timestamps_on_ = profile_.timestamps && segment.timestamps.has_value();
  if (timestamps_on_) recent_timestamp_ = segment.timestamps->value;
  if (profile_.window_scale && segment.window_scale) {
    scale_ = *profile_.window_scale;
    server_scale_ = std::min<std::uint8_t>(*segment.window_scale, 14);
  }
  server_segment_bytes_ =
      std::clamp<std::size_t>(segment.maximum_segment_bytes.value_or(536), 64, 9000);
  server_edge_ = segment.window;  // never scaled in a SYN
  retransmit_time_ = profile_.retransmit_time;
  retransmit_at_.reset();
  send_acknowledgment(now);
  obey_profile(now);
  if (state_ != State::established) return;
  release_requests(now);
  send_requests(now);
  consider_ending(now);
}

void Client::receive_established(const Segment& segment, MonotonicTime now) {
  if (keep_alive_waits_ && segment.has(kAck)) {
    keep_alive_waits_ = false;
    ++counters_.keep_alives_answered;
  }
  if (profile_.keep_alive) keep_alive_at_ = now + *profile_.keep_alive;
  const std::int64_t begin = position_of(segment.sequence);
  const auto expected = static_cast<std::int64_t>(next_expected());
  if (segment.has(kRst)) {
    if (state_ == State::finished) return;
    if (begin == expected && server_fin_taken_) {
      // Everything is here; only the acknowledgment of our FIN was lost, and the server has
      // forgotten us meanwhile (RFC 9293 3.10.7.4: CLOSING and LAST-ACK just end). Whether it might
      // is the watch's business.
      state_ = State::finished;
      retransmit_at_.reset();
      return;
    }
    if (begin == expected) {
      state_ = State::reset_by_server;
      if (profile_.may_be_refused && received_in_order_ == 0 && out_of_order_.empty()) return;
      return violation_("the server reset the connection");
    }
    return send_acknowledgment(now);
  }
  if (segment.has(kSyn)) return send_acknowledgment(now);
  if (!segment.has(kAck)) return;
  if (timestamps_on_) {
    if (!segment.timestamps && !profile_.may_lose_timestamps) return;
    if (segment.timestamps &&
        ahead(segment.timestamps->value, recent_timestamp_) < 0) {  // PAWS, RFC 7323 5.3
      ++counters_.old_timestamps;
      return send_acknowledgment(now);
    }
  }
  const std::int64_t end =
      begin + static_cast<std::int64_t>(segment.payload.size()) + (segment.has(kFin) ? 1 : 0);
  const bool is_new = end > expected || (begin == end && begin == expected);
  const auto limit = static_cast<std::int64_t>(std::max(edge_, next_expected()));
  if (begin > limit) return send_acknowledgment(now);
  if (timestamps_on_ && segment.timestamps &&
      begin <= static_cast<std::int64_t>(last_acknowledged_))
    recent_timestamp_ = segment.timestamps->value;  // RFC 7323 4.3
  if (!receive_acknowledgment(segment, now)) return send_acknowledgment(now);
  if (ecn_on_) {
    if (segment.has(kCwr)) congestion_echo_ = false;
    if (segment.ecn == Ecn::experienced) {
      ++counters_.congestion_marks;
      congestion_echo_ = true;
    }
    if (segment.has(kEce)) window_reduced_due_ = true;
  }
  if (begin == end && !is_new) return send_acknowledgment(now);
  if (begin < end) receive_payload(segment, begin, now);
  obey_profile(now);
  if (state_ != State::established) return;
  read_application(now);
  release_requests(now);
  send_requests(now);
  consider_ending(now);
}

bool Client::receive_acknowledgment(const Segment& segment, MonotonicTime now) {
  const std::uint32_t base = identity_.initial_sequence + 1;
  const std::int64_t position =
      static_cast<std::int64_t>(unacknowledged_) +
      ahead(segment.acknowledgment, base + static_cast<std::uint32_t>(unacknowledged_));
  if (position > static_cast<std::int64_t>(farthest_)) return false;
  if (position < static_cast<std::int64_t>(unacknowledged_)) return true;
  const auto acknowledged = static_cast<std::uint64_t>(position);
  const std::uint64_t edge = acknowledged + (std::uint64_t{segment.window} << server_scale_);
  const bool repeats = acknowledged == unacknowledged_ && edge == server_edge_ &&
                       segment.payload.empty() && !segment.has(kFin);
  server_edge_ = edge;
  if (congestion_window_ != UINT64_MAX && repeats && unacknowledged_ < farthest_ &&
      ++duplicate_acknowledgments_ == 3 && !recovers_to_) {
    slow_start_threshold_ = std::max<std::uint64_t>((farthest_ - unacknowledged_) / 2, 3000);
    congestion_window_ = slow_start_threshold_;
    recovers_to_ = farthest_;
    retransmit_first(now);
  }
  if (acknowledged > unacknowledged_) {
    note_progress(acknowledged - unacknowledged_);
    unacknowledged_ = acknowledged;
    next_ = std::max(next_, unacknowledged_);
    if (recovers_to_ && unacknowledged_ >= *recovers_to_) recovers_to_.reset();
    if (recovers_to_) retransmit_first(now);
    retransmit_time_ = profile_.retransmit_time;
    retransmit_at_.reset();
  }
  arm_retransmit(now);
  return true;
}

bool Client::is_shrunk() const { return hold_until_ && profile_.hold->shrinks; }

std::uint64_t Client::free_bytes() const {
  const std::uint64_t unread = received_in_order_ - read_;
  return unread < profile_.receive_buffer_bytes ? profile_.receive_buffer_bytes - unread : 0;
}

void Client::take_in_order(std::uint64_t begin, std::uint64_t end) {
  out_of_order_.insert(begin, end);
  received_in_order_ = out_of_order_.end_of_run(begin);
  out_of_order_.erase_below(received_in_order_);
}

void Client::receive_payload(const Segment& segment, std::int64_t begin, MonotonicTime now) {
  const auto size = static_cast<std::int64_t>(segment.payload.size());
  const std::int64_t end = begin + size;
  const std::int64_t checked = std::min(size, std::max<std::int64_t>(0, -begin));
  const auto bytes = segment.payload.subspan(static_cast<std::size_t>(checked));
  const auto first = static_cast<std::uint64_t>(begin + checked);
  if (const std::size_t wrong = first_wrong_byte(identity_.connection, first, bytes);
      wrong < bytes.size())
    violation_("received a wrong byte at position " + std::to_string(first + wrong));
  if (server_fin_at_ && end > static_cast<std::int64_t>(*server_fin_at_))
    violation_("received bytes behind the FIN, up to position " + std::to_string(end));
  if (segment.has(kFin)) {
    if (server_fin_at_ && static_cast<std::int64_t>(*server_fin_at_) != end)
      violation_("the FIN moved to position " + std::to_string(end));
    server_fin_at_ = static_cast<std::uint64_t>(std::max<std::int64_t>(end, 0));
  }

  const auto in_order = static_cast<std::int64_t>(received_in_order_);
  const auto limit = is_shrunk() ? in_order : static_cast<std::int64_t>(edge_);
  const std::int64_t from = std::max(begin, in_order);
  const std::int64_t to = std::min(end, limit);
  bool at_once = true;
  if (begin < in_order && size > 0) {
    duplicate_ = IntervalSet::Range{
        first, std::max(std::min(end, in_order), static_cast<std::int64_t>(first))};
    counters_.duplicate_bytes += static_cast<std::uint64_t>(std::min(end, in_order) - begin);
  } else if (from < to) {
    duplicate_ =
        out_of_order_.overlap(static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to));
    if (duplicate_) counters_.duplicate_bytes += duplicate_->second - duplicate_->first;
  }
  if (from < to) {
    const auto new_begin = static_cast<std::uint64_t>(from);
    const auto new_end = static_cast<std::uint64_t>(to);
    if (from > in_order) {
      ++counters_.out_of_order;
      out_of_order_.insert(new_begin, new_end);
      std::erase_if(recent_blocks_, [&](std::uint64_t position) {
        const auto block = out_of_order_.around(position);
        return !block || (block->first <= new_begin && new_begin < block->second);
      });
      recent_blocks_.insert(recent_blocks_.begin(), new_begin);
      if (recent_blocks_.size() > kRememberedBlocks) recent_blocks_.pop_back();
    } else {
      at_once = !out_of_order_.empty() || duplicate_.has_value();
      take_in_order(new_begin, new_end);
    }
  }
  if (segment.has(kFin) && to >= end) server_fin_kept_ = true;
  if (server_fin_kept_ && received_in_order_ == *server_fin_at_) {
    server_fin_taken_ = true;
    at_once = true;
  }
  if (at_once || ++unacknowledged_segments_ >= profile_.acknowledge_every)
    send_acknowledgment(now);
  else if (!acknowledge_at_)
    acknowledge_at_ = now + profile_.acknowledge_delay;
}

void Client::obey_profile(MonotonicTime now) {
  if (state_ != State::established) return;
  const auto reached = [this](const std::optional<std::uint64_t>& bytes) {
    return bytes && received_in_order_ >= *bytes;
  };
  if (reached(profile_.reset_after_bytes)) {
    state_ = State::reset;
    acknowledge_at_.reset();
    Segment reset = blank();
    reset.flags = kRst | kAck;
    dress(reset, now);
    return transmit(reset);
  }
  if (reached(profile_.vanish_after_bytes)) {
    state_ = State::vanished;
    acknowledge_at_.reset();
    return;
  }
  if (reached(profile_.reneges_after_bytes) && !reneged_ && !out_of_order_.empty()) {
    reneged_ = true;
    out_of_order_.clear();
    recent_blocks_.clear();
    if (!server_fin_taken_) server_fin_kept_ = false;
  }
  if (profile_.hold && !held_ && received_in_order_ >= profile_.hold->after_bytes) {
    held_ = true;
    hold_until_ = now + profile_.hold->time;
    if (profile_.hold->shrinks) send_acknowledgment(now);
  }
}

void Client::read_application(MonotonicTime now) {
  if (hold_until_) return;
  if (profile_.read_bytes_per_second == 0) {
    read_ = received_in_order_;
  } else if (read_ < received_in_order_ && now >= next_read_at_) {
    const std::uint64_t most = std::max<std::uint64_t>(1, profile_.read_bytes_per_second / 100);
    read_ = std::min(received_in_order_, read_ + most);
    next_read_at_ = now + kReadPause;
  }
  if (state_ != State::established || server_fin_taken_) return;
  // An update when the window had nearly closed and is open by a good step again (the receiver's
  // half of silly window avoidance, RFC 9293 3.8.6.2.2).
  const std::uint64_t step = std::max<std::uint64_t>(
      1, std::min<std::uint64_t>(profile_.receive_buffer_bytes / 2,
                                 profile_.maximum_segment_bytes.value_or(536)));
  const std::uint64_t open_to = received_in_order_ + free_bytes();
  const std::uint64_t left =
      offered_edge_ > received_in_order_ ? offered_edge_ - received_in_order_ : 0;
  if (left < 2 * step && open_to >= offered_edge_ + step) send_acknowledgment(now);
}

void Client::dress(Segment& segment, MonotonicTime now) {
  segment.acknowledgment = sequence_at(next_expected());
  std::uint64_t window = 0;
  if (is_shrunk()) {
    offered_edge_ = received_in_order_;
  } else {
    // The edge never goes back by itself: rounded up where it stays, down where it moves.
    const std::uint64_t unit = std::uint64_t{1} << scale_;
    const std::uint64_t open_to = received_in_order_ + free_bytes();
    window = open_to > offered_edge_ ? open_to - received_in_order_
                                     : offered_edge_ - received_in_order_ + unit - 1;
    if (open_to > offered_edge_ && received_in_order_ + window / unit * unit < offered_edge_)
      window += unit - 1;
    window = std::min<std::uint64_t>(window >> scale_, 65535);
    offered_edge_ = received_in_order_ + (window << scale_);
  }
  segment.window = static_cast<std::uint16_t>(window);
  edge_ = std::max(edge_, offered_edge_);
  if (window == 0) ++counters_.zero_windows;
  if (timestamps_on_) {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    segment.timestamps = Timestamps{
        identity_.timestamp_offset + static_cast<std::uint32_t>(milliseconds), recent_timestamp_};
  }
  if (congestion_echo_) segment.flags |= kEce;
  last_acknowledged_ = next_expected();
  unacknowledged_segments_ = 0;
  acknowledge_at_.reset();
}

void Client::add_sack_blocks(Segment& segment) {
  const std::size_t room = timestamps_on_ ? 3 : 4;
  const auto add = [&](const IntervalSet::Range& range) {
    if (segment.sack_block_count < room)
      segment.sack_blocks[segment.sack_block_count++] = {sequence_at(range.first),
                                                         sequence_at(range.second)};
  };
  if (profile_.duplicate_sack && duplicate_ && duplicate_->first < duplicate_->second) {
    add(*duplicate_);
    // RFC 2883 4: the block the duplicate lies in comes next.
    if (const auto block = out_of_order_.around(duplicate_->first)) add(*block);
  }
  duplicate_.reset();
  for (const std::uint64_t position : recent_blocks_) {
    const auto block = out_of_order_.around(position);
    if (!block) continue;
    const std::uint32_t begin = sequence_at(block->first);
    const auto said = std::span(segment.sack_blocks).first(segment.sack_block_count);
    const bool repeated = std::any_of(said.begin(), said.end(), [&](const SackBlock& one) {
      return one.begin == begin && one.end == sequence_at(block->second);
    });
    if (!repeated) add(*block);
  }
}

void Client::send_acknowledgment(MonotonicTime now) {
  Segment acknowledgment = blank();
  acknowledgment.flags = kAck;
  dress(acknowledgment, now);
  if (sack_on_) add_sack_blocks(acknowledgment);
  transmit(acknowledgment);
}

}  // namespace nearfield::sim::tcp
