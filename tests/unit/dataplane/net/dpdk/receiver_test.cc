// What the Receiver believes, hands on and counts: packets are made by hand, come through a
// pretended queue, and carry what a NIC would say of their checksums.
#include "dataplane/net/dpdk/receiver.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/ip/checksum.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

constexpr ip::MacAddress kOurs{{2, 0, 0, 0, 0, 2}};
constexpr ip::MacAddress kTheirs{{2, 0, 0, 0, 0, 1}};

class Source final : public PacketIo {
 public:
  std::size_t receive(std::span<rte_mbuf*> packets) override {
    const std::size_t count = std::min(packets.size(), waiting.size());
    for (std::size_t i = 0; i < count; ++i) {
      packets[i] = waiting.front();
      waiting.pop_front();
    }
    return count;
  }
  std::size_t send(std::span<rte_mbuf*>) override { return 0; }
  void reclaim() override {}
  std::deque<rte_mbuf*> waiting;
};

class Handler final : public PacketHandler {
 public:
  void on_foreseen(const ip::Packet& packet) override {
    story += "f" + std::to_string(packet.payload.size() - 20) + " ";
  }
  void on_all_foreseen() override { story += "| "; }
  void on_packet(const ReceivedFrame& frame, const ip::Packet& packet) override {
    story += std::to_string(packet.payload.size() - 20) + " ";
    ++packets;
    payload.assign(packet.payload.begin(), packet.payload.end());
    frame_bytes = frame.bytes.size();
  }
  void on_frame(const ReceivedFrame&) override { ++frames; }
  void on_rejected(const ReceivedFrame&, const ip::Rejection& rejection) override {
    ++rejected;
    reason = rejection.reason;
  }
  std::string story;  // payloads by their length, in the order they came
  int packets = 0;
  int frames = 0;
  int rejected = 0;
  ip::DropReason reason{};
  std::vector<std::byte> payload;
  std::size_t frame_bytes = 0;
};

}  // namespace

TEST_GROUP(Receiver) {
  void setup() override {
    ensure_eal();
    pool = *PacketPool::create({.name = "receive", .packets = 255});
  }
  void teardown() override {
    CHECK_EQUAL(pool->capacity(), pool->available());
    pool.reset();
  }

  // A TCP packet with a right checksum; `tcp` are the bytes of its payload behind 20 of header.
  static std::vector<std::byte> tcp_frame(bool v4, std::size_t tcp_bytes,
                                          const ip::MacAddress& destination = kOurs) {
    const Address source = *Address::parse(v4 ? "198.51.100.7" : "2001:db8::7");
    const Address local = *Address::parse(v4 ? "192.0.2.1" : "2001:db8::1");
    std::vector<std::byte> tcp(20 + tcp_bytes);
    for (std::size_t i = 0; i < tcp.size(); ++i) tcp[i] = static_cast<std::byte>(i * 7);
    write_8(&tcp[12], 0x50);
    write_16(&tcp[16], 0);
    const auto length = static_cast<std::uint16_t>(tcp.size());
    ip::Checksum sum = ip::pseudo_header(source, local, ip::kProtocolTcp, length);
    sum.add(tcp);
    write_16(&tcp[16], sum.finish());

    std::vector<std::byte> frame(ip::kEthernetHeaderBytes + ip::kIpv6HeaderBytes);
    std::size_t at = ip::write_ethernet(
        {destination, kTheirs, {}, v4 ? ip::kEtherTypeIpv4 : ip::kEtherTypeIpv6}, frame);
    at += ip::write_ip_header({.source = source,
                               .destination = local,
                               .protocol = ip::kProtocolTcp,
                               .payload_bytes = length},
                              std::span(frame).subspan(at));
    frame.resize(at);
    frame.insert(frame.end(), tcp.begin(), tcp.end());
    return frame;
  }
  rte_mbuf* give(const std::vector<std::byte>& frame, std::uint64_t flags = 0) {
    rte_mbuf* packet = pool->take_copy(frame);
    CHECK(packet != nullptr);
    packet->ol_flags |= flags;
    source.waiting.push_back(packet);
    return packet;
  }
  const ReceiverCounters& poll() {
    while (receiver.poll(handler) > 0) {
    }
    return receiver.counters();
  }

  std::unique_ptr<PacketPool> pool;
  Source source;
  Handler handler;
  Receiver receiver{source, kOurs};
};

TEST(Receiver, hands_on_tcp_of_both_families_without_padding) {
  for (const bool v4 : {true, false}) {
    auto frame = tcp_frame(v4, 101);
    const std::vector<std::byte> tcp(frame.end() - 121, frame.end());
    frame.resize(frame.size() + 9, std::byte{0xee});  // as a switch may pad
    give(frame);
    poll();
    CHECK(handler.payload == tcp);
    CHECK_EQUAL(frame.size(), handler.frame_bytes);
  }
  CHECK_EQUAL(2, handler.packets);
}

TEST(Receiver, verifies_what_the_nic_has_not) {
  for (const bool v4 : {true, false}) {
    auto frame = tcp_frame(v4, 100);
    frame.back() ^= std::byte{1};
    give(frame);
  }
  CHECK_EQUAL(2U, poll().tcp_checksum);
  CHECK_EQUAL(0, handler.packets);
}

TEST(Receiver, believes_the_nic) {
  auto frame = tcp_frame(true, 100);
  give(frame, RTE_MBUF_F_RX_L4_CKSUM_BAD);
  CHECK_EQUAL(1U, poll().tcp_checksum);
  give(frame, RTE_MBUF_F_RX_IP_CKSUM_BAD);
  poll();
  const auto bad_header = static_cast<std::size_t>(ip::DropReason::kBadHeaderChecksum);
  CHECK_EQUAL(1U, receiver.counters().rejected[bad_header]);
  CHECK_EQUAL(0, handler.packets);

  frame.back() ^= std::byte{1};  // not made yet, as between two guests of a host
  give(frame, RTE_MBUF_F_RX_L4_CKSUM_NONE);
  frame[ip::kEthernetHeaderBytes + 10] ^= std::byte{1};
  give(frame, RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD);
  poll();
  CHECK_EQUAL(2, handler.packets);
}

TEST(Receiver, leaves_other_stations_alone) {
  give(tcp_frame(true, 10, kTheirs));
  CHECK_EQUAL(1U, poll().other_station);
  CHECK_EQUAL(0, handler.packets);
  give(tcp_frame(true, 10, ip::MacAddress::broadcast()));
  poll();
  CHECK_EQUAL(1, handler.packets);
}

TEST(Receiver, shows_what_is_not_ip_and_what_is_rejected) {
  std::vector<std::byte> arp(60);
  ip::write_ethernet({ip::MacAddress::broadcast(), kTheirs, {}, ip::kEtherTypeArp}, arp);
  give(arp);
  poll();
  CHECK_EQUAL(1, handler.frames);

  auto cut = tcp_frame(true, 100);
  cut.resize(cut.size() - 1);
  give(cut);
  poll();
  CHECK_EQUAL(1, handler.rejected);
  CHECK_EQUAL(1U, receiver.counters().rejected[static_cast<std::size_t>(handler.reason)]);

  give(std::vector<std::byte>(13));
  CHECK_EQUAL(1U, poll().rejected[static_cast<std::size_t>(ip::DropReason::kFrameTooShort)]);
  give({});
  poll();
  CHECK_EQUAL(0, handler.packets);
}

TEST(Receiver, joins_packets_that_came_in_several_buffers) {
  const auto frame = tcp_frame(true, 3000);
  const std::span<const std::byte> bytes(frame);
  rte_mbuf* first = pool->take_copy(bytes.first(30));
  rte_mbuf* second = pool->take_copy(bytes.subspan(30, 1501));
  rte_mbuf* third = pool->take_copy(bytes.subspan(1531));
  CHECK_EQUAL(0, rte_pktmbuf_chain(second, third));
  CHECK_EQUAL(0, rte_pktmbuf_chain(first, second));
  source.waiting.push_back(first);
  poll();
  CHECK_EQUAL(1, handler.packets);
  CHECK_EQUAL(3020U, handler.payload.size());
}

// A burst is read before any of it is handed on; but chains, for which there is one place to join
// them, in their turn.
TEST(Receiver, foresees_the_tcp_of_a_burst) {
  give(tcp_frame(true, 101));
  rte_mbuf* packet = give(tcp_frame(true, 102));
  auto frame = tcp_frame(true, 103);
  rte_mbuf* head = give({frame.begin(), frame.begin() + 70});
  head->next = pool->take_copy(std::span(frame).subspan(70));
  head->nb_segs = 2;
  head->pkt_len = static_cast<std::uint32_t>(frame.size());
  rte_pktmbuf_mtod(packet, std::byte*)[80] ^= std::byte{1};  // a wrong checksum
  give(tcp_frame(true, 104));
  receiver.poll(handler);
  STRCMP_EQUAL("f101 f104 | 101 103 104 ", handler.story.c_str());
}

TEST(Receiver, drops_chains_longer_than_any_packet) {
  rte_mbuf* first = pool->take_copy(std::vector<std::byte>(2000));
  for (int i = 0; i < 40; ++i)
    CHECK_EQUAL(0, rte_pktmbuf_chain(first, pool->take_copy(std::vector<std::byte>(2000))));
  source.waiting.push_back(first);
  CHECK_EQUAL(1U, poll().too_long);
}

TEST(Receiver, takes_a_burst_at_a_time) {
  for (int i = 0; i < 40; ++i) give(tcp_frame(true, 10));
  CHECK_EQUAL(kBurstPackets, receiver.poll(handler));
  CHECK_EQUAL(8U, receiver.poll(handler));
  CHECK_EQUAL(40, handler.packets);
  CHECK_EQUAL(40U, receiver.counters().packets);
}

}  // namespace nearfield::net::dpdk
