// Segments of flows that are no connection: SYNs, what completes a handshake, what comes after the
// end, and what belongs to nothing (RFC 9293 3.10.7.1 to 3.10.7.4).
#include <algorithm>
#include <optional>
#include <utility>

#include "dataplane/net/tcp/flow_hash.h"
#include "dataplane/net/tcp/strangers.h"

namespace nearfield::net::tcp {

namespace {

// After the last cookie was sent none is believed any more; so an ACK out of nowhere costs a hash
// only while cookies are about.
constexpr Duration kCookieLife = 3 * SynCookies::kStep;

bool bare_syn(const Flags& flags) { return flags.syn && !flags.ack && !flags.rst && !flags.fin; }

std::uint16_t our_segment_bytes(const StackOptions& options, bool is_v4) {
  return static_cast<std::uint16_t>(options.packet_bytes - (is_v4 ? 20 : 40) - kMinimumHeaderBytes);
}

// Whether any of it lies in the window that our SYN-ACK offered (RFC 9293 3.4).
bool in_window(const SynCache::Entry& entry, const Segment& segment, const StackOptions& options) {
  const std::int32_t ahead = distance(entry.peer.initial + 1, segment.header.sequence);
  const auto length = static_cast<std::int64_t>(segment.sequence_length());
  if (length == 0) return ahead >= 0 && ahead <= options.receive_window_bytes;
  return ahead + length > 0 && ahead < options.receive_window_bytes;
}

Header answer_to(const Flow& flow) {
  Header header;
  header.source_port = flow.local.port;
  header.destination_port = flow.peer.port;
  return header;
}

}  // namespace

Stack::Strangers::Strangers(const StackOptions& options)
    : table(options.maximum_connections, options.secret),
      half_open(options.maximum_half_open, options.secret),
      time_wait(options.maximum_time_wait, options.secret, options.time_wait),
      initial(options.secret),
      cookies(options.secret),
      resets(options.resets_per_second, options.resets_per_second) {}

Header Stack::Strangers::syn_ack(const Core& core, const SynCache::Entry& entry) const {
  Header header = answer_to(entry.flow);
  header.sequence = entry.initial;
  header.acknowledgment = entry.peer.initial + 1;
  header.flags.syn = header.flags.ack = true;
  header.flags.ece = entry.ecn_agreed;
  header.window = core.options.receive_window_bytes;
  header.options.maximum_segment_bytes =
      our_segment_bytes(core.options, entry.flow.peer.address.is_v4());
  if (entry.peer.window_shift) header.options.window_shift = 0;  // so that the peer may use its own
  header.options.sack_permitted = entry.peer.sack_permitted;
  if (entry.peer.timestamps) {
    header.options.timestamps = {.value = timestamp_now(core.now) + entry.timestamp_offset,
                                 .echo = entry.peer_timestamp};
  }
  return header;
}

Header Stack::Strangers::acknowledgment(const Core& core, const SynCache::Entry& entry) const {
  Header header = syn_ack(core, entry);
  header.sequence = header.sequence + 1;
  header.flags.syn = header.flags.ece = false;
  header.options.maximum_segment_bytes.reset();
  header.options.window_shift.reset();
  header.options.sack_permitted = false;
  return header;
}

Header Stack::Strangers::syn_ack_with_cookie(const Core& core, const Flow& flow,
                                             const PeerOffer& offer) const {
  Header header = answer_to(flow);
  header.sequence = cookies.make(flow, offer, core.now);
  header.acknowledgment = offer.initial + 1;
  header.flags.syn = header.flags.ack = true;
  header.window = core.options.receive_window_bytes;
  header.options.maximum_segment_bytes = our_segment_bytes(core.options, flow.peer.address.is_v4());
  // What the timestamp carries for us comes back with its echo; without it nothing else can be
  // agreed on.
  if (offer.timestamps) {
    const std::uint32_t now = timestamp_now(core.now) + initial.timestamp_offset(flow);
    header.options.timestamps = {.value = cookies.timestamp_value(flow, offer, now),
                                 .echo = offer.timestamp_value};
    if (offer.window_shift) header.options.window_shift = 0;
    header.options.sack_permitted = offer.sack_permitted;
    header.flags.ece = offer.ecn;
  }
  return header;
}

bool Stack::may_challenge() {
  const bool may = core_.challenges.allow(core_.now);
  ++(may ? core_.counters.challenges_sent : core_.counters.challenges_withheld);
  return may;
}

void Stack::send_control(const Flow& flow, const Header& header) {
  OutgoingSegment segment;
  segment.flow = &flow;
  segment.header = header;
  core_.transmit(segment);  // refused: as if lost on the way
}

// RFC 9293 3.10.7.1: what the peer can tell to be an answer to what it sent.
void Stack::send_reset(const Flow& flow, const Segment& segment) {
  if (segment.header.flags.rst || !strangers_->resets.allow(core_.now)) return;
  Header header = answer_to(flow);
  header.flags.rst = true;
  if (segment.header.flags.ack) {
    header.sequence = segment.header.acknowledgment;
  } else {
    header.flags.ack = true;
    header.acknowledgment = segment.header.sequence + segment.sequence_length();
  }
  ++core_.counters.resets_sent;
  send_control(flow, header);
}

void Stack::receive_for_none(const Flow& flow, const Segment& segment,
                             bool congestion_experienced) {
  if (receive_for_time_wait(flow, segment)) return;
  if (receive_for_half_open(flow, segment, congestion_experienced)) return;
  const Header& header = segment.header;
  const int listener = listener_for(flow.local);
  if (header.flags.rst) return;
  if (listener >= 0 && bare_syn(header.flags)) return receive_syn(flow, header);
  const MonotonicTime cookie_sent_at = strangers_->cookie_sent_at;
  if (listener >= 0 && header.flags.ack && !header.flags.syn && cookie_sent_at != MonotonicTime{} &&
      core_.now - cookie_sent_at < kCookieLife) {
    const std::uint32_t offset = strangers_->initial.timestamp_offset(flow);
    const std::optional<PeerOffer> offer =
        strangers_->cookies.check(flow, header, offset, core_.now);
    if (offer) {
      ++core_.counters.cookies_accepted;
      Handshake handshake;
      handshake.flow = flow;
      handshake.peer = *offer;
      handshake.initial = header.acknowledgment - 1;
      handshake.timestamp_offset = offset;
      handshake.window = std::uint32_t{header.window} << offer->window_shift.value_or(0);
      handshake.timestamps = offer->timestamps;
      handshake.sack = offer->sack_permitted;
      handshake.ecn = offer->ecn;
      return complete(handshake, listener, segment, congestion_experienced);
    }
    // Maybe what followed a first segment that was lost: that one comes again, and proves itself. A
    // RST would end what is about to begin.
    ++core_.counters.cookies_refused;
    return;
  }
  if (listener < 0) ++core_.counters.dropped_no_listener;
  // A listener says nothing to a segment without ACK that is no SYN (RFC 9293 3.10.7.2).
  if (listener >= 0 && !header.flags.ack) return;
  send_reset(flow, segment);
}

// --- after the end ---

bool Stack::receive_for_time_wait(const Flow& flow, const Segment& segment) {
  TimeWaitTable::Entry* entry = strangers_->time_wait.find(flow);
  if (entry == nullptr) return false;
  const Header& header = segment.header;
  if (header.flags.rst) return true;  // it must not end the wait (RFC 1337 3)
  if (bare_syn(header.flags) && listener_for(flow.local) >= 0 && may_reuse(*entry, header)) {
    // A cookie cannot be made to lie beyond what the last connection sent: then rather later.
    if (strangers_->half_open.size() == strangers_->half_open.capacity()) return true;
    ++core_.counters.time_wait_reused;
    reuse_beyond_ = initial_for_reuse(*entry, strangers_->initial.make(flow, core_.now));
    strangers_->time_wait.erase(*entry);
    receive_syn(flow, header);
    return true;
  }
  // A peer that had not ended when our patience did (FIN-WAIT-2) may do so now; but what it still
  // sends nobody will read (RFC 9293 3.6.1, RFC 1122 4.2.2.13).
  if (header.sequence == entry->receive_next) {
    if (!segment.payload.empty()) {
      strangers_->time_wait.erase(*entry);
      send_reset(flow, segment);
      return true;
    }
    if (header.flags.fin) entry->receive_next = entry->receive_next + 1;
  }
  // The peer's FIN again: our last ACK was lost. Anything else out of the window, a FIN with
  // another number among it, is answered the same way, but not at any rate.
  const bool bare = segment.sequence_length() == 0 && header.sequence == entry->receive_next;
  if (bare) return true;
  if (header.flags.fin && header.sequence + segment.sequence_length() == entry->receive_next) {
    strangers_->time_wait.restart(*entry, core_.now);
  } else if (!may_challenge()) {
    return true;
  }
  Header answer = answer_to(flow);
  answer.sequence = entry->send_next;
  answer.acknowledgment = entry->receive_next;
  answer.flags.ack = true;
  answer.window = entry->window;
  if (entry->timestamps) {
    answer.options.timestamps = {.value = timestamp_now(core_.now) + entry->timestamp_offset,
                                 .echo = entry->recent_timestamp};
  }
  ++core_.counters.pure_acknowledgments_sent;
  send_control(flow, answer);
  return true;
}

// --- before the beginning ---

void Stack::receive_syn(const Flow& flow, const Header& header) {
  ++core_.counters.syns_received;
  PeerOffer offer = read_offer(header, flow.peer.address.is_v4());
  offer.ecn = offer.ecn && core_.options.ecn;
  offer.timestamps = offer.timestamps && core_.options.timestamps;
  offer.sack_permitted = offer.sack_permitted && core_.options.sack;
  const std::optional<SequenceNumber> beyond = std::exchange(reuse_beyond_, std::nullopt);
  const SequenceNumber initial = beyond.value_or(strangers_->initial.make(flow, core_.now));
  SynCache::Entry* entry = core_.options.always_cookies && !beyond
                               ? nullptr
                               : strangers_->half_open.insert(flow, core_.now);
  if (entry == nullptr) {
    ++core_.counters.cookies_sent;
    strangers_->cookie_sent_at = core_.now;
    return send_control(flow, strangers_->syn_ack_with_cookie(core_, flow, offer));
  }
  entry->peer = offer;
  entry->initial = initial;
  entry->timestamp_offset = strangers_->initial.timestamp_offset(flow);
  entry->peer_timestamp = offer.timestamp_value;
  entry->ecn_agreed = offer.ecn;
  ++core_.counters.syn_acks_sent;
  send_control(flow, strangers_->syn_ack(core_, *entry));
}

bool Stack::receive_for_half_open(const Flow& flow, const Segment& segment,
                                  bool congestion_experienced) {
  SynCache::Entry* entry = strangers_->half_open.find(flow);
  if (entry == nullptr) return false;
  const Header& header = segment.header;
  const SequenceNumber expected = entry->peer.initial + 1;
  if (header.flags.rst) {
    if (header.sequence == expected) {
      strangers_->half_open.erase(*entry);
    } else if (in_window(*entry, segment, core_.options) && may_challenge()) {  // RFC 5961 3.2
      send_control(flow, strangers_->acknowledgment(core_, *entry));
    }
    return true;
  }
  if (header.flags.syn) {
    // The SYN again: our answer was lost. One with another number gets the same answer, to which a
    // true peer says RST (RFC 9293 3.5.2).
    if (bare_syn(header.flags) && header.sequence == entry->peer.initial) {
      if (header.options.timestamps) entry->peer_timestamp = header.options.timestamps->value;
      // Without the offer of ECN: the peer has given it up and will not echo (RFC 3168 6.1.1.1).
      if (!header.flags.ece || !header.flags.cwr) entry->ecn_agreed = false;
      strangers_->half_open.resent(*entry, core_.now);
    } else if (!may_challenge()) {
      return true;
    }
    ++core_.counters.syn_acks_repeated;
    send_control(flow, strangers_->syn_ack(core_, *entry));
    return true;
  }
  if (!header.flags.ack) return true;
  const bool old_timestamp =
      entry->peer.timestamps && header.options.timestamps &&
      static_cast<std::int32_t>(header.options.timestamps->value - entry->peer_timestamp) < 0;
  if (!in_window(*entry, segment, core_.options) || old_timestamp) {
    ++core_.counters.dropped_out_of_window;
    // RFC 9293 3.10.7.4, first step; at a bounded rate, as it may be forged.
    if (may_challenge()) send_control(flow, strangers_->acknowledgment(core_, *entry));
    return true;
  }
  if (header.acknowledgment != entry->initial + 1) {
    send_reset(flow, segment);  // RFC 9293 3.10.7.4, fifth step
    return true;
  }
  Handshake handshake;
  handshake.flow = flow;
  handshake.peer = entry->peer;
  handshake.peer.timestamp_value = entry->peer_timestamp;
  handshake.initial = entry->initial;
  handshake.timestamp_offset = entry->timestamp_offset;
  handshake.window = std::uint32_t{header.window} << entry->peer.window_shift.value_or(0);
  handshake.timestamps = entry->peer.timestamps;
  handshake.sack = entry->peer.sack_permitted;
  handshake.ecn = entry->ecn_agreed;
  handshake.syn_acks_repeated = entry->retransmissions;
  if (entry->retransmissions == 0) handshake.round_trip = core_.now - entry->sent_at;
  const int listener = listener_for(flow.local);
  if (listener < 0) {
    strangers_->half_open.erase(*entry);
    return false;
  }
  complete(handshake, listener, segment, congestion_experienced);
  return true;
}

}  // namespace nearfield::net::tcp
