// A segment arrives: the checks in the order of RFC 9293 3.10.7.4, as RFC 5961 and RFC 7323 changed
// them, then the peer's bytes and their end.
#include <algorithm>

#include "cache/base/assert.h"
#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/initial_sequence.h"

namespace nearfield::net::tcp {

namespace {

// TS.Recent is not believed any more after this long without a segment: the peer's clock may have
// gone half around (RFC 7323 5.5).
constexpr Duration kTimestampOutdated = std::chrono::hours(24 * 24);

}  // namespace

void Connection::receive(const Segment& segment, bool congestion_experienced) {
  if (!alive()) return;
  const Header& header = segment.header;
  const StreamPosition begin = theirs_.position_of(header.sequence, receive_next_);
  if (!check_timestamps(segment)) return;
  if (!check_sequence(segment, begin)) return;
  if (header.flags.rst) {
    // In the window but not exact: maybe forged; a true peer answers the challenge with an exact
    // one (RFC 5961 3.2).
    if (begin != receive_next_) return challenge();
    ++core_.counters.resets_received;
    return finish(CloseReason::peer_reset);
  }
  if (header.flags.syn) return challenge();  // RFC 5961 4.2
  if (!header.flags.ack) {
    ++core_.counters.dropped_no_acknowledgment;
    return;
  }
  StreamPosition acknowledged = 0;
  if (!check_acknowledgment(segment, &acknowledged)) return;

  last_heard_at_ = core_.now;
  if (log_.empty() && first_unanswered_at_ != MonotonicTime{}) {  // a keep-alive was answered
    first_unanswered_at_ = {};
    arm_slow_timer();
  }
  if (timestamps_ && header.options.timestamps && begin <= last_acknowledgment_sent_) {
    recent_timestamp_ = header.options.timestamps->value;  // not older: check_timestamps()
    recent_timestamp_at_ = core_.now;
  }
  if (ecn_ && header.flags.cwr) echo_congestion_ = false;
  if (ecn_ && congestion_experienced) {
    // At once when it begins, so that the sender hears of it within a round trip (RFC 3168 6.1.3).
    if (!echo_congestion_) acknowledge_now();
    echo_congestion_ = true;
  }
  process_acknowledgment(segment, begin, acknowledged);
  if (!alive()) return;
  receive_payload(segment, begin);
}

// PAWS (RFC 7323 5.3). Segments without the agreed option are let through: the RFC would have them
// dropped, but middleboxes that strip the option in mid-connection exist, and what such a segment
// claims is checked like any without timestamps.
bool Connection::check_timestamps(const Segment& segment) {
  const Header& header = segment.header;
  if (!timestamps_ || !header.options.timestamps || header.flags.rst) return true;
  const auto ahead =
      static_cast<std::int32_t>(header.options.timestamps->value - recent_timestamp_);
  if (ahead >= 0 || core_.now - recent_timestamp_at_ > kTimestampOutdated) return true;
  ++core_.counters.dropped_old_timestamp;
  // An old duplicate of data is acknowledged as such; what carries none could be one of two peers
  // answering each other for ever, and a SYN is challenged whatever its number (RFC 5961 4.2).
  if (segment.sequence_length() > 0 && !header.flags.syn) {
    acknowledge_now();
  } else {
    challenge();
  }
  return false;
}

StreamPosition Connection::receive_right() const { return std::max(offered_right_, receive_next_); }

// Whether any of it lies in the window (RFC 9293 3.10.7.4, first step). A bare segment right at the
// window's right edge is let through, as its acknowledgment may be what opens ours.
bool Connection::check_sequence(const Segment& segment, StreamPosition begin) {
  const std::uint32_t length = segment.sequence_length();
  const StreamPosition right = receive_right();
  if (length == 0) {
    if (begin >= receive_next_ && begin <= right) return true;
  } else if (begin + length > receive_next_ && begin < right) {
    return true;
  } else if (begin == receive_next_ && right == receive_next_) {
    return true;  // our window is closed: what it acknowledges counts, what it carries does not
  }
  if (segment.header.flags.rst) return false;
  ++core_.counters.dropped_out_of_window;
  if (length == 0 || segment.header.flags.syn) {  // RFC 5961 4.2
    challenge();
    return false;
  }
  if (begin + length <= receive_next_) {
    ++core_.counters.duplicate_segments;
    if (sack_ && !segment.payload.empty()) {
      reassembly_.note_duplicate(begin, begin + segment.payload.size());
    }
  }
  acknowledge_now();
  return false;
}

// Within [SND.UNA - MAX.SND.WND, SND.NXT] (RFC 5961 5.2).
bool Connection::check_acknowledgment(const Segment& segment, StreamPosition* acknowledged) {
  *acknowledged = ours_.position_of(segment.header.acknowledgment, unacknowledged_);
  if (*acknowledged <= next_ && *acknowledged + largest_window_ >= unacknowledged_) return true;
  ++core_.counters.dropped_unacceptable_acknowledgment;
  challenge();
  return false;
}

// --- the peer's bytes ---

void Connection::receive_payload(const Segment& segment, StreamPosition begin) {
  std::span<const std::byte> payload = segment.payload;
  const StreamPosition right = receive_right();
  bool ends = segment.header.flags.fin;
  if (begin + payload.size() > right) {
    payload = payload.first(right > begin ? right - begin : 0);
    ends = false;
    acknowledge_now();
  }
  if (fin_position_ != 0 && begin + payload.size() > fin_position_) {
    payload = payload.first(fin_position_ > begin ? fin_position_ - begin : 0);
  }
  const StreamPosition end = begin + payload.size();
  if (ends && fin_position_ == 0 && end >= receive_next_) fin_position_ = end;

  if (!payload.empty()) {
    if (begin > receive_next_) {
      ++core_.counters.out_of_order_segments;
      StreamPosition next = receive_next_;
      if (our_end_is_sent()) {
        // Nobody will read it.
      } else if (!reassembly_.store(core_.receives, begin, payload, consumed_, &next)) {
        ++core_.counters.dropped_no_memory;
      }
      acknowledge_now();  // RFC 5681 4.2
    } else {
      if (begin < receive_next_) {
        if (sack_) reassembly_.note_duplicate(begin, std::min(end, receive_next_));
        acknowledge_now();
      }
      if (end > receive_next_) {
        // What fills a gap is acknowledged at once (RFC 5681 4.2).
        if (reassembly_.has_gap(receive_next_)) acknowledge_now();
        take_in_order(payload.subspan(receive_next_ - begin));
        acknowledge_later(payload.size());
      }
    }
  }
  if (!alive()) return;
  if (fin_position_ != 0 && receive_next_ == fin_position_) {
    receive_fin();
  } else if (fin_position_ != 0 && ends) {
    acknowledge_now();
  }
}

bool Connection::our_end_is_sent() const {
  return state_ == State::fin_wait_1 || state_ == State::fin_wait_2 || state_ == State::closing ||
         state_ == State::last_ack;
}

void Connection::take_in_order(std::span<const std::byte> bytes) {
  if (our_end_is_sent()) return drop_in_order(bytes.size());
  core_.counters.payload_bytes_received += bytes.size();
  std::size_t taken = 0;
  if (!paused_ && !aborting_ && consumed_ == receive_next_) {
    taken = handler_->on_receive(bytes);
    NEARFIELD_ASSERT(taken <= bytes.size());
    consumed_ += taken;
    receive_next_ += taken;
    if (taken < bytes.size()) paused_ = true;
  }
  if (taken < bytes.size()) {
    if (!reassembly_.store(core_.receives, receive_next_, bytes.subspan(taken), consumed_,
                           &receive_next_)) {
      ++core_.counters.dropped_no_memory;
    }
    return;
  }
  if (!reassembly_.empty()) offer_held();
}

// After our FIN: read and dropped, within a bound, so that the peer is not reset while it still
// reads our last bytes (RFC 9112 9.6).
void Connection::drop_in_order(std::uint64_t bytes) {
  receive_next_ =
      std::max(receive_next_ + bytes, reassembly_.contiguous_end(receive_next_ + bytes));
  consumed_ = receive_next_;
  reassembly_.consume(core_.receives, consumed_);
  lingered_bytes_ += static_cast<std::uint32_t>(bytes);
  if (lingered_bytes_ <= core_.options.linger_bytes) return;
  transmit_reset();
  finish(CloseReason::finished);
}

// What is held and in order goes up until the handler has enough.
void Connection::offer_held() {
  reassembly_.consume(core_.receives, consumed_);
  while (!paused_ && !aborting_ && alive()) {
    const std::span<const std::byte> bytes = reassembly_.readable(consumed_);
    if (bytes.empty()) break;
    const std::size_t taken = our_end_is_sent() ? bytes.size() : handler_->on_receive(bytes);
    NEARFIELD_ASSERT(taken <= bytes.size());
    if (taken < bytes.size()) paused_ = true;
    consumed_ += taken;
    reassembly_.consume(core_.receives, consumed_);
  }
  receive_next_ = std::max(receive_next_, reassembly_.contiguous_end(consumed_));
  // The window may have opened far enough to be worth telling (RFC 9293 3.8.6.2.2): at once where
  // what was told may hold the peer back, with the next acknowledgment otherwise.
  const std::uint64_t told = offered_right_ > receive_next_ ? offered_right_ - receive_next_ : 0;
  const std::uint64_t held = receive_next_ - consumed_;
  const std::uint64_t window = core_.options.receive_window_bytes;
  if (told <= window / 2 && window - std::min(held, window) >= told + window_step()) {
    acknowledge_now();
  }
  announce_end_if_due();
}

// --- the peer's end ---

void Connection::receive_fin() {
  receive_next_ = fin_position_ + 1;
  acknowledge_now();
  switch (state_) {
    case State::established:
      state_ = State::close_wait;
      break;
    case State::fin_wait_1:
      state_ = State::closing;
      break;
    case State::fin_wait_2:
      transmit_acknowledgment(next_);  // lost or refused: TIME-WAIT repeats it
      return finish(CloseReason::finished, true);
    default:
      break;
  }
  announce_end_if_due();
}

void Connection::announce_end_if_due() {
  if (fin_position_ == 0 || receive_next_ <= fin_position_ || end_announced_) return;
  if (consumed_ < fin_position_ || handler_ == nullptr || aborting_) return;
  end_announced_ = true;
  if (!our_end_is_sent()) handler_->on_receive_end();
}

// --- acknowledging ---

void Connection::acknowledge_now() {
  acknowledgment_due_ = true;
  ready();
}

// At least every second full segment or as many bytes (RFC 9293 3.8.6.3), and anything within the
// delay.
void Connection::acknowledge_later(std::size_t payload_bytes) {
  if (payload_bytes >= segment_bytes_ / 2) ++unacknowledged_segments_;
  if (unacknowledged_segments_ >= 2 ||
      receive_next_ - last_acknowledgment_sent_ >= 2ull * segment_bytes_) {
    return acknowledge_now();
  }
  if (acknowledgment_due_ || acknowledgment_timer_.armed()) return;
  core_.wheel.arm(acknowledgment_timer_, core_.now + core_.options.acknowledgment_delay);
}

// An answer to what may be forged: bounded for the connection and for the worker (RFC 5961 7).
void Connection::challenge() {
  if (core_.now - challenged_at_ < kChallengeAckInterval || !core_.challenges.allow(core_.now)) {
    ++core_.counters.challenges_withheld;
    return;
  }
  challenged_at_ = core_.now;
  ++core_.counters.challenges_sent;
  acknowledge_now();
}

}  // namespace nearfield::net::tcp
