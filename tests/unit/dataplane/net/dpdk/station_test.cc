// What a Station takes for its own, answers, passes to its siblings or drops; by hand-made frames
// through a pretended queue, with a real stack above it. No TAP: that is the system tests'.
#include "dataplane/net/dpdk/station.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/neighbour_message.h"
#include "tests/unit/dataplane/net/dpdk/eal_for_tests.h"

namespace nearfield::net::dpdk {
namespace {

using Bytes = std::vector<std::byte>;

constexpr ip::MacAddress kOurs{{2, 0, 0, 0, 0, 2}};
constexpr ip::MacAddress kTheirs{{2, 0, 0, 0, 0, 1}};
const Address kLocal = *Address::parse("192.0.2.10");
const Address kPeer = *Address::parse("192.0.2.1");
const Address kLocal6 = *Address::parse("2001:db8::10");

// What comes in is put there, what goes out is kept as bytes.
class Wire final : public PacketIo {
 public:
  std::size_t receive(std::span<rte_mbuf*> packets) override {
    const std::size_t count = std::min(packets.size(), waiting.size());
    for (std::size_t i = 0; i < count; ++i) {
      packets[i] = waiting.front();
      waiting.pop_front();
    }
    return count;
  }
  std::size_t send(std::span<rte_mbuf*> packets) override {
    for (rte_mbuf* packet : packets) {
      Bytes bytes;
      for (const rte_mbuf* part = packet; part != nullptr; part = part->next) {
        const auto* data = rte_pktmbuf_mtod(part, const std::byte*);
        bytes.insert(bytes.end(), data, data + part->data_len);
      }
      sent.push_back(std::move(bytes));
      PacketPool::give(packet);
    }
    return packets.size();
  }
  void reclaim() override {}

  std::deque<rte_mbuf*> waiting;
  std::vector<Bytes> sent;
};

class Refusing final : public Acceptor {
 public:
  StreamHandler* on_accept(Stream&) override { return nullptr; }
};

ip::Routes routes() {
  const ip::LocalAddress local[] = {{.address = kLocal, .prefix_bits = 24},
                                    {.address = kLocal6, .prefix_bits = 64}};
  return *ip::Routes::create(local, {});
}

struct Worker {
  explicit Worker(PacketPool& pool)
      : station({.mac = kOurs,
                 .vlan_id = {},
                 .routes = routes(),
                 .transmitter = {},
                 .key = {.first = 1, .second = 2},
                 .announces = false,
                 .link_of = nullptr,
                 .tap = nullptr},
                wire, pool, nullptr),
        stack({.maximum_connections = 8,
               .maximum_half_open = 8,
               .maximum_time_wait = 8,
               .shared_transmissions = 64,
               .receive_chunks = 16,
               .remembered_path_mtus = 8,
               .secret = {.first = 3, .second = 4}},
              station.output(), MonotonicTime{}) {
    station.attach(&stack);
    station.open();
  }
  ~Worker() { station.attach(nullptr); }

  void turn(MonotonicTime now) {
    station.begin_turn(now);
    station.receive();
    stack.advance(now);
    station.advance();
    stack.transmit(now);
    station.flush();
  }

  Wire wire;
  Station station;
  tcp::Stack stack;
};

}  // namespace

TEST_GROUP(Station) {
  std::unique_ptr<PacketPool> pool;
  std::unique_ptr<Worker> worker;
  Refusing acceptor;
  MonotonicTime now{std::chrono::seconds(1)};

  void setup() override {
    ensure_eal();
    pool = *PacketPool::create({.name = "station", .packets = 255});
    worker = std::make_unique<Worker>(*pool);
    worker->turn(now);
  }
  void teardown() override {
    worker.reset();
    CHECK_EQUAL(pool->capacity(), pool->available());
    pool.reset();
  }

  void give(Worker & to, const Bytes& frame) {
    rte_mbuf* packet = pool->take_copy(frame);
    CHECK(packet != nullptr);
    to.wire.waiting.push_back(packet);
  }
  // What one frame makes the worker send.
  std::vector<Bytes> answers(const Bytes& frame) {
    worker->wire.sent.clear();
    give(*worker, frame);
    worker->turn(now);
    return worker->wire.sent;
  }
  static Bytes packet(std::uint8_t protocol, const Bytes& payload,
                      const ip::MacAddress& destination = kOurs, const Address& to = kLocal) {
    Bytes frame(ip::kEthernetHeaderBytes + ip::kIpv4HeaderBytes);
    const std::size_t at =
        ip::write_ethernet({destination, kTheirs, {}, ip::kEtherTypeIpv4}, frame);
    ip::write_ipv4_header({.source = kPeer,
                           .destination = to,
                           .protocol = protocol,
                           .payload_bytes = static_cast<std::uint16_t>(payload.size())},
                          std::span(frame).subspan(at));
    frame.insert(frame.end(), payload.begin(), payload.end());
    return frame;
  }
  static Bytes syn(std::uint16_t port, const ip::MacAddress& destination = kOurs) {
    Bytes segment(20);
    write_16(&segment[0], 40000);
    write_16(&segment[2], port);
    write_32(&segment[4], 1000);
    write_16(&segment[12], 0x5002);
    write_16(&segment[14], 65535);
    ip::Checksum sum = ip::pseudo_header(kPeer, kLocal, ip::kProtocolTcp, 20);
    sum.add(segment);
    write_16(&segment[16], sum.finish());
    return packet(ip::kProtocolTcp, segment, destination);
  }
  // An IPv6 packet with nothing but a destination option of this type.
  static Bytes with_option(std::uint8_t type, const ip::MacAddress& destination,
                           const Address& to) {
    Bytes frame(ip::kEthernetHeaderBytes + ip::kIpv6HeaderBytes + 8);
    const std::size_t at =
        ip::write_ethernet({destination, kTheirs, {}, ip::kEtherTypeIpv6}, frame);
    ip::write_ipv6_header({.source = *Address::parse("2001:db8::1"),
                           .destination = to,
                           .protocol = 60,
                           .payload_bytes = 8},
                          std::span(frame).subspan(at));
    Bytes::iterator option = frame.end() - 8;
    option[0] = std::byte{59};
    option[2] = std::byte{type};
    option[3] = std::byte{4};
    return frame;
  }
  static Bytes echo_request(const ip::MacAddress& destination = kOurs) {
    Bytes message(16);
    write_8(&message[0], 8);
    write_16(&message[6], 7);
    ip::Checksum sum;
    sum.add(message);
    write_16(&message[2], sum.finish());
    return packet(ip::kProtocolIcmp, message, destination);
  }
  // The same IPv4 packet of another's.
  static Bytes from(const Address& source, Bytes frame) {
    std::transform(source.bytes.begin() + 12, source.bytes.end(), frame.begin() + 14 + 12,
                   [](std::uint8_t byte) { return std::byte{byte}; });
    write_16(&frame[14 + 10], 0);
    ip::Checksum sum;
    sum.add(std::span(frame).subspan(14, 20));
    write_16(&frame[14 + 10], sum.finish());
    if (frame[14 + 9] == std::byte{ip::kProtocolTcp}) {
      write_16(&frame[14 + 20 + 16], 0);
      ip::Checksum of_segment = ip::pseudo_header(source, kLocal, ip::kProtocolTcp, 20);
      of_segment.add(std::span(frame).subspan(14 + 20));
      write_16(&frame[14 + 20 + 16], of_segment.finish());
    }
    return frame;
  }
  static Bytes arp(bool is_request, const Address& target) {
    Bytes frame(64);
    frame.resize(ip::write_arp({.is_request = is_request,
                                .sender_mac = kTheirs,
                                .sender = kPeer,
                                .target_mac = kOurs,
                                .target = target},
                               kOurs, {}, frame));
    return frame;
  }
  // Offsets in an untagged frame.
  static unsigned protocol_of(const Bytes& frame) { return read_8(&frame[14 + 9]); }
  static unsigned tcp_flags_of(const Bytes& frame) { return read_8(&frame[14 + 20 + 13]); }
};

TEST(Station, answers_pings_to_the_station_that_asked) {
  const auto sent = answers(echo_request());
  CHECK_EQUAL(1U, sent.size());
  CHECK(std::equal(kTheirs.bytes.begin(), kTheirs.bytes.end(), sent[0].begin(),
                   [](std::uint8_t a, std::byte b) { return std::byte{a} == b; }));
  CHECK_EQUAL(unsigned{ip::kProtocolIcmp}, protocol_of(sent[0]));
  CHECK_EQUAL(0U, read_8(&sent[0][34]));
  CHECK_EQUAL(1U, worker->station.counters().echo_replies);
}

TEST(Station, answers_questions_for_its_address) {
  const auto sent = answers(arp(true, kLocal));
  CHECK_EQUAL(1U, sent.size());
  CHECK_EQUAL(unsigned{ip::kEtherTypeArp}, read_16(&sent[0][12]));
  CHECK_TRUE(answers(arp(true, *Address::parse("192.0.2.77"))).empty());
}

TEST(Station, gives_tcp_to_the_stack) {
  answers(arp(true, kLocal));  // by which it knows the neighbour
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  const auto sent = answers(syn(80));
  CHECK_EQUAL(1U, sent.size());
  CHECK_EQUAL(0x12U, tcp_flags_of(sent[0]) & 0x3fU);  // SYN and ACK
  CHECK_EQUAL(1U, worker->station.counters().segments);
}

TEST(Station, lets_the_stack_refuse_what_nobody_listens_for) {
  answers(arp(true, kLocal));
  const auto sent = answers(syn(81));
  CHECK_EQUAL(1U, sent.size());
  CHECK_EQUAL(0x14U, tcp_flags_of(sent[0]) & 0x3fU);  // RST and ACK
}

TEST(Station, drops_segments_in_frames_to_many) {
  CHECK_TRUE(answers(syn(80, ip::MacAddress::broadcast())).empty());
  CHECK_EQUAL(1U, worker->station.counters().dropped_group_frame);
  CHECK_EQUAL(0U, worker->station.counters().segments);
}

TEST(Station, answers_no_ping_in_a_frame_to_many) {  // RFC 1122 3.3.6
  CHECK_TRUE(answers(echo_request(ip::MacAddress::broadcast())).empty());
  CHECK_EQUAL(1U, worker->station.counters().dropped_group_frame);
}

// RFC 4443 2.4 e: an unknown option that asks for an error (10xxxxxx: also of many).
TEST(Station, tells_only_of_headers_that_were_for_it) {
  const Address other = *Address::parse("2001:db8::11");
  const Address group = *Address::parse("ff02::1");
  const ip::MacAddress to_group{{0x33, 0x33, 0, 0, 0, 1}};
  constexpr std::uint8_t kTell = 0xc0;
  constexpr std::uint8_t kTellOfMany = 0x80;
  const auto told = answers(with_option(kTell, kOurs, kLocal6));
  CHECK_EQUAL(1U, told.size());
  CHECK_EQUAL(4U, read_8(&told[0][14 + 40]));  // parameter problem
  CHECK_TRUE(answers(with_option(kTell, kOurs, other)).empty());
  CHECK_TRUE(answers(with_option(kTellOfMany, kOurs, other)).empty());
  CHECK_TRUE(answers(with_option(kTell, to_group, group)).empty());
  CHECK_TRUE(answers(with_option(kTell, ip::MacAddress::broadcast(), kLocal6)).empty());
  CHECK_EQUAL(1U, answers(with_option(kTellOfMany, to_group, group)).size());
  CHECK_EQUAL(2U, worker->station.counters().errors_sent);
}

// RFC 1122 3.2.1.3, 3.2.2; RFC 9293 3.9.2.3: the broadcast address of our own link is no source.
TEST(Station, says_nothing_to_all_of_its_link) {
  answers(arp(true, kLocal));
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  for (const Bytes& frame : {syn(80), echo_request(), packet(ip::kProtocolUdp, Bytes(8))}) {
    CHECK_TRUE(answers(from(*Address::parse("192.0.2.255"), frame)).empty());
  }
  CHECK_EQUAL(0U, worker->stack.half_open());
  CHECK_EQUAL(3U, worker->station.counters().dropped_not_ours);
}

// LAND, and whoever else speaks in our name.
TEST(Station, hears_nothing_from_its_own_address) {
  answers(arp(true, kLocal));
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  for (const Bytes& frame :
       {syn(80), syn(81), echo_request(), packet(ip::kProtocolUdp, Bytes(8))}) {
    CHECK_TRUE(answers(from(kLocal, frame)).empty());
  }
  CHECK_EQUAL(0U, worker->stack.half_open());
  CHECK_EQUAL(0U, worker->station.counters().segments);
  CHECK_EQUAL(4U, worker->station.counters().dropped_own_source);
}

// RFC 4861 7.2.2, RFC 1122 2.3.2.2: the SYN+ACK waits for the neighbour, not for its repetition.
TEST(Station, answers_a_stranger_as_soon_as_it_knows_where_it_is) {
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  const auto asked = answers(syn(80));
  CHECK_EQUAL(1U, asked.size());
  CHECK_EQUAL(unsigned{ip::kEtherTypeArp}, read_16(&asked[0][12]));
  now += std::chrono::milliseconds(1);
  const auto sent = answers(arp(false, kLocal));
  CHECK_EQUAL(1U, sent.size());
  CHECK_EQUAL(0x12U, tcp_flags_of(sent[0]) & 0x3fU);
  CHECK(std::equal(kTheirs.bytes.begin(), kTheirs.bytes.end(), sent[0].begin(),
                   [](std::uint8_t a, std::byte b) { return std::byte{a} == b; }));
  CHECK_EQUAL(1U, worker->station.transmitter().held);
}

// Whoever asks for us says by that where it is.
TEST(Station, sends_what_waits_to_who_asks_for_it) {
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  CHECK_EQUAL(1U, answers(syn(80)).size());  // it asks
  const auto sent = answers(arp(true, kLocal));
  CHECK_EQUAL(2U, sent.size());
  CHECK_EQUAL(unsigned{ip::kEtherTypeArp}, read_16(&sent[0][12]));
  CHECK_EQUAL(0x12U, tcp_flags_of(sent[1]) & 0x3fU);
}

TEST(Station, gives_up_what_waits_for_nobody) {
  worker->station.claim({kLocal, 80});
  worker->stack.listen({kLocal, 80}, acceptor);
  answers(syn(80));
  for (int turn = 0; turn < 400; ++turn) {  // four seconds; the SYN+ACK is repeated meanwhile
    now += std::chrono::milliseconds(10);
    worker->turn(now);
  }
  CHECK_EQUAL(3U, worker->station.neighbours().solicitations_sent);
  CHECK_EQUAL(1U, worker->station.neighbours().unreachable);
  CHECK_EQUAL(3U, worker->station.transmitter().held);  // after 0, 1 and 3 seconds
  CHECK_EQUAL(3U, worker->station.transmitter().held_lost);
  for (const Bytes& frame : worker->wire.sent)
    CHECK_EQUAL(unsigned{ip::kEtherTypeArp}, read_16(&frame[12]));
}

TEST(Station, refuses_other_protocols_and_drops_what_is_for_others) {
  const auto udp = answers(packet(ip::kProtocolUdp, Bytes(8)));
  CHECK_EQUAL(1U, udp.size());
  CHECK_EQUAL(3U, read_8(&udp[0][34]));  // destination unreachable
  CHECK_EQUAL(3U, read_8(&udp[0][35]));  // port
  const auto other = answers(packet(132, Bytes(8)));
  CHECK_EQUAL(1U, other.size());
  CHECK_EQUAL(2U, read_8(&other[0][35]));  // protocol
  CHECK_TRUE(
      answers(packet(ip::kProtocolUdp, Bytes(8), kOurs, *Address::parse("192.0.2.11"))).empty());
  CHECK_EQUAL(2U, worker->station.counters().errors_sent);
  CHECK_EQUAL(3U, worker->station.counters().dropped_not_ours);
}

TEST(Station, drops_frames_of_another_vlan) {
  Bytes frame = echo_request();
  const Bytes tag = {std::byte{0x81}, std::byte{0}, std::byte{0}, std::byte{7}};
  frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  CHECK_TRUE(answers(frame).empty());
  CHECK_EQUAL(1U, worker->station.counters().dropped_not_ours);
}

// RSS brings a neighbour's answer to one queue; the sibling that asked hears of it.
TEST(Station, passes_answers_of_neighbours_on) {
  auto sibling = std::make_unique<Worker>(*pool);
  worker->station.set_siblings({&sibling->station});
  sibling->station.claim({kLocal, 80});
  sibling->stack.listen({kLocal, 80}, acceptor);
  sibling->turn(now);
  // A SYN makes it look for the neighbour it does not know.
  give(*sibling, syn(80));
  sibling->turn(now);
  now += std::chrono::milliseconds(1);
  sibling->turn(now);
  const auto asked = std::ranges::find_if(sibling->wire.sent, [](const Bytes& frame) {
    return read_16(&frame[12]) == ip::kEtherTypeArp;
  });
  CHECK(asked != sibling->wire.sent.end());
  sibling->wire.sent.clear();
  give(*worker, arp(false, kLocal));
  worker->turn(now);
  sibling->turn(now);
  CHECK_EQUAL(1U, sibling->wire.sent.size());  // what has waited
  CHECK_EQUAL(unsigned{ip::kProtocolTcp}, protocol_of(sibling->wire.sent[0]));
  sibling->wire.sent.clear();
  give(*sibling, syn(80));
  sibling->turn(now);
  CHECK_EQUAL(1U, sibling->wire.sent.size());
  CHECK_EQUAL(unsigned{ip::kProtocolTcp}, protocol_of(sibling->wire.sent[0]));
}

// Who asks for us on one queue may have its first SYN on another: it is answered at once, not when
// the SYN+ACK is repeated after a second.
TEST(Station, passes_questions_of_neighbours_on) {
  auto sibling = std::make_unique<Worker>(*pool);
  worker->station.set_siblings({&sibling->station});
  sibling->station.claim({kLocal, 80});
  sibling->stack.listen({kLocal, 80}, acceptor);
  sibling->turn(now);
  give(*worker, arp(true, kLocal));
  worker->turn(now);
  CHECK_EQUAL(1U, worker->wire.sent.size());  // one answer is enough
  give(*sibling, syn(80));
  sibling->turn(now);
  CHECK_EQUAL(1U, sibling->wire.sent.size());
  CHECK_EQUAL(unsigned{ip::kProtocolTcp}, protocol_of(sibling->wire.sent[0]));
}

TEST(Station, passes_routers_errors_on) {
  auto sibling = std::make_unique<Worker>(*pool);
  worker->station.set_siblings({&sibling->station});
  sibling->turn(now);
  // "Packet too big" quoting a packet from us to the peer.
  Bytes message(8 + ip::kIpv4HeaderBytes + 8);
  write_8(&message[0], 3);
  write_8(&message[1], 4);
  write_16(&message[6], 1280);
  ip::write_ipv4_header(
      {.source = kLocal, .destination = kPeer, .protocol = ip::kProtocolTcp, .payload_bytes = 1480},
      std::span(message).subspan(8));
  write_16(&message[28], 80);
  write_16(&message[30], 40000);
  ip::Checksum sum;
  sum.add(message);
  write_16(&message[2], sum.finish());
  CHECK_TRUE(answers(packet(ip::kProtocolIcmp, message)).empty());
  sibling->turn(now);
  CHECK_EQUAL(1U, worker->station.counters().path_errors);
  CHECK_EQUAL(1U, sibling->station.counters().path_errors);
  CHECK_EQUAL(1U, sibling->stack.counters().errors_ignored);  // about no connection of it
}

}  // namespace nearfield::net::dpdk
