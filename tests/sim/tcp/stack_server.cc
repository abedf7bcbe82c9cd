#include "tests/sim/tcp/stack_server.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/icmp.h"
#include "dataplane/net/ip/packet.h"

namespace nearfield::sim::tcp {

using net::tcp::OutgoingSegment;
using net::tcp::SequenceNumber;
using net::tcp::Ticket;

net::tcp::StackOptions small_stack(std::uint64_t seed) {
  net::tcp::StackOptions options;
  options.maximum_connections = 32;
  options.maximum_half_open = 16;
  options.maximum_time_wait = 32;
  options.shared_transmissions = 2048;
  options.receive_chunks = 1024;
  options.remembered_path_mtus = 16;
  options.secret = {seed * 0x9e3779b97f4a7c15 + 1, seed ^ 0xd1b54a32d192ed03};
  return options;
}

// One accepted connection: reads requests, owes their answers.
class StackServer::Session final : public net::StreamHandler {
 public:
  Session(StackServer& server, net::Stream& stream) : server_(server), stream_(stream) {}

  std::size_t on_receive(std::span<const std::byte> bytes) override {
    if (over_) complain("on_receive after the end");
    // At times as busy as a real session: takes a part now and the rest when it is its turn again.
    std::size_t take = bytes.size();
    if (server_.random_.between(0, 7) == 0 && !bytes.empty()) {
      take = server_.random_.between(0, bytes.size() - 1);
      server_.paused_.push_back(this);
    }
    std::size_t index = 0;
    while (index < take) {
      if (body_left_ > 0) {
        index += take_body(bytes.subspan(index, take - index));
        if (asleep_) break;
        continue;
      }
      request_[held_++] = bytes[index++];
      if (held_ == kRequestBytes) begin_answer();
    }
    stream_.wake_sender();
    return index;
  }

  void on_receive_end() override {
    if (over_ || ended_) complain("on_receive_end twice or late");
    ended_ = true;
    if (held_ != 0 || body_left_ > 0) complain("the peer ended within a request");
    closes_ = true;
    stream_.wake_sender();
  }

  void on_send_ready(net::SendPlan& plan) override {
    if (over_) complain("on_send_ready after the end");
    while (!owed_.empty() && plan.room() > 0 && plan.size_bytes() < 600 * 1024) {
      std::uint64_t& left = owed_.front();
      const std::span<const std::byte> bytes = pattern_at(
          connection_, position_, static_cast<std::size_t>(std::min<std::uint64_t>(left, 16384)));
      plan.append_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      appended_ += bytes.size();
      position_ += bytes.size();
      left -= bytes.size();
      if (left == 0) owed_.pop_front();
    }
    if (owed_.empty() && closes_) stream_.close_after_send();
  }

  void on_released(std::uint64_t bytes) override {
    if (over_) complain("on_released after the end");
    released_ += bytes;
    if (released_ > appended_) complain("released more than there was");
  }

  void on_closed(net::CloseReason) override {
    if (over_) complain("on_closed twice");
    over_ = true;
    std::erase(server_.paused_, this);
    std::erase_if(server_.sleeping_, [this](const auto& one) { return one.second == this; });
    server_.sessions_.erase(this);
  }

  void resume() { stream_.resume_receive(); }
  void wake() {
    asleep_ = false;
    taken_awake_ = 0;
    resume();
  }

 private:
  void begin_answer() {
    held_ = 0;
    const auto request = decode_request(request_);
    if (!request) {
      complain("a request arrived damaged");
      stream_.abort();
      return;
    }
    connection_ = request->connection;
    if (request->answer_bytes > 0) owed_.push_back(request->answer_bytes);
    body_left_ = request->body_bytes;
    closes_after_body_ = request->server_closes;
    closes_ = closes_ || (closes_after_body_ && body_left_ == 0);
  }

  // How many bytes of the body it took; it may fall asleep over them, or be asleep already.
  std::size_t take_body(std::span<const std::byte> bytes) {
    if (asleep_) return 0;
    const std::size_t size = std::min<std::size_t>(
        {bytes.size(), body_left_, server_.options_.body_bytes_at_once - taken_awake_});
    if (first_wrong_byte(pattern_of_bodies(connection_), body_position_, bytes.first(size)) < size)
      complain("a body arrived damaged");
    body_position_ += size;
    body_left_ -= static_cast<std::uint32_t>(size);
    taken_awake_ += size;
    if (body_left_ == 0) {
      closes_ = closes_ || closes_after_body_;
    } else if (taken_awake_ >= server_.options_.body_bytes_at_once) {
      asleep_ = true;
      server_.sleeping_.emplace_back(server_.now_ + server_.options_.body_pause, this);
    }
    return size;
  }

  void complain(const std::string& what) {
    if (server_.complaint_.empty()) server_.complaint_ = what + ", " + stream_.peer().text();
  }

  StackServer& server_;
  net::Stream& stream_;
  std::array<std::byte, kRequestBytes> request_{};
  std::size_t held_ = 0;
  std::uint32_t connection_ = 0;
  std::uint32_t body_left_ = 0;
  std::uint64_t body_position_ = 0;  // over all bodies
  std::size_t taken_awake_ = 0;
  bool asleep_ = false;
  bool closes_after_body_ = false;
  std::uint64_t position_ = 0;
  std::uint64_t appended_ = 0;
  std::uint64_t released_ = 0;
  std::deque<std::uint64_t> owed_;
  bool closes_ = false;
  bool ended_ = false;
  bool over_ = false;
};

StackServer::StackServer(const StackServerOptions& options, SendPacket send)
    : options_(options), send_(std::move(send)), random_(options.seed) {}

StackServer::~StackServer() { stack_.reset(); }  // its last words go to sessions

void StackServer::receive(std::span<const std::byte> bytes, MonotonicTime now) {
  now_ = now;
  draw_refusal();
  if (!stack_) {
    stack_ = std::make_unique<net::tcp::Stack>(options_.stack, *this, now);
    net::Endpoint any;
    any.port = server_endpoint(false).port;
    stack_->listen(any, *this);
  }
  const bool is_v4 = !bytes.empty() && (std::to_integer<unsigned>(bytes[0]) >> 4) == 4;
  const net::ip::ParsedPacket packet =
      is_v4 ? net::ip::parse_ipv4(bytes) : net::ip::parse_ipv6(bytes);
  if (!packet) return;
  if (packet->protocol == net::ip::kProtocolTcp) {
    net::ip::Checksum checksum =
        net::ip::pseudo_header(packet->source, packet->destination, packet->protocol,
                               static_cast<std::uint32_t>(packet->payload.size()));
    checksum.add(packet->payload);
    if (checksum.finish() != 0) return;
    stack_->receive(packet->source, packet->destination, packet->ecn, packet->payload, now);
  } else if (net::ip::icmp_checksum_is_good(*packet)) {
    const auto error = net::ip::parse_icmp_error(*packet);
    if (!error || error->protocol != net::ip::kProtocolTcp) return;
    net::tcp::PathError told;
    told.kind = error->kind == net::ip::IcmpErrorKind::kPacketTooBig
                    ? net::tcp::PathError::Kind::too_big
                    : net::tcp::PathError::Kind::unreachable;
    told.flow = {{error->local, error->local_port}, {error->peer, error->peer_port}};
    told.sequence = {error->sequence};
    told.mtu = error->mtu;
    told.quoted_bytes = error->quoted_bytes;
    stack_->receive_error(told, now);
  }
  stack_->check();
}

void StackServer::run(MonotonicTime now) {
  now_ = now;
  if (!stack_) return;
  for (Session* session : std::exchange(paused_, {})) session->resume();
  wake_sleeping();
  blocked_ =
      options_.refused_per_thousand > 0 && random_.between(0, 999) < options_.refused_per_thousand;
  stack_->advance(now);
  stack_->transmit(now, 64);
  stack_->check();
}

void StackServer::wake_sleeping() {
  std::vector<Session*> due;
  std::erase_if(sleeping_, [&](const auto& one) {
    if (one.first > now_) return false;
    due.push_back(one.second);
    return true;
  });
  for (Session* session : due) session->wake();
}

// A full device has room again with its next turn.
void StackServer::draw_refusal() {
  blocked_ =
      options_.refused_per_thousand > 0 && random_.between(0, 999) < options_.refused_per_thousand;
}

std::optional<MonotonicTime> StackServer::next_deadline() {
  if (!stack_) return std::nullopt;
  std::optional<MonotonicTime> next = stack_->next_deadline();
  for (const auto& [at, session] : sleeping_)
    if (!next || at < *next) next = at;
  return next;
}

bool StackServer::wants_to_run() { return stack_ && (stack_->wants_to_run() || !paused_.empty()); }

net::StreamHandler* StackServer::on_accept(net::Stream& stream) {
  if (sessions_.size() >= options_.maximum_sessions) return nullptr;
  auto session = std::make_unique<Session>(*this, stream);
  Session* raw = session.get();
  sessions_.emplace(raw, std::move(session));
  return raw;
}

Ticket StackServer::completed() {
  while (!reading_.empty() && reading_.front().second + options_.reads_for <= now_) {
    completed_ = reading_.front().first;
    reading_.pop_front();
  }
  return completed_;
}

std::optional<Ticket> StackServer::transmit(const OutgoingSegment& segment) {
  if (blocked_) return std::nullopt;
  std::vector<std::byte> payload;
  if (segment.payload_bytes > 0) {
    std::uint64_t offset = segment.plan_offset;
    while (payload.size() < segment.payload_bytes) {
      std::array<iovec, 8> vectors;
      std::uint64_t covered = 0;
      const std::size_t used =
          segment.plan->peek(offset, segment.payload_bytes - payload.size(), vectors, &covered);
      NEARFIELD_ASSERT(used > 0);
      for (std::size_t index = 0; index < used; ++index) {
        const auto* begin = static_cast<const std::byte*>(vectors[index].iov_base);
        payload.insert(payload.end(), begin, begin + vectors[index].iov_len);
      }
      offset += covered;
    }
  }
  std::span<const std::byte> left = payload;
  SequenceNumber sequence = segment.header.sequence;
  bool first = true;
  do {
    const std::size_t piece = std::min<std::size_t>(left.size(), segment.piece_bytes);
    send_packet(segment, sequence, left.first(piece), first, piece == left.size());
    sequence = sequence + static_cast<std::uint32_t>(piece);
    left = left.subspan(piece);
    first = false;
  } while (!left.empty());
  ++last_ticket_;
  if (options_.reads_for > Duration::zero()) {
    reading_.emplace_back(last_ticket_, now_);
  } else {
    completed_ = last_ticket_;
  }
  return last_ticket_;
}

void StackServer::send_packet(const OutgoingSegment& segment, SequenceNumber sequence,
                              std::span<const std::byte> payload, bool first, bool last) {
  net::tcp::Header header = segment.header;
  header.sequence = sequence;
  header.flags.fin = header.flags.fin && last;
  header.flags.psh = header.flags.psh && last;
  header.flags.cwr = header.flags.cwr && first;
  const std::size_t tcp_bytes = net::tcp::header_bytes(header.options);
  const bool is_v4 = segment.flow->local.address.is_v4();
  const std::size_t ip_bytes = is_v4 ? net::ip::kIpv4HeaderBytes : net::ip::kIpv6HeaderBytes;
  std::vector<std::byte> packet(ip_bytes + tcp_bytes + payload.size());
  net::ip::PacketHeader ip;
  ip.source = segment.flow->local.address;
  ip.destination = segment.flow->peer.address;
  ip.protocol = net::ip::kProtocolTcp;
  ip.ecn = segment.ecn_capable ? net::ip::kEct0 : net::ip::kNotEcnCapable;
  ip.dont_fragment = !segment.may_fragment;
  ip.payload_bytes = static_cast<std::uint16_t>(tcp_bytes + payload.size());
  net::ip::write_ip_header(ip, packet);
  const std::span<std::byte> tcp = std::span(packet).subspan(ip_bytes);
  net::tcp::write_header(header, tcp);
  std::ranges::copy(payload, tcp.begin() + static_cast<std::ptrdiff_t>(tcp_bytes));
  net::ip::Checksum checksum = net::ip::pseudo_header(ip.source, ip.destination, ip.protocol,
                                                      static_cast<std::uint32_t>(tcp.size()));
  checksum.add(tcp);
  const std::uint16_t sum = checksum.finish();
  tcp[16] = static_cast<std::byte>(sum >> 8);
  tcp[17] = static_cast<std::byte>(sum & 0xff);
  send_(packet);
}

}  // namespace nearfield::sim::tcp
