// A plain server; see reference_server.h. In-order segments only are taken, everything from the
// first unacknowledged byte on is sent again after a time-out.
#include "tests/sim/tcp/reference_server.h"

#include <algorithm>
#include <optional>

#include "tests/sim/tcp/exchange.h"

namespace nearfield::sim::tcp {
namespace {

constexpr Duration kFirstTimeout = std::chrono::seconds(1);
constexpr Duration kLongestTimeout = std::chrono::seconds(8);
constexpr Duration kTimeWait = std::chrono::seconds(2);
constexpr int kSynRetries = 8;
constexpr std::size_t kSmallSegment = 524;  // with timestamps it fits a 576-byte packet
constexpr std::uint16_t kWindow = 8192;

std::int32_t ahead(std::uint32_t left, std::uint32_t right) {
  return static_cast<std::int32_t>(left - right);
}

}  // namespace

struct ReferenceServer::Connection {
  Endpoint client;
  Endpoint server;
  std::uint32_t client_initial = 0;
  std::uint32_t initial = 0;
  bool established = false;
  bool done = false;  // both FINs acknowledged; forgotten at `timer`
  bool scaled = false;
  int client_scale = 0;
  bool timestamps = false;
  std::uint32_t recent_timestamp = 0;
  std::size_t segment_bytes = 536;
  // receiving
  std::uint64_t received = 0;  // bytes and FIN
  bool fin_received = false;
  Bytes half_request;
  std::uint32_t body_left = 0;
  bool closes_after_body = false;
  // sending
  std::uint32_t number = 0;
  std::uint64_t answers = 0;
  bool closes = false;
  std::uint64_t unacknowledged = 0;
  std::uint64_t next = 0;
  std::uint64_t farthest = 0;
  std::uint64_t edge = 0;
  bool fin_sent = false;
  int duplicates = 0;
  int timeouts = 0;
  Duration timeout = kFirstTimeout;
  std::optional<MonotonicTime> timer;
  bool acknowledge = false;
  // RFC 3168
  bool ecn = false;
  bool congestion_seen = false;  // a mark came, no CWR yet
  bool reduced_due = false;
  std::uint64_t reduced_at = 0;

  std::uint32_t receive_next() const {
    return client_initial + 1 + static_cast<std::uint32_t>(received);
  }
};

ReferenceServer::ReferenceServer(SendPacket send, Fault fault, std::size_t window_segments)
    : send_(std::move(send)), fault_(fault), window_segments_(window_segments) {}
ReferenceServer::~ReferenceServer() = default;

void ReferenceServer::put_out(const Segment& segment) {
  Bytes packet = build(segment);
  if (fault_ == Fault::breaks_checksum && segment.payload.size() > 100)
    packet.back() ^= std::byte{1};
  send_(packet);
}

Segment ReferenceServer::blank(const Connection& connection, MonotonicTime now) const {
  Segment segment;
  segment.source = connection.server;
  segment.destination = connection.client;
  segment.sequence = connection.initial + 1 + static_cast<std::uint32_t>(connection.farthest);
  segment.acknowledgment = connection.receive_next();
  segment.flags = kAck;
  if (connection.established && connection.congestion_seen) segment.flags |= kEce;
  segment.window = kWindow;
  if (connection.timestamps) {
    auto value = static_cast<std::uint32_t>(now.time_since_epoch() / std::chrono::milliseconds(1));
    if (fault_ == Fault::clock_goes_back) value = -value;
    segment.timestamps = Timestamps{value, connection.recent_timestamp};
  }
  return segment;
}

void ReferenceServer::send_syn(Connection& connection, MonotonicTime now) {
  Segment syn = blank(connection, now);
  syn.sequence = connection.initial;
  syn.flags = kSyn | kAck;
  syn.maximum_segment_bytes = 1400;
  if (connection.ecn) syn.flags |= kEce;
  if (connection.scaled || fault_ == Fault::agrees_to_everything) syn.window_scale = 0;
  syn.sack_permitted = fault_ == Fault::agrees_to_everything;
  put_out(syn);
  connection.timer = now + connection.timeout;
}

void ReferenceServer::open(const Segment& syn, MonotonicTime now) {
  Connection& connection = connections_[{syn.source, syn.destination}];
  connection = {};
  connection.client = syn.source;
  connection.server = syn.destination;
  connection.client_initial = syn.sequence;
  connection.initial = next_initial_;
  next_initial_ += 1'000'003;
  connection.scaled = syn.window_scale.has_value();
  connection.client_scale = std::min<int>(syn.window_scale.value_or(0), 14);
  connection.timestamps = syn.timestamps.has_value();
  connection.ecn = syn.has(kEce | kCwr);
  if (syn.timestamps) connection.recent_timestamp = syn.timestamps->value;
  const std::size_t told =
      syn.maximum_segment_bytes.value_or(syn.source.address.is_v6 ? 1220 : 536);
  connection.segment_bytes = std::min<std::size_t>(told, syn.source.address.is_v6 ? 1440 : 1460) -
                             (connection.timestamps ? 12 : 0);
  if (fault_ == Fault::sends_too_long_segments) connection.segment_bytes = told + 1;
  send_syn(connection, now);
}

void ReferenceServer::receive_too_big(std::span<const std::byte> packet) {
  const bool is_v6 = std::to_integer<int>(packet[0]) >> 4 == 6;
  const std::size_t ip = is_v6 ? 40 : 20;
  const std::size_t tcp = ip + 8 + ip;
  if (packet.size() < tcp + 4) return;
  const auto byte = [packet](std::size_t at) { return std::to_integer<std::uint32_t>(packet[at]); };
  if (is_v6 ? byte(ip) != 2 : byte(ip) != 3 || byte(ip + 1) != 4) return;
  const std::uint32_t mtu = byte(ip + 6) << 8 | byte(ip + 7);
  const std::uint32_t port = byte(tcp + 2) << 8 | byte(tcp + 3);
  Address client;
  client.is_v6 = is_v6;
  for (std::size_t index = 0; index < (is_v6 ? 16u : 4u); ++index)
    client.octets[index] = static_cast<std::uint8_t>(byte(ip + 8 + (is_v6 ? 24 : 16) + index));
  for (auto& [key, connection] : connections_) {
    if (key.first.address != client || key.first.port != port || mtu < ip + 100) continue;
    connection.segment_bytes = std::min<std::size_t>(connection.segment_bytes, mtu - ip - 20 - 12);
    connection.next = connection.unacknowledged;
    wants_to_run_ = true;
  }
}

void ReferenceServer::receive(std::span<const std::byte> packet, MonotonicTime now) {
  const auto segment = read(packet);
  if (!segment) {
    if (segment.error() == Flaw::not_tcp) receive_too_big(packet);
    return;
  }
  const auto found = connections_.find({segment->source, segment->destination});
  const bool is_known = found != connections_.end();
  const bool is_opening = segment->has(kSyn) && !segment->has(kAck) && !segment->has(kRst);
  if (is_opening && (!is_known || (found->second.done &&
                                   ahead(segment->sequence, found->second.receive_next()) > 0)))
    return open(*segment, now);
  if (is_known) return receive_in(found->second, *segment, now);
  if (segment->has(kRst) || !segment->has(kAck)) return;
  Segment reset;
  reset.source = segment->destination;
  reset.destination = segment->source;
  reset.sequence = segment->acknowledgment;
  reset.flags = kRst;
  put_out(reset);
}

void ReferenceServer::receive_in(Connection& connection, const Segment& segment,
                                 MonotonicTime now) {
  const std::int32_t begin = ahead(segment.sequence, connection.receive_next());
  if (segment.has(kRst)) {
    if (begin == 0)
      connections_.erase({segment.source, segment.destination});
    else if (begin > 0 && begin < kWindow)
      send_acknowledgment(connection, now);
    return;
  }
  if (segment.has(kSyn)) {
    if (!connection.established && segment.sequence == connection.client_initial)
      return send_syn(connection, now);
    return send_acknowledgment(connection, now);
  }
  if (!segment.has(kAck)) return;
  const std::int32_t length =
      static_cast<std::int32_t>(segment.payload.size()) + (segment.has(kFin) ? 1 : 0);
  if (begin > kWindow || begin + length < 0 || (begin < 0 && length == 0) ||
      (begin < 0 && begin + length == 0))
    return send_acknowledgment(connection, now);
  if (connection.timestamps && segment.timestamps) {
    if (ahead(segment.timestamps->value, connection.recent_timestamp) < 0)
      return send_acknowledgment(connection, now);
    if (begin <= 0) connection.recent_timestamp = segment.timestamps->value;
  }
  if (connection.ecn) {
    if (segment.has(kCwr)) connection.congestion_seen = false;
    if (segment.ecn == Ecn::experienced) connection.congestion_seen = true;
    // Once a round trip.
    if (segment.has(kEce) && connection.unacknowledged >= connection.reduced_at) {
      connection.reduced_due = true;
      connection.reduced_at = connection.farthest + 1;
    }
  }
  // The position the client acknowledges; RFC 9293 3.10.7.4.
  const std::uint32_t base =
      connection.initial + 1 + static_cast<std::uint32_t>(connection.unacknowledged);
  const std::int32_t step = ahead(segment.acknowledgment, base);
  if (step < -(1 << 20) ||
      step > static_cast<std::int64_t>(connection.farthest - connection.unacknowledged))
    return send_acknowledgment(connection, now);
  if (!connection.established) {
    if (step != 0) return;
    connection.established = true;
    connection.timer.reset();
    connection.timeout = kFirstTimeout;
  }
  if (step >= 0) {
    const std::uint64_t edge = connection.unacknowledged + static_cast<std::uint64_t>(step) +
                               (std::uint64_t{segment.window} << connection.client_scale);
    if (step > 0) {
      connection.unacknowledged += static_cast<std::uint64_t>(step);
      connection.next = std::max(connection.next, connection.unacknowledged);
      connection.timer.reset();
      connection.timeout = kFirstTimeout;
      connection.timeouts = connection.duplicates = 0;
    } else if (length == 0 && connection.farthest > connection.unacknowledged &&
               edge == connection.edge && ++connection.duplicates == 3) {
      if (fault_ == Fault::forgets_retransmission)
        connection.unacknowledged = connection.farthest;
      else
        send_range(connection, connection.unacknowledged,
                   std::min({connection.unacknowledged + connection.segment_bytes,
                             connection.farthest, connection.answers}),
                   false, now);
    }
    connection.edge = edge;
  }
  if (length > 0) take_requests(connection, segment, begin);
  const bool fin_acknowledged =
      connection.fin_sent && connection.unacknowledged > connection.answers;
  if (fin_acknowledged && connection.fin_received && !connection.done) {
    connection.done = true;
    connection.timer = now + kTimeWait;
  }
  wants_to_run_ = true;
}

void ReferenceServer::take_requests(Connection& connection, const Segment& segment,
                                    std::int32_t begin) {
  connection.acknowledge = true;
  if (begin > 0 || connection.fin_received) return;
  for (std::size_t index = static_cast<std::size_t>(-begin); index < segment.payload.size();
       ++index) {
    ++connection.received;
    if (connection.body_left > 0) {
      --connection.body_left;
      connection.closes =
          connection.closes || (connection.body_left == 0 && connection.closes_after_body);
      continue;
    }
    connection.half_request.push_back(segment.payload[index]);
    if (connection.half_request.size() < kRequestBytes) continue;
    const auto request = decode_request(std::span(connection.half_request).first<kRequestBytes>());
    connection.half_request.clear();
    if (!request) continue;  // the client will miss its answer
    connection.number = request->connection;
    connection.answers += request->answer_bytes;
    connection.body_left = request->body_bytes;
    connection.closes_after_body = request->server_closes;
    connection.closes = connection.closes || (request->server_closes && connection.body_left == 0);
  }
  if (segment.has(kFin)) {
    ++connection.received;
    connection.fin_received = true;
    connection.closes = true;
  }
}

void ReferenceServer::send_acknowledgment(Connection& connection, MonotonicTime now) {
  connection.acknowledge = false;
  Segment segment = blank(connection, now);
  if (fault_ == Fault::acknowledges_too_much && connection.received > 0) ++segment.acknowledgment;
  put_out(segment);
}

void ReferenceServer::send_range(Connection& connection, std::uint64_t begin, std::uint64_t end,
                                 bool fin, MonotonicTime now) {
  Bytes payload;
  while (begin + payload.size() < end) {
    const auto piece =
        pattern_at(connection.number, begin + payload.size(), end - begin - payload.size());
    payload.insert(payload.end(), piece.begin(), piece.end());
  }
  if (fault_ == Fault::sends_wrong_byte && begin <= 3000 && end > 3000)
    payload[3000 - begin] ^= std::byte{0x20};
  Segment segment = blank(connection, now);
  segment.sequence = connection.initial + 1 + static_cast<std::uint32_t>(begin);
  segment.payload = payload;
  if (connection.ecn && begin < end && begin >= connection.farthest) {
    segment.ecn = Ecn::ect0;
    if (connection.reduced_due) segment.flags |= kCwr;
    connection.reduced_due = false;
  }
  if (fin) {
    segment.flags |= fault_ == Fault::resets ? kRst : kFin;
    connection.fin_sent = true;
  }
  put_out(segment);
  connection.acknowledge = false;
  connection.next = std::max(connection.next, end + (fin ? 1 : 0));
  connection.farthest = std::max(connection.farthest, connection.next);
  if (!connection.timer) connection.timer = now + connection.timeout;
  if (fin && fault_ == Fault::sends_after_fin) {
    segment.sequence += static_cast<std::uint32_t>(payload.size()) + 1;
    segment.flags = kAck;
    const auto more = pattern_at(connection.number, end, 1);
    segment.payload = more;
    put_out(segment);
  }
}

void ReferenceServer::transmit(Connection& connection, MonotonicTime now) {
  if (!connection.established || connection.done) return;
  if (fault_ == Fault::goes_to_sleep && connection.unacknowledged > 20'000) return;
  std::uint64_t end = connection.answers;
  if (fault_ == Fault::answers_before_asked && connection.received > 0) end += 10;
  const std::uint64_t early = fault_ == Fault::ends_too_early && end > 0 ? 1 : 0;
  end -= early;
  const std::uint64_t segments = fault_ == Fault::bursts ? 100 : window_segments_;
  const std::uint64_t window = connection.unacknowledged + segments * connection.segment_bytes;
  const std::uint64_t edge =
      fault_ == Fault::sends_beyond_window ? window : std::min(window, connection.edge);
  while (connection.next < std::min(end, edge))
    send_range(connection, connection.next,
               std::min({connection.next + connection.segment_bytes, end, edge}), false, now);
  if (connection.closes && connection.next == end) send_range(connection, end, end, true, now);
  if (connection.acknowledge) send_acknowledgment(connection, now);
  // What is outstanding may be lost, and a closed window must be probed.
  const bool probes = connection.next < end && fault_ != Fault::refuses_to_probe;
  if (!connection.timer && (connection.unacknowledged < connection.farthest || probes))
    connection.timer = now + connection.timeout;
}

void ReferenceServer::time_out(Connection& connection, MonotonicTime now) {
  connection.timeout = std::min(2 * connection.timeout, kLongestTimeout);
  connection.timer = now + connection.timeout;
  ++connection.timeouts;
  if (!connection.established) return send_syn(connection, now);
  if (fault_ == Fault::forgets_retransmission) {
    connection.unacknowledged = connection.next = connection.farthest;
    return;
  }
  connection.duplicates = 0;
  const std::size_t small = std::min(connection.segment_bytes, kSmallSegment);
  if (connection.timeouts >= 3 && connection.edge > connection.unacknowledged)
    connection.segment_bytes = small;  // a black hole, perhaps (RFC 8899)
  connection.next = connection.unacknowledged;
  const std::uint64_t window =
      connection.edge > connection.next ? connection.edge - connection.next : 1;
  const std::uint64_t end =
      std::min(connection.answers,
               connection.next + std::min<std::uint64_t>(window, connection.segment_bytes));
  if (connection.next < end) send_range(connection, connection.next, end, false, now);
}

void ReferenceServer::run(MonotonicTime now) {
  wants_to_run_ = false;
  for (auto next = connections_.begin(); next != connections_.end();) {
    Connection& connection = next->second;
    const bool is_due = connection.timer && *connection.timer <= now;
    if (is_due && (connection.done || connection.timeouts > 2 * kSynRetries ||
                   (!connection.established && connection.timeouts > kSynRetries))) {
      next = connections_.erase(next);
      continue;
    }
    if (is_due) time_out(connection, now);
    transmit(connection, now);
    if (connection.done && connection.acknowledge) send_acknowledgment(connection, now);
    ++next;
  }
}

std::optional<MonotonicTime> ReferenceServer::next_deadline() {
  std::optional<MonotonicTime> next;
  for (const auto& [key, connection] : connections_)
    if (connection.timer && (!next || *connection.timer < *next)) next = connection.timer;
  return next;
}

}  // namespace nearfield::sim::tcp
