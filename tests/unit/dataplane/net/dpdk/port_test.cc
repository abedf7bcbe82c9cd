// Ports on virtual devices, and the pools they take packets from: what a port cannot is refused in
// words, what goes in comes out, and every packet comes back to its pool.
#include "dataplane/net/dpdk/port.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

std::unique_ptr<PacketPool> make_pool(const char* name, std::uint32_t packets = 255,
                                      std::uint32_t data_bytes = 2048) {
  auto pool = PacketPool::create({.name = name, .packets = packets, .data_bytes = data_bytes});
  CHECK(pool.has_value());
  return std::move(*pool);
}

}  // namespace

TEST_GROUP(PacketPool){void setup() override{ensure_eal();
}  // namespace nearfield::net::dpdk
}
;

TEST(PacketPool, gives_what_it_has_and_counts_what_it_has_not) {
  auto pool = make_pool("bounded", 7);
  std::vector<rte_mbuf*> taken;
  while (rte_mbuf* packet = pool->take()) taken.push_back(packet);
  CHECK_EQUAL(7U, taken.size());
  CHECK_EQUAL(1U, pool->exhausted());
  CHECK_EQUAL(0U, pool->available());
  for (rte_mbuf* packet : taken) PacketPool::give(packet);
  CHECK_EQUAL(7U, pool->available());
}

TEST(PacketPool, copies_frames_that_fit) {
  auto pool = make_pool("copies", 7, 256);
  const std::vector<std::byte> frame(256, std::byte{0x5a});
  rte_mbuf* packet = pool->take_copy(frame);
  CHECK(packet != nullptr);
  CHECK_EQUAL(256U, packet->pkt_len);
  CHECK_EQUAL(0, std::memcmp(frame.data(), rte_pktmbuf_mtod(packet, void*), frame.size()));
  PacketPool::give(packet);
  CHECK(pool->take_copy(std::vector<std::byte>(257)) == nullptr);
  CHECK_EQUAL(7U, pool->available());
}

TEST(PacketPool, says_why_it_cannot_be) {
  CHECK(contains(PacketPool::create({.name = "none", .packets = 0}).error().message, "1048575"));
  CHECK(contains(
      PacketPool::create({.name = "much", .packets = 1048575, .data_bytes = 65000}).error().message,
      "MB"));
  auto first = make_pool("twice");
  CHECK_FALSE(PacketPool::create({.name = "twice"}).has_value());
}

TEST_GROUP(Port){void setup() override{ensure_eal();
}
}
;

TEST(Port, carries_packets_and_gives_them_back) {
  auto pool = make_pool("ring");
  PacketPool* pools[] = {pool.get()};
  {
    auto port = Port::open({.name = "net_ring_carry"}, pools);
    CHECK(port.has_value());
    CHECK((*port)->start().has_value());
    CHECK((*port)->link().up);
    CHECK_EQUAL(std::string("net_ring"), (*port)->driver());

    PacketIo& queue = (*port)->queue(0);
    const std::vector<std::byte> frame(60, std::byte{7});
    rte_mbuf* sent = pool->take_copy(frame);
    CHECK_EQUAL(1U, queue.send({&sent, 1}));
    std::array<rte_mbuf*, kBurstPackets> received{};
    CHECK_EQUAL(1U, queue.receive(received));
    CHECK(received[0] == sent);
    PacketPool::give(received[0]);
    CHECK_EQUAL(1U, (*port)->statistics().received_packets);
    CHECK_EQUAL(1U, (*port)->statistics().sent_packets);
    queue.reclaim();
    CHECK_EQUAL(0U, queue.receive(received));
  }
  CHECK_EQUAL(255U, pool->available());
}

// net_ring refuses nothing, so a driver's check is put before it.
TEST(Port, drops_what_the_driver_refuses_and_goes_on) {
  auto pool = make_pool("refused");
  PacketPool* pools[] = {pool.get()};
  auto port = Port::open({.name = "net_ring_refused"}, pools);
  CHECK(port.has_value());
  CHECK((*port)->start().has_value());
  rte_eth_fp_ops[(*port)->id()].tx_pkt_prepare = [](void*, rte_mbuf** packets,
                                                    std::uint16_t count) {
    std::uint16_t good = 0;
    while (good < count && packets[good]->pkt_len != 61) ++good;
    return good;
  };
  PacketIo& queue = (*port)->queue(0);
  std::vector<rte_mbuf*> packets;
  for (const std::size_t bytes : {61U, 60U, 61U, 61U, 62U, 61U}) {
    packets.push_back(pool->take_copy(std::vector<std::byte>(bytes)));
  }
  CHECK_EQUAL(6U, queue.send(packets));
  std::array<rte_mbuf*, kBurstPackets> received{};
  CHECK_EQUAL(2U, queue.receive(received));
  CHECK_EQUAL(60U, received[0]->pkt_len);
  CHECK_EQUAL(62U, received[1]->pkt_len);
  PacketPool::give(received[0]);
  PacketPool::give(received[1]);
  CHECK_EQUAL(255U, pool->available());
  CHECK_EQUAL(4U, (*port)->statistics().send_errors);
}

// Nor has it interrupts; that is no error, and not one in the log either.
TEST(Port, tells_whether_packets_interrupt) {
  auto pool = make_pool("interrupt");
  PacketPool* pools[] = {pool.get()};
  auto port = Port::open({.name = "net_ring_wake", .interrupts = true}, pools);
  CHECK(port.has_value());
  const std::size_t before = logged_lines().size();
  CHECK((*port)->start().has_value());
  CHECK_FALSE((*port)->capabilities().receive_interrupts);
  CHECK_FALSE((*port)->queue(0).watch(0));
  CHECK_EQUAL(before, logged_lines().size());
}

TEST(Port, may_be_opened_again_after_it_was_closed) {
  auto pool = make_pool("again");
  PacketPool* pools[] = {pool.get()};
  for (int round = 0; round < 3; ++round) {
    auto port = Port::open({.name = "net_ring_again"}, pools);
    CHECK(port.has_value());
    CHECK((*port)->start().has_value());
    (*port)->stop();
    CHECK((*port)->start().has_value());
  }
}

TEST(Port, refuses_in_words) {
  auto pool = make_pool("refuse");
  PacketPool* one[] = {pool.get()};
  std::vector<PacketPool*> many(64, pool.get());
  CHECK(contains(Port::open({.name = "0000:00:1f.6"}, one).error().message, "no driver"));
  CHECK(contains(Port::open({.name = "net_ring_r", .queues = 0}, {}).error().message, "1 to 128"));
  CHECK(contains(Port::open({.name = "net_ring_r", .queues = 2}, one).error().message, "pools"));
  CHECK(contains(Port::open({.name = "net_ring_r", .mtu = 576}, one).error().message, "1280"));
  CHECK(contains(Port::open({.name = "net_ring_r", .queues = 64}, many).error().message, "fewer"));
  auto small = make_pool("small", 63, 512);
  PacketPool* smalls[] = {small.get()};
  CHECK(contains(Port::open({.name = "net_null_r"}, smalls).error().message, "larger"));
  // A port that was refused leaves no device behind.
  CHECK(Port::open({.name = "net_null_r"}, one).has_value());
}

TEST(Port, tells_what_it_can) {
  auto pool = make_pool("tell");
  PacketPool* pools[] = {pool.get()};
  auto port = Port::open({.name = "net_ring_tell"}, pools);
  CHECK(port.has_value());
  const PortCapabilities& can = (*port)->capabilities();
  CHECK(can.multiple_segments);
  CHECK(can.external_buffers);
  CHECK_FALSE(can.segmentation);
  CHECK(contains(can.text(), "chained"));
  CHECK(contains(PortCapabilities{}.text(), "software"));
}

}  // namespace nearfield::net::dpdk
