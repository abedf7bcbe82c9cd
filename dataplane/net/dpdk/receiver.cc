// Of a burst the headers of the packets to come are fetched into the processor's cache while the
// first ones are worked on.
#include "dataplane/net/dpdk/receiver.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#include <cstring>

#include "dataplane/net/ip/checksum.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::size_t kJoinedBytes =
    UINT16_MAX + ip::kIpv6HeaderBytes + ip::kMaximumEthernetHeaderBytes;
constexpr std::size_t kPrefetchAhead = 8;
constexpr std::size_t kCacheLineBytes = 64;

// Two lines: an acknowledgment with timestamps is 66 bytes long.
void prefetch(const rte_mbuf* packet) {
  const auto* headers = rte_pktmbuf_mtod(packet, const std::byte*);
  rte_prefetch0(headers);
  rte_prefetch0(headers + kCacheLineBytes);
}

// What the NIC has said about the IPv4 header and about TCP.
enum class Verdict { kUnknown, kGood, kBad };

Verdict ip_verdict(const rte_mbuf& packet) {
  switch (packet.ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) {
    case RTE_MBUF_F_RX_IP_CKSUM_GOOD:
    case RTE_MBUF_F_RX_IP_CKSUM_NONE:  // not in the packet, but it is intact
      return Verdict::kGood;
    case RTE_MBUF_F_RX_IP_CKSUM_BAD:
      return Verdict::kBad;
    default:
      return Verdict::kUnknown;
  }
}

Verdict tcp_verdict(const rte_mbuf& packet) {
  switch (packet.ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) {
    case RTE_MBUF_F_RX_L4_CKSUM_GOOD:
    case RTE_MBUF_F_RX_L4_CKSUM_NONE:
      return Verdict::kGood;
    case RTE_MBUF_F_RX_L4_CKSUM_BAD:
      return Verdict::kBad;
    default:
      return Verdict::kUnknown;
  }
}

bool tcp_checksum_is_good(const ip::Packet& packet) {
  ip::Checksum sum = ip::pseudo_header(packet.source, packet.destination, ip::kProtocolTcp,
                                       static_cast<std::uint32_t>(packet.payload.size()));
  sum.add(packet.payload);
  return sum.finish() == 0;
}

}  // namespace

Receiver::Receiver(PacketIo& io, const ip::MacAddress& mac)
    : io_(io), mac_(mac), joined_(std::make_unique<std::byte[]>(kJoinedBytes)) {}

std::size_t Receiver::poll(PacketHandler& handler) {
  std::array<rte_mbuf*, kBurstPackets> packets;
  const std::size_t count = io_.receive(packets);
  for (std::size_t i = 0; i < std::min(count, kPrefetchAhead); ++i) prefetch(packets[i]);
  for (std::size_t i = 0; i < count; ++i) {
    if (i + kPrefetchAhead < count) prefetch(packets[i + kPrefetchAhead]);
    if (packets[i]->nb_segs > 1) continue;  // there is one place to join them: each in its turn
    read(packets[i], burst_[i]);
    if (burst_[i].fate == Taken::Fate::kPacket && burst_[i].parsed->protocol == ip::kProtocolTcp)
      handler.on_foreseen(*burst_[i].parsed);
  }
  handler.on_all_foreseen();
  for (std::size_t i = 0; i < count; ++i) {
    if (packets[i]->nb_segs > 1) read(packets[i], burst_[i]);
    hand_on(burst_[i], handler);
  }
  rte_pktmbuf_free_bulk(packets.data(), static_cast<unsigned>(count));
  return count;
}

void Receiver::read(rte_mbuf* packet, Taken& taken) {
  ++counters_.packets;
  counters_.bytes += packet->pkt_len;
  taken.fate = Taken::Fate::kDropped;
  ReceivedFrame& received = taken.received;
  received.bytes = whole(packet);
  if (received.bytes.empty()) {
    ++counters_.too_long;
    return;
  }
  const auto frame = ip::parse_ethernet(received.bytes);
  if (!frame) {
    ++counters_.rejected[static_cast<std::size_t>(frame.error())];
    return;
  }
  received.frame = *frame;
  // NICs filter, but switches flood and virtual devices see everything.
  if (!frame->header.destination.is_group() && frame->header.destination != mac_) {
    ++counters_.other_station;
    return;
  }
  const bool is_v4 = frame->header.ether_type == ip::kEtherTypeIpv4;
  if (!is_v4 && frame->header.ether_type != ip::kEtherTypeIpv6) {
    taken.fate = Taken::Fate::kFrame;
    return;
  }
  const Verdict header = ip_verdict(*packet);
  if (is_v4 && header == Verdict::kBad) {
    ++counters_.rejected[static_cast<std::size_t>(ip::DropReason::kBadHeaderChecksum)];
    return;
  }
  taken.parsed = is_v4 ? ip::parse_ipv4(frame->payload, header == Verdict::kGood)
                       : ip::parse_ipv6(frame->payload);
  if (!taken.parsed) {
    ++counters_.rejected[static_cast<std::size_t>(taken.parsed.error().reason)];
    taken.fate = Taken::Fate::kRejected;
    return;
  }
  if (taken.parsed->protocol == ip::kProtocolTcp) {
    const Verdict verdict = tcp_verdict(*packet);
    if (verdict == Verdict::kBad ||
        (verdict == Verdict::kUnknown && !tcp_checksum_is_good(*taken.parsed))) {
      ++counters_.tcp_checksum;
      return;
    }
  }
  taken.fate = Taken::Fate::kPacket;
}

void Receiver::hand_on(const Taken& taken, PacketHandler& handler) {
  switch (taken.fate) {
    case Taken::Fate::kDropped:
      return;
    case Taken::Fate::kPacket:
      return handler.on_packet(taken.received, *taken.parsed);
    case Taken::Fate::kFrame:
      return handler.on_frame(taken.received);
    case Taken::Fate::kRejected:
      return handler.on_rejected(taken.received, taken.parsed.error());
  }
}

// The packet's bytes in one piece; nothing when it is longer than a packet can be, or empty.
std::span<const std::byte> Receiver::whole(rte_mbuf* packet) {
  if (packet->nb_segs == 1) return {rte_pktmbuf_mtod(packet, const std::byte*), packet->data_len};
  if (packet->pkt_len > kJoinedBytes) return {};
  std::size_t length = 0;
  for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
    if (part->data_len > kJoinedBytes - length) return {};
    std::memcpy(joined_.get() + length, rte_pktmbuf_mtod(part, const void*), part->data_len);
    length += part->data_len;
  }
  return {joined_.get(), length};
}

}  // namespace nearfield::net::dpdk
