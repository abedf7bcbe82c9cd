// A Transmitter on a pretended port, and its packets read back as a receiver would: the payload
// byte for byte, numbers and flags piece by piece, checksums verified by DPDK's own code as a
// second opinion. Every combination of capabilities can be had, and packets come back when the test
// says so.
#pragma once

#include <rte_ip.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/arena.h"
#include "cache/blob.h"
#include "dataplane/net/dpdk/transmitter.h"
#include "dataplane/net/ip/packet.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {

class ArenaSource final : public cache::ExtentSource {
 public:
  explicit ArenaSource(cache::Arena& arena) : arena_(arena) {}
  std::optional<cache::Extent> take_extent(std::size_t bytes) override {
    return arena_.allocate(bytes);
  }
  void give_extent(cache::Extent extent) override { arena_.free(extent); }

 private:
  cache::Arena& arena_;
};

// Keeps what it is given until the test frees it; takes no more than `room`.
class PretendedQueue final : public PacketIo {
 public:
  ~PretendedQueue() override { free_all(); }
  std::size_t receive(std::span<rte_mbuf*>) override { return 0; }
  std::size_t send(std::span<rte_mbuf*> packets) override {
    const std::size_t taken = std::min(packets.size(), room);
    sent.insert(sent.end(), packets.begin(), packets.begin() + static_cast<std::ptrdiff_t>(taken));
    room -= taken;
    return taken;
  }
  void reclaim() override {
    ++reclaims;
    if (frees_on_reclaim) free_all();
  }
  void free_front(std::size_t packets) {
    for (; packets > 0; --packets) {
      PacketPool::give(sent.front());
      sent.pop_front();
    }
  }
  void free_all() { free_front(sent.size()); }

  std::deque<rte_mbuf*> sent;
  std::size_t room = SIZE_MAX;
  int reclaims = 0;
  bool frees_on_reclaim = false;
};

class OneNeighbour final : public NextHop {
 public:
  std::optional<ip::FrameHeader> resolve(const Address&, MonotonicTime) override {
    if (!known) return std::nullopt;
    return ip::FrameHeader{
        .destination = {{2, 0, 0, 0, 0, 1}}, .source = {{2, 0, 0, 0, 0, 2}}, .vlan_id = vlan};
  }
  std::optional<Awaited> awaited(const Address& peer) const override {
    if (!is_asked) return std::nullopt;
    // Every peer is a neighbour.
    return Awaited{.neighbour = peer,
                   .header = {.destination = {}, .source = {{2, 0, 0, 0, 0, 2}}, .vlan_id = vlan}};
  }
  Answer answer_of(const Address& neighbour, MonotonicTime now) override {
    ++looks;
    if (const auto header = resolve(neighbour, now)) return {.mac = header->destination};
    return {.is_pending = is_asked, .mac = {}};
  }
  std::uint64_t settled() const override { return changes; }
  void answers() {
    known = true;
    ++changes;
  }
  bool known = true;
  bool is_asked = false;
  std::uint64_t changes = 1;
  int looks = 0;
  std::optional<std::uint16_t> vlan;
};

inline std::vector<std::byte> bytes_of(const rte_mbuf* packet) {
  std::vector<std::byte> bytes;
  for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
    const auto* data = rte_pktmbuf_mtod(part, const std::byte*);
    bytes.insert(bytes.end(), data, data + part->data_len);
  }
  return bytes;
}

struct Decoded {
  ip::Packet packet;
  tcp::Segment segment;
  std::vector<std::byte> storage;  // what both point into
};

inline constexpr std::uint32_t kFirstSequence = 0xffffff00;  // so that numbers wrap on the way

struct TransmitterFixture : Utest {
  void setup() override {
    ensure_eal();
    arena = *cache::Arena::create({.bytes = 4 << 20, .want_hugepages = false});
    source.emplace(*arena);
    memory = *ExternalMemory::create(arena->memory());
    pool = *PacketPool::create({.name = "transmit", .packets = 2047, .data_bytes = 2048});
    flow = {*Endpoint::parse("192.0.2.1:80"), *Endpoint::parse("198.51.100.7:50000")};
    // Text, content that begins oddly in its block, short text, content across blocks.
    blob = cache::Blob::create(*source, cache::Blob::Kind::kept, 200000, 1 << 20);
    std::vector<std::byte> content(200000);
    for (std::size_t i = 0; i < content.size(); ++i)
      content[i] = static_cast<std::byte>((i * 131 + i / 251) & 0xff);
    CHECK_EQUAL(content.size(), blob->write(0, content));
    blob->complete();
    plan.append_text(std::string(300, 'h'));
    plan.append_blob(blob, 1, 4999);
    plan.append_text("seventeen letters");
    plan.append_blob(blob, 60001, 130001);
  }
  void teardown() override {
    queue.free_all();
    transmitter.reset();
    CHECK_EQUAL(pool->capacity(), pool->available());
    plan.clear();
    blob.reset();
    memory.reset();
    small.reset();
    pool.reset();
    source.reset();
    arena.reset();
  }

  void make(const PortCapabilities& capabilities, PacketPool* other = nullptr) {
    options.capabilities = capabilities;
    transmitter = std::make_unique<Transmitter>(options, queue, other == nullptr ? *pool : *other,
                                                neighbour, memory.get());
  }
  static PortCapabilities chaining() {
    PortCapabilities can;
    can.multiple_segments = can.external_buffers = true;
    can.maximum_segments = can.maximum_packet_segments = 255;
    return can;
  }
  static PortCapabilities segmenting() {
    PortCapabilities can = chaining();
    can.ipv4_checksum = can.tcp_checksum = can.segmentation = true;
    return can;
  }

  tcp::OutgoingSegment segment(std::uint32_t payload_bytes, std::uint64_t plan_offset = 0) {
    tcp::OutgoingSegment outgoing;
    outgoing.flow = &flow;
    outgoing.header.source_port = flow.local.port;
    outgoing.header.destination_port = flow.peer.port;
    outgoing.header.sequence = {kFirstSequence};
    outgoing.header.acknowledgment = {77};
    outgoing.header.flags = {.fin = true, .psh = true, .ack = true, .cwr = true};
    outgoing.header.window = 1000;
    outgoing.header.options.timestamps = tcp::Timestamps{1, 2};
    outgoing.plan = payload_bytes == 0 ? nullptr : &plan;
    outgoing.plan_offset = plan_offset;
    outgoing.payload_bytes = payload_bytes;
    outgoing.piece_bytes = 1448;
    return outgoing;
  }
  std::vector<std::byte> pulled(std::uint64_t offset, std::uint64_t length) {
    std::vector<std::byte> bytes;
    while (bytes.size() < length) {
      std::array<iovec, 8> vectors;
      std::uint64_t covered = 0;
      const std::size_t count =
          plan.peek(offset + bytes.size(), length - bytes.size(), vectors, &covered);
      CHECK(covered > 0);
      for (std::size_t i = 0; i < count; ++i) {
        const auto* begin = static_cast<const std::byte*>(vectors[i].iov_base);
        bytes.insert(bytes.end(), begin, begin + vectors[i].iov_len);
      }
    }
    return bytes;
  }
  Decoded decode(const rte_mbuf* packet) {
    Decoded decoded;
    decoded.storage = bytes_of(packet);
    CHECK_EQUAL(packet->pkt_len, decoded.storage.size());
    const auto frame = ip::parse_ethernet(decoded.storage);
    CHECK(frame.has_value());
    CHECK(frame->header.vlan_id == neighbour.vlan);
    const bool v4 = flow.peer.address.is_v4();
    CHECK_EQUAL(v4 ? ip::kEtherTypeIpv4 : ip::kEtherTypeIpv6, frame->header.ether_type);
    const bool by_nic = (packet->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) != 0;
    const auto parsed =
        v4 ? ip::parse_ipv4(frame->payload, by_nic) : ip::parse_ipv6(frame->payload);
    CHECK(parsed.has_value());
    decoded.packet = *parsed;
    CHECK(decoded.packet.source == flow.local.address);
    CHECK(decoded.packet.destination == flow.peer.address);
    CHECK_EQUAL(decoded.packet.whole.size(), frame->payload.size());
    const auto tcp = tcp::parse_segment(decoded.packet.payload);
    CHECK(tcp.has_value());
    decoded.segment = *tcp;
    check_checksum(packet, decoded);
    return decoded;
  }
  void check_checksum(const rte_mbuf* packet, const Decoded& decoded) {
    const void* ip_header = decoded.packet.whole.data();
    const void* tcp_header = decoded.packet.payload.data();
    const bool v4 = decoded.packet.is_v4;
    std::uint16_t field = 0;
    std::memcpy(&field, static_cast<const std::byte*>(tcp_header) + 16, 2);
    if ((packet->ol_flags & (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)) == 0) {
      const int result =
          v4 ? rte_ipv4_udptcp_cksum_verify(static_cast<const rte_ipv4_hdr*>(ip_header), tcp_header)
             : rte_ipv6_udptcp_cksum_verify(static_cast<const rte_ipv6_hdr*>(ip_header),
                                            tcp_header);
      CHECK_EQUAL(0, result);
      return;
    }
    const auto expected =
        v4 ? rte_ipv4_phdr_cksum(static_cast<const rte_ipv4_hdr*>(ip_header), packet->ol_flags)
           : rte_ipv6_phdr_cksum(static_cast<const rte_ipv6_hdr*>(ip_header), packet->ol_flags);
    CHECK_EQUAL(expected, field);
    CHECK_EQUAL(neighbour.vlan ? 18U : 14U, packet->l2_len);
    CHECK_EQUAL(v4 ? 20U : 40U, packet->l3_len);
    CHECK_EQUAL(32U, packet->l4_len);
    CHECK_EQUAL(v4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6,
                packet->ol_flags & (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6));
  }
  // All that was sent is this segment's, in order and whole.
  void check_sent(const tcp::OutgoingSegment& outgoing) {
    std::vector<std::byte> payload;
    for (std::size_t i = 0; i < queue.sent.size(); ++i) {
      const Decoded decoded = decode(queue.sent[i]);
      const tcp::Header& header = decoded.segment.header;
      const bool last = i + 1 == queue.sent.size();
      CHECK_EQUAL(kFirstSequence + static_cast<std::uint32_t>(payload.size()),
                  header.sequence.value);
      CHECK_EQUAL(last, header.flags.fin);
      CHECK_EQUAL(last, header.flags.psh);
      CHECK_EQUAL(i == 0, header.flags.cwr);
      CHECK(header.flags.ack);
      CHECK_EQUAL(77U, header.acknowledgment.value);
      CHECK(header.options.timestamps == outgoing.header.options.timestamps);
      const bool super = (queue.sent[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
      CHECK_EQUAL(super, decoded.segment.payload.size() > outgoing.piece_bytes);
      if (super) CHECK_EQUAL(outgoing.piece_bytes, queue.sent[i]->tso_segsz);
      payload.insert(payload.end(), decoded.segment.payload.begin(), decoded.segment.payload.end());
    }
    CHECK_EQUAL(outgoing.payload_bytes, payload.size());
    if (!payload.empty()) CHECK(payload == pulled(outgoing.plan_offset, outgoing.payload_bytes));
  }
  void check_all_sizes() {
    for (const char* peer : {"198.51.100.7:50000", "[2001:db8::7]:50000"}) {
      const bool v4 = peer[0] != '[';
      flow = {*Endpoint::parse(v4 ? "192.0.2.1:80" : "[2001:db8::1]:80"), *Endpoint::parse(peer)};
      for (const std::optional<std::uint16_t> vlan : {std::optional<std::uint16_t>{}, {7}}) {
        neighbour.vlan = vlan;
        for (const std::uint32_t size : {0U, 1U, 2U, 299U, 300U, 301U, 1447U, 1448U, 1449U, 2896U,
                                         5316U, 5317U, 9001U, 65000U, 130000U}) {
          for (const std::uint64_t offset : {0U, 1U, 250U, 5299U, 5303U}) {
            const tcp::OutgoingSegment outgoing = segment(size, offset);
            CHECK(transmitter->transmit(outgoing).has_value());
            transmitter->flush();
            check_sent(outgoing);
            queue.free_all();
          }
        }
      }
    }
    CHECK_EQUAL(transmitter->completed() + 1, transmitter->transmit(segment(0)).value());
  }

  std::unique_ptr<cache::Arena> arena;
  std::optional<ArenaSource> source;
  std::unique_ptr<ExternalMemory> memory;
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<PacketPool> small;  // of one test; must outlive the packets in the queue
  Ref<cache::Blob> blob;
  SendPlan plan;
  tcp::Flow flow;
  PretendedQueue queue;
  OneNeighbour neighbour;
  TransmitterOptions options;
  std::unique_ptr<Transmitter> transmitter;
};

}  // namespace nearfield::net::dpdk
