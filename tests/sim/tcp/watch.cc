// The checks at the server's door; see watch.h.
#include "tests/sim/tcp/watch.h"

#include <algorithm>
#include <utility>

namespace nearfield::sim::tcp {
namespace {

std::int32_t ahead(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::int32_t>(left - right);
}
std::string text(std::int64_t number) { return std::to_string(number); }

}  // namespace

Watch::Watch(const ClientProfile& profile, const Client::Identity& identity, bool cookies,
             const Watch* before, std::function<void(std::string)> violation)
    : profile_(profile),
      identity_(identity),
      cookies_(cookies),
      violation_(std::move(violation)),
      request_bytes_(profile.request_bytes()),
      expected_bytes_(profile.expected_bytes()) {
  std::uint64_t sum = 0;
  for (std::size_t index = 0; index < profile.answer_bytes.size(); ++index) {
    header_ends_.push_back(profile.request_begin(index) + kRequestBytes);
    answer_ends_.push_back(sum += profile.answer_bytes[index]);
  }
  if (before != nullptr) syns_ = before->syns_;
}

std::int64_t Watch::server_position(const WatchedLife& life, std::uint32_t sequence) const {
  const std::uint32_t here = *server_initial_ + 1 + static_cast<std::uint32_t>(life.farthest);
  return static_cast<std::int64_t>(life.farthest) + ahead(sequence, here);
}

std::int64_t Watch::client_position(std::uint32_t sequence) const {
  return ahead(sequence, identity_.initial_sequence + 1);  // requests are below 2^31 bytes
}

// What arrived lets the server forget the connection, but for TIME-WAIT.
bool Watch::has_ended() const {
  return life_.reset_arrived || (life_.fin_at && life_.acknowledged > *life_.fin_at &&
                                 life_.arrived.end_of_run(0) == request_bytes_ + 1);
}

bool Watch::server_may_be_gone() const { return client_left_ || has_ended(); }

// Carries a cookie: it acknowledges the SYN-ACK and follows the SYN.
bool Watch::begins_again(const Segment& segment) const {
  return cookies_ && server_initial_ && has_ended() && client_position(segment.sequence) == 0 &&
         segment.acknowledgment == *server_initial_ + 1;
}

void Watch::note_timestamps(WatchedLife& life, const Segment& segment) const {
  if (!segment.timestamps) return;
  if (!life.first_timestamp) life.first_timestamp = life.last_timestamp = segment.timestamps->value;
  if (ahead(segment.timestamps->value, life.last_timestamp) > 0)
    life.last_timestamp = segment.timestamps->value;
}

void Watch::delivered(const Segment& segment) {
  note_timestamps(life_, segment);
  if (segment.has(kSyn)) {
    if (std::find(syns_.begin(), syns_.end(), segment.sequence) == syns_.end())
      syns_.push_back(segment.sequence);
    return;
  }
  if (segment.has(kRst)) {
    const std::int64_t at = client_position(segment.sequence);
    if (at >= 0 && at <= static_cast<std::int64_t>(life_.arrived.end_of_run(0)))
      life_.reset_arrived = true;
    return;
  }
  if (!segment.has(kAck)) return;
  if (!server_initial_) {
    const auto chosen = std::find(initials_.begin(), initials_.end(), segment.acknowledgment - 1);
    const std::int64_t begin = client_position(segment.sequence);
    if (chosen == initials_.end() || begin < 0 ||
        begin > static_cast<std::int64_t>(request_bytes_) + 1)
      return;
    server_initial_ = *chosen;
  }
  if (!next_life_ && begins_again(segment)) next_life_.emplace();
  if (next_life_) {
    note_timestamps(*next_life_, segment);
    note_delivery(*next_life_, segment);
  }
  note_delivery(life_, segment);
}

void Watch::note_delivery(WatchedLife& life, const Segment& segment) const {
  const std::int64_t acknowledgment = server_position(life, segment.acknowledgment);
  const std::uint64_t emitted_end = std::max(life.farthest, life.fin_at ? *life.fin_at + 1 : 0);
  if (acknowledgment < 0 || acknowledgment > static_cast<std::int64_t>(emitted_end)) return;
  const auto acknowledged = static_cast<std::uint64_t>(acknowledgment);
  const int scale = scale_on_ ? profile_.window_scale.value_or(0) : 0;
  life.edge = std::max(life.edge, acknowledged + (std::uint64_t{segment.window} << scale));
  life.acknowledged = std::max(life.acknowledged, acknowledged);
  life.acknowledged_anything = life.acknowledged_anything || life.farthest > 0;

  const std::int64_t begin = client_position(segment.sequence);
  const std::int64_t end =
      begin + static_cast<std::int64_t>(segment.payload.size()) + (segment.has(kFin) ? 1 : 0);
  if (end > 0 && end <= static_cast<std::int64_t>(request_bytes_) + 1)
    life.arrived.insert(static_cast<std::uint64_t>(std::max<std::int64_t>(begin, 0)),
                        static_cast<std::uint64_t>(end));
}

void Watch::emitted(const Segment& segment) {
  if (segment.has(kRst)) {
    const bool refuses = profile_.may_be_refused && life_.farthest == 0;
    if (server_initial_ && !server_may_be_gone() && !refuses) violation_("the server sends a RST");
    return;
  }
  if (segment.has(kSyn)) return check_syn(segment);
  if (!segment.has(kAck)) return violation_("the server sends a segment without ACK");
  if (another_began_ && !next_life_) {
    if (!segment.payload.empty()) violation_("the server sends data to a stray SYN");
    return;
  }
  if (!server_initial_) {
    // An earlier connection of this address and port may still have its say.
    if (!initials_.empty() && !segment.payload.empty())
      violation_("the server sends data before the handshake has ended");
    return;
  }
  spoke_ = true;
  // TIME-WAIT speaks from behind the FIN.
  if (next_life_ && server_position(life_, segment.sequence) == 0) {
    life_ = std::move(*next_life_);
    next_life_.reset();
    another_began_ = false;
  }
  const std::int64_t begin = server_position(life_, segment.sequence);
  const std::uint64_t end_now = std::max(life_.farthest, life_.fin_at ? *life_.fin_at + 1 : 0);
  if (begin < -1 || begin > static_cast<std::int64_t>(end_now))
    return violation_("the server sends from position " + text(begin) + ", having sent up to " +
                      text(static_cast<std::int64_t>(end_now)));
  check_acknowledgment(segment);
  check_timestamps(segment);
  check_congestion_marks(segment, begin);
  if (!segment.payload.empty()) check_payload(segment, begin);
  if (segment.has(kFin)) check_fin(begin + static_cast<std::int64_t>(segment.payload.size()));
}

void Watch::check_syn(const Segment& segment) {
  const std::uint32_t answered = segment.acknowledgment - 1;
  if (!segment.has(kAck) || std::find(syns_.begin(), syns_.end(), answered) == syns_.end()) {
    violation_("the server sends a SYN that answers none of ours");
    return;
  }
  if (server_initial_) {
    // Fine to an old duplicate of the SYN, after the connection has gone, and while a server short
    // of room has not taken in the client's acknowledgment.
    another_began_ = another_began_ || server_may_be_gone();
    // A server without a place for it keeps the handshake half open, and answers junk meanwhile.
    const bool waits = profile_.may_be_refused && life_.farthest == 0;
    if (spoke_ && !server_may_be_gone() && !waits)
      violation_("the server sends a SYN in a connection that stands");
    return;
  }
  if (!segment.payload.empty() || segment.has(kFin)) violation_("the SYN-ACK carries data");
  // One to a stray or an earlier SYN agrees on nothing with this client.
  if (answered == identity_.initial_sequence) check_agreement(segment);
}

void Watch::check_agreement(const Segment& segment) {
  if (segment.window_scale && !profile_.window_scale)
    violation_("the SYN-ACK scales windows, which was not offered");
  if (segment.window_scale && *segment.window_scale > 14)
    violation_("the SYN-ACK scales windows by more than 14 bits");
  if (segment.sack_permitted && !profile_.sack)
    violation_("the SYN-ACK permits SACK, which was not offered");
  if (segment.timestamps && !profile_.timestamps)
    violation_("the SYN-ACK has timestamps, which were not offered");
  if (segment.has(kEce) && !profile_.ecn) violation_("the SYN-ACK has ECN, which was not offered");
  if (segment.has(kCwr)) violation_("the SYN-ACK has CWR");
  if (segment.ecn != Ecn::not_capable) violation_("the SYN-ACK is sent as ECN-capable");
  if (!segment.maximum_segment_bytes) violation_("the SYN-ACK tells no maximum segment size");
  if (std::find(initials_.begin(), initials_.end(), segment.sequence) == initials_.end() &&
      initials_.size() < 16)
    initials_.push_back(segment.sequence);
  sack_on_ = segment.sack_permitted;
  scale_on_ = segment.window_scale.has_value();
  ecn_on_ = segment.has(kEce);
  timestamps_on_ = segment.timestamps.has_value();
  check_timestamps(segment);
}

void Watch::check_payload(const Segment& segment, std::int64_t begin) {
  const auto size = static_cast<std::int64_t>(segment.payload.size());
  const std::int64_t end = begin + size;
  if (begin < 0) {
    if (size > 1) violation_("the server sends data from before the stream");
    return;
  }
  const auto first = static_cast<std::uint64_t>(begin);
  const auto last = static_cast<std::uint64_t>(end);
  if (last > life_.edge && !(size == 1 && first <= life_.edge))
    violation_("the server sends up to position " + text(end) + ", beyond the window's edge " +
               std::to_string(life_.edge));
  if (const std::size_t wrong = first_wrong_byte(identity_.connection, first, segment.payload);
      wrong < segment.payload.size())
    violation_("the server sends a wrong byte at position " + std::to_string(first + wrong));
  const auto asked =
      std::upper_bound(header_ends_.begin(), header_ends_.end(), life_.arrived.end_of_run(0)) -
      header_ends_.begin();
  const std::uint64_t answerable =
      asked == 0 ? 0 : answer_ends_[static_cast<std::size_t>(asked - 1)];
  if (last > answerable)
    violation_("the server sends up to position " + text(end) + " but was asked for " +
               std::to_string(answerable));
  if (life_.fin_at && last > *life_.fin_at) violation_("the server sends bytes behind its FIN");

  // RFC 9293 3.7.1: options count against the size the client told.
  const std::size_t most =
      profile_.maximum_segment_bytes.value_or(identity_.local.address.is_v6 ? 1220 : 536);
  if (segment.payload.size() + segment.option_bytes > most)
    violation_("the server sends " + text(size) + " bytes and " +
               std::to_string(segment.option_bytes) + " of options in one segment; told were " +
               std::to_string(most));
  // RFC 6928, and one segment more for a tail loss probe (RFC 8985 7.3).
  const std::uint64_t initial_window =
      std::min<std::uint64_t>(10 * most, std::max<std::uint64_t>(2 * most, 14600));
  if (!life_.acknowledged_anything && last > initial_window + most)
    violation_("the server sends " + text(end) + " bytes before any acknowledgment");
  if (first < life_.farthest) retransmitted_bytes_ += std::min(last, life_.farthest) - first;
  life_.farthest = std::max(life_.farthest, last);
}

void Watch::check_fin(std::int64_t position) {
  if (life_.fin_at) {
    if (position != static_cast<std::int64_t>(*life_.fin_at))
      violation_("the server's FIN moved to position " + text(position));
    return;
  }
  const std::uint64_t arrived = life_.arrived.end_of_run(0);
  const std::uint64_t needed = profile_.server_closes() ? request_bytes_ : request_bytes_ + 1;
  if (!client_left_ && (position != static_cast<std::int64_t>(expected_bytes_) || arrived < needed))
    violation_("the server sends its FIN at position " + text(position) + " of " +
               std::to_string(expected_bytes_) + " and must not yet");
  life_.fin_at = static_cast<std::uint64_t>(std::max<std::int64_t>(position, 0));
}

void Watch::check_acknowledgment(const Segment& segment) {
  const std::int64_t acknowledgment = client_position(segment.acknowledgment);
  const auto arrived = static_cast<std::int64_t>(life_.arrived.end_of_run(0));
  if (acknowledgment > arrived)
    violation_("the server acknowledges position " + text(acknowledgment) + ", having received " +
               text(arrived));
  if (acknowledgment < life_.last_acknowledgment)
    violation_("the server's acknowledgment went back to position " + text(acknowledgment));
  life_.last_acknowledgment = std::max(life_.last_acknowledgment, acknowledgment);
  if (segment.sack_block_count > 0 && !sack_on_)
    violation_("the server sends SACK blocks, which were not agreed on");
  for (std::size_t index = 0; index < segment.sack_block_count && sack_on_; ++index) {
    const std::int64_t begin = client_position(segment.sack_blocks[index].begin);
    const std::int64_t end = client_position(segment.sack_blocks[index].end);
    if (index == 0 && end <= acknowledgment && begin < end) continue;  // D-SACK, RFC 2883
    const bool is_above = begin > acknowledgment || index == 0;
    if (begin < 0 || begin >= end || !is_above ||
        !life_.arrived.contains(static_cast<std::uint64_t>(begin), static_cast<std::uint64_t>(end)))
      violation_("the server's SACK block " + text(begin) + "-" + text(end) +
                 " tells of what did not arrive");
  }
}

void Watch::check_timestamps(const Segment& segment) {
  if (!timestamps_on_) {
    if (segment.timestamps && !profile_.may_lose_timestamps)
      violation_("the server sends timestamps, which were not agreed on");
    return;
  }
  if (!segment.timestamps) {
    if (!profile_.may_lose_timestamps) violation_("the server leaves out the timestamps");
    return;
  }
  const Timestamps& now = *segment.timestamps;
  if (!life_.first_timestamp || ahead(now.echo, *life_.first_timestamp) < 0 ||
      ahead(now.echo, life_.last_timestamp) > 0)
    violation_("the server echoes timestamp " + std::to_string(now.echo) +
               ", which it was not sent");
  if (life_.last_emitted_timestamps) {
    if (ahead(now.value, life_.last_emitted_timestamps->value) < 0)
      violation_("the server's timestamp goes back to " + std::to_string(now.value));
    if (ahead(now.echo, life_.last_emitted_timestamps->echo) < 0)
      violation_("the server's timestamp echo goes back to " + std::to_string(now.echo));
  }
  life_.last_emitted_timestamps = now;
}

void Watch::check_congestion_marks(const Segment& segment, std::int64_t begin) {
  if (segment.ecn == Ecn::experienced) violation_("the server itself marks congestion");
  if (!ecn_on_ && (segment.ecn != Ecn::not_capable || segment.has(kEce) || segment.has(kCwr)))
    violation_("the server uses ECN, which was not agreed on");
  if (segment.ecn == Ecn::not_capable) return;
  // RFC 3168 6.1.4 to 6.1.6: not on acknowledgments, retransmissions, window probes.
  if (segment.payload.empty())
    violation_("an empty segment is sent as ECN-capable");
  else if (begin + static_cast<std::int64_t>(segment.payload.size()) <=
           static_cast<std::int64_t>(life_.farthest))
    violation_("a retransmission is sent as ECN-capable");
}

}  // namespace nearfield::sim::tcp
