// What the Transmitter makes of segments, read back as a receiver would: the payload byte for byte,
// numbers and flags piece by piece, checksums verified by DPDK's own code as a second opinion. The
// port is pretended, so that every combination of capabilities is seen, and gives packets back when
// the test says so.
#include "dataplane/net/dpdk/transmitter.h"

#include <rte_ip.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/arena.h"
#include "cache/blob.h"
#include "dataplane/net/ip/packet.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

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

std::vector<std::byte> bytes_of(const rte_mbuf* packet) {
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

constexpr std::uint32_t kFirstSequence = 0xffffff00;  // so that numbers wrap on the way

}  // namespace

TEST_GROUP(Transmitter) {
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

TEST(Transmitter, cuts_and_chains_with_checksums_of_its_own) {
  make(chaining());
  check_all_sizes();
  CHECK(transmitter->counters().copied_bytes * 5 < transmitter->counters().payload_bytes);
}

TEST(Transmitter, copies_where_a_driver_cannot_chain) {
  make({});
  check_all_sizes();
  CHECK_EQUAL(transmitter->counters().payload_bytes, transmitter->counters().copied_bytes);
}

TEST(Transmitter, leaves_checksums_to_a_nic_that_makes_them) {
  PortCapabilities can = chaining();
  can.tcp_checksum = can.ipv4_checksum = true;
  make(can);
  check_all_sizes();
}

TEST(Transmitter, leaves_cutting_to_a_nic_that_segments) {
  make(segmenting());
  check_all_sizes();
  CHECK(transmitter->counters().super_segments > 0);
}

TEST(Transmitter, ends_a_packet_where_the_longest_chain_ends) {
  for (const std::uint16_t longest : std::initializer_list<std::uint16_t>{2, 3, 5}) {
    queue.free_all();
    transmitter.reset();
    PortCapabilities can = segmenting();
    can.maximum_segments = longest;
    can.maximum_packet_segments = 2;
    make(can);
    check_all_sizes();
    CHECK(transmitter->transmit(segment(65000)).has_value());
    transmitter->flush();
    for (const rte_mbuf* packet : queue.sent) CHECK(packet->nb_segs <= longest);
  }
}

TEST(Transmitter, points_to_the_arena_and_to_nothing_else) {
  make(chaining());
  CHECK(transmitter->transmit(segment(1000, 5317)).has_value());  // content only
  CHECK(transmitter->transmit(segment(17, 5299)).has_value());    // text only
  transmitter->flush();
  CHECK_EQUAL(2U, queue.sent.size());
  CHECK_EQUAL(2U, queue.sent[0]->nb_segs);
  CHECK(memory->holds(rte_pktmbuf_mtod(queue.sent[0]->next, void*)));
  CHECK_EQUAL(1U, queue.sent[1]->nb_segs);
  CHECK_FALSE(memory->holds(rte_pktmbuf_mtod(queue.sent[1], void*)));
}

TEST(Transmitter, sets_what_the_ip_header_is_asked_for) {
  make(chaining());
  tcp::OutgoingSegment outgoing = segment(4000);
  outgoing.ecn_capable = true;
  outgoing.may_fragment = true;
  CHECK(transmitter->transmit(outgoing).has_value());
  transmitter->flush();
  std::vector<std::uint16_t> identifications;
  for (const rte_mbuf* packet : queue.sent) {
    const Decoded decoded = decode(packet);
    CHECK_EQUAL(ip::kEct0, decoded.packet.ecn);
    CHECK_FALSE(decoded.packet.dont_fragment);
    CHECK_EQUAL(64, decoded.packet.hop_limit);
    const auto* header = reinterpret_cast<const rte_ipv4_hdr*>(decoded.packet.whole.data());
    identifications.push_back(rte_be_to_cpu_16(header->packet_id));
  }
  CHECK_EQUAL(3U, identifications.size());
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 1), identifications[1]);
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 2), identifications[2]);
  queue.free_all();
  CHECK(transmitter->transmit(outgoing).has_value());
  transmitter->flush();
  const Decoded next = decode(queue.sent[0]);
  const auto* header = reinterpret_cast<const rte_ipv4_hdr*>(next.packet.whole.data());
  CHECK_EQUAL(static_cast<std::uint16_t>(identifications[0] + 3),
              rte_be_to_cpu_16(header->packet_id));
}

TEST(Transmitter, completes_tickets_in_order_whatever_the_order_of_return) {
  make(chaining());
  std::vector<tcp::Ticket> tickets;
  for (int turn = 0; turn < 3; ++turn) {
    const auto ticket = transmitter->transmit(segment(1000, 5317));
    CHECK(ticket.has_value());
    tickets.push_back(*ticket);
    transmitter->flush();
  }
  CHECK(tickets[0] < tickets[1] && tickets[1] < tickets[2]);
  CHECK(transmitter->completed() < tickets[0]);
  PacketPool::give(queue.sent[1]);  // the middle one first
  queue.sent.erase(queue.sent.begin() + 1);
  CHECK(transmitter->completed() < tickets[0]);
  queue.free_front(1);
  CHECK_EQUAL(tickets[1], transmitter->completed());
  queue.free_front(1);
  CHECK_EQUAL(tickets[2], transmitter->completed());
}

TEST(Transmitter, waits_for_clones_of_its_packets) {
  make(chaining());
  const auto ticket = transmitter->transmit(segment(1000, 5317));
  transmitter->flush();
  rte_mbuf* clone = rte_pktmbuf_clone(queue.sent[0], pool->handle());
  CHECK(clone != nullptr);
  queue.free_all();
  CHECK(transmitter->completed() < *ticket);
  PacketPool::give(clone);
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, completes_what_refers_to_nothing_with_the_turn) {
  make(chaining());
  const auto ticket = transmitter->transmit(segment(17, 5299));
  CHECK(transmitter->completed() < *ticket);
  transmitter->flush();
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, asks_a_lazy_driver_to_let_go_when_it_falls_silent) {
  make(chaining());
  queue.frees_on_reclaim = true;
  const auto ticket = transmitter->transmit(segment(1000, 5317));
  transmitter->flush();
  CHECK_EQUAL(0, queue.reclaims);
  CHECK(transmitter->completed() < *ticket);
  transmitter->flush();
  CHECK_EQUAL(1, queue.reclaims);
  CHECK_EQUAL(*ticket, transmitter->completed());
  transmitter->flush();
  CHECK_EQUAL(1, queue.reclaims);
}

TEST(Transmitter, bounds_epochs_that_do_not_come_back) {
  make(chaining());
  tcp::Ticket last = 0;
  for (int turn = 0; turn < 1500; ++turn) {
    const auto ticket = transmitter->transmit(segment(300, 5317));
    if (!ticket) break;
    CHECK(*ticket >= last);
    last = *ticket;
    transmitter->flush();
  }
  CHECK(transmitter->counters().pool_exhausted > 0);  // 2047 packets at two each
  CHECK(transmitter->completed() == 0);
  queue.free_all();
  transmitter->flush();
  CHECK(transmitter->completed() >= last);
}

TEST(Transmitter, keeps_a_bounded_backlog_when_the_ring_is_full_and_the_order) {
  make(chaining());
  queue.room = 10;
  std::uint32_t taken = 0;
  for (;; ++taken) {
    tcp::OutgoingSegment outgoing = segment(100, 5317);
    outgoing.header.acknowledgment = {taken};
    if (!transmitter->transmit(outgoing)) break;
    CHECK(taken < 1000);
  }
  transmitter->flush();
  CHECK_EQUAL(10U, queue.sent.size());
  CHECK_EQUAL(taken - 10, transmitter->backlog());
  CHECK(transmitter->backlog() >= Transmitter::kBacklogPackets);
  CHECK_EQUAL(1U, transmitter->counters().queue_full);
  queue.room = SIZE_MAX;
  transmitter->flush();
  CHECK_EQUAL(0U, transmitter->backlog());
  for (std::uint32_t i = 0; i < taken; ++i)
    CHECK_EQUAL(i, decode(queue.sent[i]).segment.header.acknowledgment.value);
  CHECK(transmitter->transmit(segment(100)).has_value());
}

TEST(Transmitter, takes_nothing_of_a_segment_the_pool_cannot_hold) {
  small = *PacketPool::create({.name = "small", .packets = 15, .data_bytes = 2048});
  make(chaining(), small.get());
  CHECK_FALSE(transmitter->transmit(segment(20000)).has_value());
  CHECK_EQUAL(1U, transmitter->counters().pool_exhausted);
  CHECK_EQUAL(0U, transmitter->backlog());
  CHECK_EQUAL(15U, small->available());
  const tcp::OutgoingSegment fits = segment(5000);
  const auto ticket = transmitter->transmit(fits);
  CHECK(ticket.has_value());
  transmitter->flush();
  check_sent(fits);
  queue.free_all();
  CHECK_EQUAL(*ticket, transmitter->completed());
}

TEST(Transmitter, counts_what_has_nowhere_to_go_as_lost) {
  make(chaining());
  neighbour.known = false;
  const auto ticket = transmitter->transmit(segment(5000));
  CHECK(ticket.has_value());
  transmitter->flush();
  CHECK_EQUAL(0U, queue.sent.size());
  CHECK_EQUAL(1U, transmitter->counters().no_next_hop);
  CHECK_EQUAL(*ticket, transmitter->completed());
}

// RFC 4861 7.2.2, RFC 1122 2.3.2.2.
TEST(Transmitter, holds_what_waits_for_a_neighbour_until_it_answers) {
  for (const char* peer : {"198.51.100.7:50000", "[2001:db8::7]:50000"}) {
    for (const std::optional<std::uint16_t> vlan : {std::optional<std::uint16_t>{}, {7}}) {
      for (const PortCapabilities& can : {PortCapabilities{}, chaining(), segmenting()}) {
        const bool v4 = peer[0] != '[';
        flow = {*Endpoint::parse(v4 ? "192.0.2.1:80" : "[2001:db8::1]:80"), *Endpoint::parse(peer)};
        neighbour.vlan = vlan;
        queue.free_all();
        transmitter.reset();
        make(can);
        neighbour.known = false;
        neighbour.is_asked = true;
        const tcp::OutgoingSegment empty = segment(0);
        const auto ticket = transmitter->transmit(empty);
        CHECK(ticket.has_value());
        transmitter->release_held();
        transmitter->flush();
        CHECK_EQUAL(0U, queue.sent.size());
        CHECK_EQUAL(*ticket, transmitter->completed());  // it waits for nobody's memory
        neighbour.answers();
        transmitter->release_held();
        CHECK(transmitter->transmit(segment(100)).has_value());
        transmitter->flush();
        CHECK_EQUAL(2U, queue.sent.size());
        CHECK_EQUAL(0U, decode(queue.sent[0]).segment.payload.size());  // the order is kept
        const auto [held, next] = std::pair(bytes_of(queue.sent[0]), bytes_of(queue.sent[1]));
        CHECK(std::equal(held.begin(), held.begin() + 12, next.begin()));  // the MAC addresses
        PacketPool::give(queue.sent[1]);
        queue.sent.pop_back();
        check_sent(empty);
        CHECK_EQUAL(1U, transmitter->counters().held);
        CHECK_EQUAL(0U, transmitter->counters().held_lost);
      }
    }
  }
}

TEST(Transmitter, holds_a_copy_of_the_first_piece) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  const auto ticket = transmitter->transmit(segment(5000, 5317));  // all of it in the arena
  transmitter->flush();
  CHECK_EQUAL(*ticket, transmitter->completed());
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(1U, queue.sent.size());
  const Decoded decoded = decode(queue.sent[0]);
  CHECK_EQUAL(1448U, decoded.segment.payload.size());
  CHECK(std::ranges::equal(pulled(5317, 1448), decoded.segment.payload));
  CHECK_FALSE(decoded.segment.header.flags.fin);
  CHECK_EQUAL(1448U, transmitter->counters().copied_bytes);
}

TEST(Transmitter, holds_the_newest_few_of_a_neighbour_and_a_bounded_number_in_all) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  for (std::uint32_t i = 0; i < 5; ++i) {
    tcp::OutgoingSegment outgoing = segment(0);
    outgoing.header.acknowledgment = {i};
    CHECK(transmitter->transmit(outgoing).has_value());
  }
  CHECK_EQUAL(pool->capacity() - HeldPackets::kOfOneNeighbour, pool->available());
  CHECK_EQUAL(2U, transmitter->counters().held_lost);
  for (std::size_t i = 0; i < HeldPackets::kMaximum; ++i) {
    flow.peer.address.bytes[14] = static_cast<std::uint8_t>(10 + i / 250);
    flow.peer.address.bytes[15] = static_cast<std::uint8_t>(i % 250);
    CHECK(transmitter->transmit(segment(0)).has_value());
  }
  const std::size_t most = std::min<std::size_t>(HeldPackets::kMaximum, pool->capacity() / 8);
  CHECK_EQUAL(pool->capacity() - most, pool->available());
  CHECK_EQUAL(HeldPackets::kMaximum + 5 - most, transmitter->counters().held_lost);
  // With that the oldest are gone, those of the first neighbour among them.
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(most, queue.sent.size());
}

TEST(Transmitter, sends_the_held_in_their_order) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  for (std::uint32_t i = 0; i < 5; ++i) {
    tcp::OutgoingSegment outgoing = segment(0);
    outgoing.header.acknowledgment = {i};
    CHECK(transmitter->transmit(outgoing).has_value());
  }
  neighbour.answers();
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(3U, queue.sent.size());
  for (std::uint32_t i = 0; i < 3; ++i)
    CHECK_EQUAL(2 + i, decode(queue.sent[i]).segment.header.acknowledgment.value);
}

TEST(Transmitter, drops_what_is_held_for_a_neighbour_that_is_given_up) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  CHECK(transmitter->transmit(segment(17, 5299)).has_value());
  transmitter->release_held();
  const int looks = neighbour.looks;
  transmitter->release_held();
  CHECK_EQUAL(looks, neighbour.looks);  // nothing has changed, nobody is asked
  neighbour.is_asked = false;
  ++neighbour.changes;
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(0U, queue.sent.size());
  CHECK_EQUAL(2U, transmitter->counters().held_lost);
  CHECK_EQUAL(pool->capacity(), pool->available());
  // What is held at the end goes back as well: see teardown().
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
}

TEST(Transmitter, keeps_the_held_while_the_ring_is_full) {
  make(chaining());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  queue.room = 0;
  const std::vector<std::byte> frame(60, std::byte{9});
  while (transmitter->send_frame(frame)) CHECK(transmitter->backlog() < 1000);
  neighbour.answers();
  transmitter->release_held();
  const std::size_t backlog = transmitter->backlog();
  queue.room = SIZE_MAX;
  transmitter->flush();
  CHECK_EQUAL(backlog, queue.sent.size());
  transmitter->release_held();
  transmitter->flush();
  CHECK_EQUAL(backlog + 1, queue.sent.size());
  CHECK_EQUAL(0U, transmitter->counters().held_lost);
}

TEST(Transmitter, takes_nothing_to_hold_while_the_pool_is_empty) {
  small = *PacketPool::create({.name = "small", .packets = 1, .data_bytes = 2048});
  make(chaining(), small.get());
  neighbour.known = false;
  neighbour.is_asked = true;
  CHECK(transmitter->transmit(segment(0)).has_value());
  CHECK_FALSE(transmitter->transmit(segment(0)).has_value());
  CHECK_EQUAL(1U, transmitter->counters().pool_exhausted);
  transmitter.reset();
  CHECK_EQUAL(1U, small->available());
}

TEST(Transmitter, sends_no_more_than_its_maximum_of_pieces) {
  make(chaining());
  tcp::OutgoingSegment outgoing = segment(1100, 0);
  outgoing.piece_bytes = 1;
  CHECK(transmitter->transmit(outgoing).has_value());
  CHECK_EQUAL(1U, transmitter->counters().cut_short);
  CHECK_EQUAL(Transmitter::kMaximumPieces, transmitter->counters().payload_bytes);
  transmitter->flush();
}

TEST(Transmitter, loses_a_piece_that_fits_no_buffer) {
  make({});
  tcp::OutgoingSegment outgoing = segment(9000);
  outgoing.piece_bytes = 9000;
  CHECK(transmitter->transmit(outgoing).has_value());
  CHECK_EQUAL(1U, transmitter->counters().too_long);
  CHECK_EQUAL(0U, transmitter->backlog());
}

TEST(Transmitter, sends_frames_of_others_between_its_own) {
  make(chaining());
  const std::vector<std::byte> frame(60, std::byte{9});
  CHECK(transmitter->transmit(segment(100)).has_value());
  CHECK(transmitter->send_frame(frame));
  CHECK_FALSE(transmitter->send_frame(std::span(frame).first(13)));
  CHECK_FALSE(transmitter->send_frame(std::vector<std::byte>(3000)));
  transmitter->flush();
  CHECK_EQUAL(2U, queue.sent.size());
  CHECK(bytes_of(queue.sent[1]) == frame);
  CHECK_EQUAL(2U, transmitter->counters().frames_lost);
  queue.room = 0;
  while (transmitter->send_frame(frame)) CHECK(transmitter->backlog() < 1000);
  queue.room = SIZE_MAX;
  transmitter->flush();
}

// The ring between the threads is in a driver library the thread sanitizer has not seen into: it
// would call every packet that crosses a race.
#if !__has_feature(thread_sanitizer)
TEST(Transmitter, hears_of_buffers_another_thread_lets_go) {
  auto receive_pool = *PacketPool::create({.name = "peer", .packets = 63});
  PacketPool* pools[] = {receive_pool.get()};
  auto port = *Port::open({.name = "net_ring_transmit"}, pools);
  CHECK(port->start().has_value());
  options.capabilities = port->capabilities();
  auto ours =
      std::make_unique<Transmitter>(options, port->queue(0), *pool, neighbour, memory.get());
  constexpr int kTurns = 200;
  std::thread peer([&] {
    auto registered = EalThread::enter();
    std::array<rte_mbuf*, kBurstPackets> packets{};
    for (std::size_t received = 0; received < kTurns;) {
      const std::size_t count = port->queue(0).receive(packets);
      for (std::size_t i = 0; i < count; ++i) PacketPool::give(packets[i]);
      received += count;
    }
  });
  tcp::Ticket last = 0;
  for (int turn = 0; turn < kTurns;) {
    if (const auto ticket = ours->transmit(segment(1000, 5317))) {
      last = *ticket;
      ++turn;
    }
    ours->flush();
  }
  peer.join();
  ours->flush();
  CHECK(ours->completed() >= last);
  port.reset();
}
#endif

TEST_GROUP(ExternalMemory){void setup() override{ensure_eal();
}  // namespace nearfield::net::dpdk
}
;

TEST(ExternalMemory, knows_what_is_in_it) {
  auto arena = *cache::Arena::create({.bytes = 2 << 20, .want_hugepages = false});
  const std::span<std::byte> bytes = arena->memory();
  auto memory = *ExternalMemory::create(bytes);
  CHECK(memory->holds(bytes.data()));
  CHECK(memory->holds(bytes.data() + bytes.size() - 1));
  CHECK_FALSE(memory->holds(bytes.data() + bytes.size()));
  CHECK_FALSE(memory->holds(bytes.data() - 1));
  CHECK_FALSE(memory->holds(nullptr));
  CHECK_FALSE(ExternalMemory::create(bytes).has_value());  // once
  CHECK_FALSE(ExternalMemory::create(bytes.subspan(1, 4096)).has_value());
  CHECK_FALSE(ExternalMemory::create({}).has_value());

  auto pool = *PacketPool::create({.name = "map", .packets = 63});
  PacketPool* pools[] = {pool.get()};
  auto port = *Port::open({.name = "net_null_map"}, pools);
  CHECK(memory->map_for(*port).has_value());
  memory->unmap_for(*port);
  memory->unmap_for(*port);  // nothing is left to take back
  memory.reset();
  CHECK(ExternalMemory::create(bytes).has_value());  // and again when it was given back
}

}  // namespace nearfield::net::dpdk
