#include "dataplane/net/dpdk/station.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/neighbour_message.h"

namespace nearfield::net::dpdk {
namespace {

// Answers a second, and at once: enough for monitoring and path MTU discovery of a whole site, too
// little to be worth reflecting (RFC 4443 2.4 f).
constexpr std::uint32_t kEchoesPerSecond = 1000;
constexpr std::uint32_t kErrorsPerSecond = 200;
constexpr std::uint32_t kAtOnce = 50;

constexpr std::size_t kScratchBytes =
    ip::kMaximumEthernetHeaderBytes + ip::kIpv6HeaderBytes + ip::kMaximumEchoBytes;
static_assert(ip::kMaximumIcmpErrorBytes + ip::kMaximumEthernetHeaderBytes <= kScratchBytes);

// What a sibling's table has to say has been said on the queue the message came in by.
class Silence final : public ip::FrameSink {
 public:
  bool send_frame(std::span<const std::byte>) override { return true; }
};

bool is_unspecified_for(const Address& listener, const Address& local) {
  if (listener == Address()) return true;
  return listener.is_v4() && local.is_v4() && ip::is_unspecified(listener);
}

std::optional<tcp::PathError> path_error_of(const ip::IcmpError& error) {
  if (error.protocol != ip::kProtocolTcp) return std::nullopt;
  return tcp::PathError{
      .kind = error.kind == ip::IcmpErrorKind::kPacketTooBig ? tcp::PathError::Kind::too_big
                                                             : tcp::PathError::Kind::unreachable,
      .flow = {.local = {error.local, error.local_port}, .peer = {error.peer, error.peer_port}},
      .sequence = {error.sequence},
      .mtu = error.mtu,
      .quoted_bytes = error.quoted_bytes};
}

// RFC 4861 7.3.1: an acknowledgment that measures a round trip and new data both show that what we
// send arrives.
std::uint64_t progress_of(const tcp::Counters& counters) {
  return std::accumulate(counters.round_trips.begin(), counters.round_trips.end(),
                         counters.payload_bytes_received);
}

}  // namespace

Station::Station(StationOptions options, PacketIo& io, PacketPool& pool,
                 const ExternalMemory* memory)
    : mac_(options.mac),
      vlan_id_(options.vlan_id),
      routes_(options.routes),
      announces_(options.announces),
      link_of_(options.link_of),
      io_(io),
      neighbours_({.mac = options.mac, .vlan_id = options.vlan_id, .key = options.key}, routes_),
      next_hop_(routes_, neighbours_, options.mac, options.vlan_id),
      transmitter_(options.transmitter, io, pool, next_hop_, memory),
      receiver_(io, options.mac),
      tap_(std::move(options.tap)),
      bell_(options.waits ? Doorbell::create() : nullptr),
      echo_limit_(kEchoesPerSecond, kAtOnce),
      error_limit_(kErrorsPerSecond, kAtOnce),
      scratch_(std::make_unique<std::byte[]>(kScratchBytes)) {}

Station::~Station() = default;

void Station::claim(const Endpoint& local) {
  if (std::ranges::find(claimed_, local) == claimed_.end()) claimed_.push_back(local);
}

void Station::look_at_link() {
  link_at_ = now_ + kLinkEvery;
  const bool up = link_of_->link().up;
  if (up == is_link_up_) return;
  is_link_up_ = up;
  const Message message{.kind = up ? Message::Kind::link_up : Message::Kind::link_down,
                        .frame_bytes = 0,
                        .frame = {},
                        .path_error = {}};
  on_message(message);
  tell_siblings(message);
}

void Station::begin_turn(MonotonicTime now) {
  now_ = now;
  transmitter_.begin_turn(now);
  if (!was_open_ && is_open_.load(std::memory_order_acquire)) {
    was_open_ = true;
    if (bell_ && (!tap_ || bell_->watch(tap_->descriptor()))) bell_->watch_queue(io_);
    if (announces_) neighbours_.announce(now);
  }
}

bool Station::receive() {
  if (!was_open_) return false;
  // First what others were told: who asked for us on their queue has a SYN on this one.
  std::size_t messages = 0;
  for (Message message; messages < kMessagesPerTurn && mailbox_.take(message); ++messages) {
    on_message(message);
  }
  std::size_t packets = 0;
  for (std::size_t burst = 0; burst < kBurstsPerTurn; ++burst) {
    const std::size_t taken = receiver_.poll(*this);
    packets += taken;
    if (taken < kBurstPackets) break;
  }
  return messages > 0 || packets > 0;
}

bool Station::advance() {
  if (!was_open_) return false;
  bool worked = false;
  if (link_of_ != nullptr && now_ >= link_at_) look_at_link();
  neighbours_.advance(now_, transmitter_);
  transmitter_.release_held();
  if (tap_ && now_ >= tap_at_) {
    // A full measure: there may be more, and then it is asked again next turn.
    const std::size_t frames = tap_->from_kernel(transmitter_);
    tap_at_ = frames == ExceptionTap::kFramesPerTurn ? now_ : now_ + kTapEvery;
    worked |= frames > 0;
  }
  return worked;
}

// --- what comes in ---

bool Station::is_on_our_vlan(const ReceivedFrame& frame) const {
  return frame.frame.header.vlan_id == vlan_id_;
}

bool Station::is_claimed(const Address& local, std::uint16_t port) const {
  return std::ranges::any_of(claimed_, [&](const Endpoint& one) {
    return one.port == port && (one.address == local || is_unspecified_for(one.address, local));
  });
}

void Station::on_frame(const ReceivedFrame& frame) {
  if (!is_on_our_vlan(frame) || frame.frame.header.ether_type != ip::kEtherTypeArp) {
    return to_kernel(frame);
  }
  neighbours_.receive_arp(frame.frame, now_, transmitter_);
  transmitter_.release_held();
  const auto arp = ip::parse_arp(frame.frame);
  if (!arp) return;
  // Who asks for us is about to send, to any queue. RFC 5227 3: an announcement is a request for
  // the sender's own address.
  const bool asks_us = arp->is_request && routes_.is_local(arp->target);
  if (!arp->is_request || arp->sender == arp->target || asks_us) share_frame(frame);
  if (tap_ && !asks_us) to_kernel(frame);
}

void Station::on_foreseen(const ip::Packet& packet) {
  if (stack_ != nullptr) stack_->foresee(packet.source, packet.destination, packet.payload);
}

void Station::on_all_foreseen() {
  if (stack_ != nullptr) stack_->fetch_foreseen();
}

void Station::on_packet(const ReceivedFrame& frame, const ip::Packet& packet) {
  if (!is_on_our_vlan(frame)) return to_kernel(frame);
  if (packet.protocol == ip::kProtocolIcmpv6 && ip::is_neighbour_discovery(packet)) {
    return on_neighbour_discovery(frame, packet);
  }
  // LAND and the like (RFC 1122 3.2.1.3): what the link brings is never from us, nor from the
  // kernel beside us, which has our addresses.
  if (routes_.is_local(packet.source)) {
    ++counters_.dropped_own_source;
    return;
  }
  if (!routes_.is_local(packet.destination)) return to_kernel(frame);
  switch (packet.protocol) {
    case ip::kProtocolTcp:
      return on_tcp(frame, packet);
    case ip::kProtocolIcmp:
    case ip::kProtocolIcmpv6:
      if ((packet.protocol == ip::kProtocolIcmp) == packet.is_v4) return on_icmp(frame, packet);
      break;
    default:
      break;
  }
  if (tap_ || frame.frame.header.destination.is_group() || routes_.is_broadcast(packet.source)) {
    return to_kernel(frame);
  }
  const std::span<std::byte> out(scratch_.get() + ip::kMaximumEthernetHeaderBytes,
                                 kScratchBytes - ip::kMaximumEthernetHeaderBytes);
  const std::size_t bytes = packet.protocol == ip::kProtocolUdp
                                ? ip::write_port_unreachable(packet, error_limit_, now_, out)
                                : ip::write_protocol_unreachable(packet, error_limit_, now_, out);
  ++counters_.dropped_not_ours;
  answer(frame, bytes, packet.is_v4, counters_.errors_sent);
}

// Headers are judged by who is the destination (RFC 8200 4); and what came to many is told of only
// where many are meant to answer (RFC 4443 2.4 e).
void Station::on_rejected(const ReceivedFrame& frame, const ip::Rejection& rejection) {
  if (tap_) return to_kernel(frame);
  if (!rejection.problem || !is_on_our_vlan(frame)) return;
  const Address& destination = rejection.packet.destination;
  const bool is_to_many =
      ip::is_multicast(destination) || frame.frame.header.destination.is_group();
  if (is_to_many && !rejection.problem->even_to_multicast) return;
  if (!ip::is_multicast(destination) && !routes_.is_local(destination)) return;
  if (routes_.is_local(rejection.packet.source)) return;
  const auto source = routes_.source_for(rejection.packet.source);
  if (!source) return;
  const std::span<std::byte> out(scratch_.get() + ip::kMaximumEthernetHeaderBytes,
                                 kScratchBytes - ip::kMaximumEthernetHeaderBytes);
  answer(frame, ip::write_parameter_problem(rejection, *source, error_limit_, now_, out), false,
         counters_.errors_sent);
}

void Station::on_neighbour_discovery(const ReceivedFrame& frame, const ip::Packet& packet) {
  neighbours_.receive_neighbour_discovery(packet, now_, transmitter_);
  transmitter_.release_held();
  bool asks_us = false;
  if (ip::is_neighbour_solicitation(packet)) {
    const auto message = ip::parse_neighbour_message(packet);
    asks_us = message && routes_.is_local(message->target);
  }
  if (asks_us || ip::is_neighbour_advertisement(packet)) share_frame(frame);
  if (tap_ && !asks_us) to_kernel(frame);  // routers' messages among others
}

void Station::on_tcp(const ReceivedFrame& frame, const ip::Packet& packet) {
  if (frame.frame.header.destination.is_group()) {
    ++counters_.dropped_group_frame;
    return;
  }
  // RFC 9293 3.9.2.3 (MUST-63): no beginning with all of a link. What belongs to a connection has
  // had such a beginning, and is not asked.
  const bool is_syn =
      packet.payload.size() >= tcp::kMinimumHeaderBytes && (read_8(&packet.payload[13]) & 2) != 0;
  if (is_syn && routes_.is_broadcast(packet.source)) {
    ++counters_.dropped_not_ours;
    return;
  }
  const bool has_port = packet.payload.size() >= 4;
  const bool ours = has_port && is_claimed(packet.destination, read_16(packet.payload.data() + 2));
  if (!ours && tap_) return to_kernel(frame);
  if (stack_ == nullptr) return;
  ++counters_.segments;
  const bool is_verifying = neighbours_.is_verifying();
  const std::uint64_t before = is_verifying ? progress_of(stack_->counters()) : 0;
  // Without a TAP the stack refuses what nobody listens for.
  stack_->receive(packet.source, packet.destination, packet.ecn, packet.payload, now_);
  if (is_verifying && progress_of(stack_->counters()) != before) {
    if (const auto hop = routes_.next_hop(packet.source)) neighbours_.confirm(hop->address, now_);
  }
}

void Station::on_icmp(const ReceivedFrame& frame, const ip::Packet& packet) {
  if (frame.frame.header.destination.is_group()) {  // RFC 1122 3.3.6
    ++counters_.dropped_group_frame;
    return;
  }
  if (!ip::icmp_checksum_is_good(packet)) {
    ++counters_.dropped_checksum;
    return;
  }
  if (ip::is_echo_request(packet)) {
    if (routes_.is_broadcast(packet.source)) return to_kernel(frame);  // RFC 1122 3.2.1.3
    const std::span<std::byte> out(scratch_.get() + ip::kMaximumEthernetHeaderBytes,
                                   kScratchBytes - ip::kMaximumEthernetHeaderBytes);
    return answer(frame, ip::write_echo_reply(packet, echo_limit_, now_, out), packet.is_v4,
                  counters_.echo_replies);
  }
  if (!take_path_error(packet)) to_kernel(frame);
}

bool Station::take_path_error(const ip::Packet& packet) {
  const auto error = ip::parse_icmp_error(packet);
  const auto path_error = error ? path_error_of(*error) : std::nullopt;
  if (!path_error) return false;
  if (tap_ && !is_claimed(path_error->flow.local.address, path_error->flow.local.port)) {
    return false;
  }
  const Message message{
      .kind = Message::Kind::path_error, .frame_bytes = 0, .frame = {}, .path_error = *path_error};
  on_message(message);
  // The rest is only counted, and strangers send as many as they like.
  if (path_error->kind == tcp::PathError::Kind::too_big) tell_siblings(message);
  return true;
}

// --- between workers ---

void Station::tell_siblings(const Message& message) {
  for (Station* sibling : siblings_) {
    bool was_empty = false;
    if (sibling->mailbox_.put(message, &was_empty) && was_empty && sibling->bell_) {
      sibling->bell_->ring();
    }
  }
}

void Station::share_frame(const ReceivedFrame& frame) {
  if (siblings_.empty() || frame.bytes.size() > Message::kFrameBytes) return;
  Message message;
  message.kind = Message::Kind::neighbour;
  message.frame_bytes = static_cast<std::uint8_t>(frame.bytes.size());
  std::memcpy(message.frame.data(), frame.bytes.data(), frame.bytes.size());
  tell_siblings(message);
}

void Station::on_message(const Message& message) {
  Silence silence;
  switch (message.kind) {
    case Message::Kind::neighbour: {
      const auto frame = ip::parse_ethernet(std::span(message.frame).first(message.frame_bytes));
      if (!frame) return;
      if (frame->header.ether_type == ip::kEtherTypeArp) {
        neighbours_.receive_arp(*frame, now_, silence);
      } else if (const auto packet = ip::parse_ipv6(frame->payload)) {
        neighbours_.receive_neighbour_discovery(*packet, now_, silence);
      }
      return transmitter_.release_held();
    }
    case Message::Kind::path_error:
      ++counters_.path_errors;
      if (stack_ != nullptr) stack_->receive_error(message.path_error, now_);
      return;
    case Message::Kind::link_up:
      return set_link(true);
    case Message::Kind::link_down:
      return set_link(false);
  }
}

void Station::set_link(bool up) {
  if (up) {
    if (announces_) neighbours_.announce(now_);
    return;
  }
  ++counters_.link_downs;
  neighbours_.clear();
  transmitter_.release_held();  // there is nobody to wait for
}

// --- what goes out ---

void Station::to_kernel(const ReceivedFrame& frame) {
  if (tap_) {
    tap_->to_kernel(frame.bytes);
  } else {
    ++counters_.dropped_not_ours;
  }
}

// An answer goes back to the station the question came from: it is there, and a stranger costs no
// entry among the neighbours.
void Station::answer(const ReceivedFrame& frame, std::size_t packet_bytes, bool is_v4,
                     std::uint64_t& counter) {
  if (packet_bytes == 0) return;
  const ip::FrameHeader header{.destination = frame.frame.header.source,
                               .source = mac_,
                               .vlan_id = vlan_id_,
                               .ether_type = is_v4 ? ip::kEtherTypeIpv4 : ip::kEtherTypeIpv6};
  const std::size_t header_bytes = ip::ethernet_header_bytes(vlan_id_);
  std::byte* begin = scratch_.get() + ip::kMaximumEthernetHeaderBytes - header_bytes;
  ip::write_ethernet(header, {begin, header_bytes});
  if (transmitter_.send_frame({begin, header_bytes + packet_bytes})) ++counter;
}

}  // namespace nearfield::net::dpdk
