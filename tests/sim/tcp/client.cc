// A client's life and what it sends; what it receives is in client_receive.cc.
#include "tests/sim/tcp/client.h"

#include <algorithm>
#include <utility>

namespace nearfield::sim::tcp {
namespace {

constexpr Duration kFirstSynTime = std::chrono::seconds(1);  // RFC 6298 2.1
constexpr Duration kLongestRetransmitTime = std::chrono::seconds(8);

constexpr std::uint64_t kInitialWindow = 14'000;

}  // namespace

std::uint64_t ClientProfile::expected_bytes() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t bytes : answer_bytes) sum += bytes;
  return sum;
}

std::uint64_t ClientProfile::request_begin(std::size_t index) const {
  std::uint64_t begin = index * kRequestBytes;
  for (std::size_t each = 0; each < std::min(index, body_bytes.size()); ++each)
    begin += body_bytes[each];
  return begin;
}

std::uint64_t ClientProfile::request_bytes() const { return request_begin(answer_bytes.size()); }

Client::Client(const ClientProfile& profile, const Identity& identity,
               std::function<void(Bytes)> send, std::function<void(std::string)> violation)
    : profile_(profile),
      identity_(identity),
      send_(std::move(send)),
      violation_(std::move(violation)),
      random_(identity.seed),
      retransmit_time_(kFirstSynTime),
      junk_left_(profile.junk_segments) {
  build_requests();
}

void Client::build_requests() {
  requests_.reserve(profile_.request_bytes());
  std::uint64_t body_position = 0;
  for (std::size_t index = 0; index < profile_.answer_bytes.size(); ++index) {
    Request request;
    request.connection = identity_.connection;
    request.answer_bytes = profile_.answer_bytes[index];
    if (index < profile_.body_bytes.size()) request.body_bytes = profile_.body_bytes[index];
    request.server_closes = profile_.server_closes() && index + 1 == profile_.answer_bytes.size();
    const auto bytes = encode_request(request);
    request_begins_.push_back(requests_.size());
    requests_.insert(requests_.end(), bytes.begin(), bytes.end());
    for (std::uint64_t left = request.body_bytes; left > 0;) {
      const auto body = pattern_at(pattern_of_bodies(identity_.connection), body_position, left);
      requests_.insert(requests_.end(), body.begin(), body.end());
      body_position += body.size();
      left -= body.size();
    }
    expected_bytes_ += request.answer_bytes;
    answer_ends_.push_back(expected_bytes_);
  }
  request_begins_.push_back(requests_.size());
  if (!profile_.body_bytes.empty()) congestion_window_ = kInitialWindow;
}

std::uint32_t Client::next_initial_sequence() const {
  return identity_.initial_sequence + static_cast<std::uint32_t>(requests_.size()) + 64'000;
}

Segment Client::blank() const {
  Segment segment;
  segment.source = identity_.local;
  segment.destination = identity_.server;
  segment.sequence = identity_.initial_sequence + 1 + static_cast<std::uint32_t>(farthest_);
  return segment;
}

void Client::transmit(Segment segment) {
  ++counters_.segments_sent;
  send_(build(segment));
}

void Client::start(MonotonicTime now) {
  state_ = State::opening;
  if (profile_.keep_alive) keep_alive_at_ = now + *profile_.keep_alive;
  if (junk_left_ > 0) junk_at_ = now + profile_.junk_pause;
  send_syn(now);
}

void Client::send_syn(MonotonicTime now) {
  Segment syn = blank();
  syn.sequence = identity_.initial_sequence;
  syn.flags = kSyn;
  if (profile_.ecn) syn.flags |= kEce | kCwr;  // RFC 3168 6.1.1
  syn.window =
      static_cast<std::uint16_t>(std::min<std::size_t>(profile_.receive_buffer_bytes, 65535));
  syn.maximum_segment_bytes = profile_.maximum_segment_bytes;
  syn.window_scale = profile_.window_scale;
  syn.sack_permitted = profile_.sack;
  if (profile_.timestamps) {
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    syn.timestamps =
        Timestamps{identity_.timestamp_offset + static_cast<std::uint32_t>(milliseconds), 0};
  }
  offered_edge_ = edge_ = syn.window;
  transmit(syn);
  retransmit_at_ = now + retransmit_time_;
}

std::uint64_t Client::sendable_end() const {
  const std::uint64_t congested_at =
      congestion_window_ == UINT64_MAX ? UINT64_MAX : unacknowledged_ + congestion_window_;
  return std::min({released_, server_edge_, congested_at});
}

void Client::send_piece(std::uint64_t begin, std::uint64_t end, bool fin, MonotonicTime now) {
  Segment piece = blank();
  piece.sequence = identity_.initial_sequence + 1 + static_cast<std::uint32_t>(begin);
  piece.flags = kAck;
  piece.payload = std::span(requests_).subspan(begin, end - begin);
  if (begin < end) piece.flags |= kPsh;
  if (begin < end && profile_.urgent) {
    piece.flags |= kUrg;
    piece.urgent_pointer = static_cast<std::uint16_t>(end - begin);
  }
  if (ecn_on_ && begin < end && begin >= farthest_) {
    piece.ecn = Ecn::ect0;
    if (window_reduced_due_) piece.flags |= kCwr;
    window_reduced_due_ = false;
  }
  if (fin) {
    piece.flags |= kFin;
    fin_sent_ = true;
  }
  dress(piece, now);
  transmit(piece);
  next_ = end + (fin ? 1 : 0);
  farthest_ = std::max(farthest_, next_);
}

void Client::send_requests(MonotonicTime now) {
  if (state_ != State::established && state_ != State::finished) return;
  const std::uint64_t size = requests_.size();
  while (next_ < sendable_end() && now >= next_piece_at_) {
    // In a body: where the request before it began lies more than a request's length behind.
    const auto after = std::upper_bound(request_begins_.begin(), request_begins_.end(), next_);
    const bool in_body = next_ >= *(after - 1) + kRequestBytes;
    const std::size_t most = in_body ? server_segment_bytes_ - 12
                                     : std::min<std::size_t>(server_segment_bytes_, 400) - 12;
    const std::uint64_t length = std::min<std::uint64_t>(
        most, in_body
                  ? random_.between(profile_.largest_body_piece_bytes / 2,
                                    profile_.largest_body_piece_bytes)
                  : random_.between(profile_.smallest_split_bytes, profile_.largest_split_bytes));
    std::uint64_t begin = next_;
    const std::uint64_t end = std::min(next_ + length, sendable_end());
    if (profile_.overlaps && length + 8 < most && random_.between(0, 1) == 0)
      begin -= std::min(begin, random_.between(1, 8));
    const bool fin = fin_wanted_ && end == size && random_.between(0, 1) == 0;
    send_piece(begin, end, fin, now);
    if (!in_body) next_piece_at_ = now + profile_.split_pause;
  }
  if (fin_wanted_ && next_ == size) send_piece(size, size, true, now);
  arm_retransmit(now);
}

void Client::arm_retransmit(MonotonicTime now) {
  const bool waits = unacknowledged_ < farthest_ || (next_ < released_ && next_ >= server_edge_);
  if (!waits)
    retransmit_at_.reset();
  else if (!retransmit_at_)
    retransmit_at_ = now + retransmit_time_;
}

void Client::retransmit(MonotonicTime now) {
  ++counters_.timeouts;
  retransmit_time_ = std::min(2 * retransmit_time_, kLongestRetransmitTime);
  retransmit_at_ = now + retransmit_time_;
  if (state_ == State::opening) return send_syn(now);
  if (congestion_window_ != UINT64_MAX) {
    slow_start_threshold_ = std::max<std::uint64_t>((farthest_ - unacknowledged_) / 2, 3000);
    congestion_window_ = 1500;
    recovers_to_.reset();
    duplicate_acknowledgments_ = 0;
  }
  next_ = unacknowledged_;
  next_piece_at_ = now;
  if (next_ < released_ && next_ >= server_edge_)
    send_piece(next_, next_ + 1, false, now);  // a probe of the server's window
  else
    send_requests(now);
}

// The piece everything else waits for, and nothing behind it.
void Client::retransmit_first(MonotonicTime now) {
  ++counters_.fast_retransmissions;
  const std::uint64_t next = next_;
  const std::uint64_t end = std::min<std::uint64_t>(
      {unacknowledged_ + server_segment_bytes_ - 12, requests_.size(), farthest_, server_edge_});
  if (end <= unacknowledged_) return;
  send_piece(unacknowledged_, end, false, now);
  next_ = std::max(next, end);
}

void Client::note_progress(std::uint64_t acknowledged_bytes) {
  duplicate_acknowledgments_ = 0;
  if (congestion_window_ == UINT64_MAX || recovers_to_) return;
  const std::uint64_t more = std::min<std::uint64_t>(acknowledged_bytes, 3000);
  congestion_window_ += congestion_window_ < slow_start_threshold_
                            ? more
                            : std::max<std::uint64_t>(1, more * 1400 / congestion_window_);
}

void Client::release_requests(MonotonicTime now) {
  if (profile_.pipelined) {
    released_ = requests_.size();
    return;
  }
  while (released_ < requests_.size()) {
    if (asked_ > 0 && received_in_order_ < answer_ends_[asked_ - 1]) return;
    if (asked_ > 0 && profile_.think.count() > 0) {
      if (!think_until_) think_until_ = now + profile_.think;
      if (now < *think_until_) return;
    }
    think_until_.reset();
    released_ = request_begins_[++asked_];
  }
}

void Client::consider_ending(MonotonicTime now) {
  if (state_ != State::established) return;
  const bool all_asked = released_ == requests_.size();
  switch (profile_.closing) {
    case Closing::after_requests:
      fin_wanted_ = all_asked;
      break;
    case Closing::after_answers:
      fin_wanted_ = all_asked && received_in_order_ == expected_bytes_;
      break;
    case Closing::after_server:
      fin_wanted_ = server_fin_taken_;
      break;
    case Closing::crossing:
      fin_wanted_ =
          server_fin_taken_ || (all_asked && received_in_order_ + 4000 >= expected_bytes_);
      break;
  }
  send_requests(now);
  if (server_fin_taken_ && unacknowledged_ == requests_.size() + 1) {
    state_ = State::finished;
    retransmit_at_.reset();
    if (received_in_order_ != expected_bytes_)
      violation_("the server ended the stream after " + std::to_string(received_in_order_) +
                 " bytes of " + std::to_string(expected_bytes_));
  }
}

void Client::send_reset(std::uint32_t sequence) {
  Segment reset = blank();
  reset.sequence = sequence;
  reset.flags = kRst;
  transmit(reset);
}

void Client::send_keep_alive(MonotonicTime now) {
  keep_alive_at_ = now + *profile_.keep_alive;
  if (state_ != State::established || unacknowledged_ != farthest_ || fin_sent_) return;
  // Only while quiet (RFC 9293 3.8.4): what a probe acknowledges nobody reads, as it lies out of
  // the window.
  if (acknowledge_at_) return;
  ++counters_.keep_alives;
  keep_alive_waits_ = true;
  Segment probe = blank();
  --probe.sequence;  // RFC 9293 3.8.4: with or without a byte of garbage
  probe.flags = kAck;
  const std::byte garbage{0xee};
  if (random_.between(0, 1) == 0) probe.payload = std::span(&garbage, 1);
  dress(probe, now);
  transmit(probe);
}

void Client::send_junk(MonotonicTime now) {
  if (state_ == State::opening) {
    junk_at_ = now + profile_.junk_pause;
    return;
  }
  if (state_ != State::established || server_fin_kept_ || fin_sent_) {
    junk_at_.reset();
    return;
  }
  if (--junk_left_ > 0)
    junk_at_ = now + profile_.junk_pause;
  else
    junk_at_.reset();
  ++counters_.junk;
  const Bytes garbage(random_.between(1, 200), std::byte{0x6a});
  // Behind every sequence number the stream will ever use, but inside most windows.
  const std::uint32_t near = identity_.initial_sequence + 1 +
                             static_cast<std::uint32_t>(requests_.size()) +
                             static_cast<std::uint32_t>(random_.between(100, 1000));
  Segment junk = blank();
  junk.flags = kAck;
  dress(junk, now);
  switch (random_.between(0, 5)) {
    case 0:  // far ahead
      junk.sequence += 1u << 30;
      junk.payload = garbage;
      break;
    case 1:  // far behind
      junk.sequence -= 1u << 30;
      junk.payload = garbage;
      break;
    case 2:  // RFC 5961 3.2: in the window, not exact: a challenge, no reset
      junk.sequence = near;
      junk.flags = kRst;
      break;
    case 3:  // RFC 5961 4.2
      junk.sequence = near;
      junk.flags = kSyn;
      junk.timestamps.reset();
      break;
    case 4:  // of what was never sent
      junk.acknowledgment += (1u << 20) + static_cast<std::uint32_t>(random_.between(0, 1 << 20));
      break;
    default:  // RFC 5961 5.2: of what was acknowledged long ago, or before there was anything
      junk.acknowledgment -= 1u << 30;
      junk.payload = garbage;
      break;
  }
  transmit(junk);
}

void Client::run(MonotonicTime now) {
  const auto is_due = [now](const auto& at) { return at && *at <= now; };
  if (state_ == State::opening || state_ == State::established) {
    if (is_due(retransmit_at_)) retransmit(now);
    if (is_due(keep_alive_at_)) send_keep_alive(now);
    if (is_due(junk_at_)) send_junk(now);
  }
  if (state_ == State::established) {
    if (is_due(hold_until_)) {
      hold_until_.reset();
      read_application(now);
      send_acknowledgment(now);
    }
    read_application(now);
    release_requests(now);
    send_requests(now);
    consider_ending(now);
  }
  if (is_due(acknowledge_at_)) send_acknowledgment(now);
}

std::optional<MonotonicTime> Client::next_deadline() const {
  std::optional<MonotonicTime> next = acknowledge_at_;
  const auto consider = [&next](const std::optional<MonotonicTime>& at) {
    if (at && (!next || *at < *next)) next = at;
  };
  if (state_ != State::opening && state_ != State::established) return next;
  consider(retransmit_at_);
  consider(keep_alive_at_);
  consider(junk_at_);
  consider(think_until_);
  consider(hold_until_);
  if (state_ == State::established) {
    if (next_ < sendable_end()) consider(next_piece_at_);
    if (profile_.read_bytes_per_second > 0 && read_ < received_in_order_ && !hold_until_)
      consider(next_read_at_);
  }
  return next;
}

}  // namespace nearfield::sim::tcp
