// Neighbours are found, kept, verified and lost, in virtual time; and what strangers on the link
// say changes only what it may.
#include "dataplane/net/ip/neighbour_table.h"

#include "CppUTest/TestHarness.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/neighbour_message.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_GROUP(NeighbourTable) {
  const MacAddress ours = mac("02:00:00:00:00:10");
  const MacAddress theirs = mac("02:00:00:00:00:01");
  const MacAddress moved = mac("02:00:00:00:00:99");
  const Address v4 = address("192.0.2.1");
  const Address v6 = address("2001:db8::1");
  const Address our_v4 = address("192.0.2.10");
  const Address our_v6 = address("2001:db8::10");
  std::vector<LocalAddress> local = {{our_v4, 16}, {our_v6, 64}};
  Routes routes = *Routes::create(local, {});
  NeighbourTable table{{.mac = ours, .vlan_id = {}, .capacity = 16, .key = {1, 2}}, routes};
  KeepingSink sink;
  MonotonicTime now{seconds(1000)};

  void arp(const ArpMessage& message) {
    Bytes out(kMaximumNeighbourFrameBytes);
    out.resize(write_arp(message, ours, {}, out));
    table.receive_arp(*parse_ethernet(out), now, sink);
  }
  void arp_reply(const Address& sender, const MacAddress& sender_mac) {
    arp({.is_request = false,
         .sender_mac = sender_mac,
         .sender = sender,
         .target_mac = ours,
         .target = our_v4});
  }
  bool neighbour_message(const NeighbourMessage& message, const Address& source,
                         const Address& destination) {
    Bytes out(kMaximumNeighbourFrameBytes);
    NeighbourMessage with_mac = message;
    const bool has_option = message.mac.has_value();
    if (!has_option) with_mac.mac = theirs;
    out.resize(write_neighbour_message(with_mac,
                                       {.source = source,
                                        .destination = destination,
                                        .source_mac = theirs,
                                        .destination_mac = ours,
                                        .vlan_id = {}},
                                       out));
    if (!has_option) {
      // Cut the option off; the sum changes with its words and the length.
      Bytes packet(out.begin() + 14, out.end() - 8);
      packet[5] = std::byte{24};
      packet[42] = packet[43] = std::byte{0};
      Checksum sum = pseudo_header(source, destination, 58, 24);
      sum.add(std::span(packet).subspan(40));
      packet[42] = static_cast<std::byte>(sum.finish() >> 8);
      packet[43] = static_cast<std::byte>(sum.finish() & 0xff);
      return table.receive_neighbour_discovery(*parse_ipv6(packet), now, sink);
    }
    const auto frame = parse_ethernet(out);
    return table.receive_neighbour_discovery(*parse_ipv6(frame->payload), now, sink);
  }
  void advertise(const MacAddress& from, bool is_solicited, bool is_override) {
    neighbour_message({.is_solicitation = false,
                       .is_solicited = is_solicited,
                       .is_override = is_override,
                       .target = v6,
                       .mac = from},
                      v6, our_v6);
  }
  // Runs all timers up to `end`.
  void advance_to(MonotonicTime end) {
    while (table.next_deadline() <= end) {
      now = std::max(now, table.next_deadline());
      table.advance(now, sink);
    }
    now = end;
  }
  void expect_state(const Address& who, NeighbourState state) { CHECK(table.state(who) == state); }
};

TEST(NeighbourTable, ArpResolvesAndAnAnswerIsReachable) {
  CHECK(!table.resolve(v4, now));
  CHECK(table.next_deadline() == now);
  table.advance(now, sink);
  LONGS_EQUAL(1, sink.frames.size());
  const auto frame = parse_ethernet(sink.frames[0]);
  CHECK(frame->header.destination == MacAddress::broadcast());
  const auto question = parse_arp(*frame);
  CHECK(question && question->is_request && question->target == v4 && question->sender == our_v4);
  arp_reply(v4, theirs);
  CHECK(table.resolve(v4, now) == theirs);
  expect_state(v4, NeighbourState::kReachable);
}

TEST(NeighbourTable, ASilentNeighbourIsAskedThreeTimesASecondApartThenForgotten) {
  table.resolve(v6, now);
  const MonotonicTime start = now;
  advance_to(start + milliseconds(2999));
  LONGS_EQUAL(3, sink.frames.size());
  for (int i = 0; i < 100; ++i) CHECK(!table.resolve(v6, now));
  advance_to(start + seconds(3));
  LONGS_EQUAL(3, sink.frames.size());
  LONGS_EQUAL(0, table.size());
  LONGS_EQUAL(1, table.counters().unreachable);
  CHECK(table.next_deadline() == MonotonicTime::max());
}

TEST(NeighbourTable, WhoWaitsForAnswersSeesWhenThereAreAny) {
  std::uint64_t settled = table.settled();
  CHECK(!table.resolve(v4, now));
  table.advance(now, sink);
  CHECK_EQUAL(settled, table.settled());
  arp_reply(v4, theirs);
  CHECK(table.settled() > settled);
  settled = table.settled();
  arp_reply(v4, theirs);  // once more changes nothing
  CHECK_EQUAL(settled, table.settled());
  CHECK(!table.resolve(v6, now));
  advance_to(now + seconds(2));
  CHECK_EQUAL(settled, table.settled());
  advance_to(now + seconds(2));  // asked three times
  CHECK(!table.state(v6));
  CHECK(table.settled() > settled);
  CHECK(!table.resolve(v6, now));
  settled = table.settled();
  table.clear();
  CHECK(table.settled() > settled);
}

TEST(NeighbourTable, AQuestionOfIpv6GoesToTheSolicitedNodeGroup) {
  table.resolve(v6, now);
  table.advance(now, sink);
  const auto frame = parse_ethernet(sink.frames[0]);
  CHECK(frame->header.destination == mac("33:33:ff:00:00:01"));
  const auto packet = parse_ipv6(frame->payload);
  CHECK(packet->destination == address("ff02::1:ff00:1"));
  LONGS_EQUAL(255, packet->hop_limit);
  const auto message = parse_neighbour_message(*packet);
  CHECK(message && message->is_solicitation && message->target == v6 && message->mac == ours);
}

TEST(NeighbourTable, ReachableGrowsStaleIsProbedAndConfirmed) {
  table.resolve(v6, now);
  table.advance(now, sink);
  advertise(theirs, true, true);
  expect_state(v6, NeighbourState::kReachable);
  now += seconds(46);  // longer than any draw
  CHECK(table.resolve(v6, now) == theirs);
  expect_state(v6, NeighbourState::kDelay);
  const std::size_t before = sink.frames.size();
  advance_to(now + milliseconds(4999));
  LONGS_EQUAL(before, sink.frames.size());
  advance_to(now + milliseconds(1));
  expect_state(v6, NeighbourState::kProbe);
  CHECK(parse_ethernet(sink.frames.back())->header.destination == theirs);
  CHECK(table.resolve(v6, now) == theirs);  // in use while it is verified
  advertise(theirs, true, false);
  expect_state(v6, NeighbourState::kReachable);
}

TEST(NeighbourTable, ProgressAboveSavesTheProbe) {
  arp({.is_request = true, .sender_mac = theirs, .sender = v4, .target_mac = {}, .target = our_v4});
  expect_state(v4, NeighbourState::kStale);
  table.resolve(v4, now);
  expect_state(v4, NeighbourState::kDelay);
  CHECK(table.is_verifying());
  table.confirm(v4, now);
  CHECK_FALSE(table.is_verifying());
  const std::size_t before = sink.frames.size();
  advance_to(now + seconds(10));
  LONGS_EQUAL(before, sink.frames.size());
  expect_state(v4, NeighbourState::kReachable);
}

TEST(NeighbourTable, AProbedNeighbourThatIsGoneIsForgotten) {
  arp({.is_request = true, .sender_mac = theirs, .sender = v4, .target_mac = {}, .target = our_v4});
  table.resolve(v4, now);
  advance_to(now + seconds(9));
  LONGS_EQUAL(0, table.size());
}

TEST(NeighbourTable, QuestionsAboutUsAreAnsweredOthersNot) {
  arp({.is_request = true, .sender_mac = theirs, .sender = v4, .target_mac = {}, .target = our_v4});
  LONGS_EQUAL(1, sink.frames.size());
  const auto answer = parse_arp(*parse_ethernet(sink.frames[0]));
  CHECK(answer && !answer->is_request && answer->sender == our_v4 && answer->sender_mac == ours);
  CHECK(answer->target == v4 && answer->target_mac == theirs);
  arp({.is_request = true,
       .sender_mac = moved,
       .sender = address("192.0.2.5"),
       .target_mac = {},
       .target = address("192.0.2.6")});
  LONGS_EQUAL(1, sink.frames.size());
  LONGS_EQUAL(1, table.size());
  neighbour_message({.is_solicitation = true, .target = our_v6, .mac = theirs}, v6,
                    solicited_node_multicast(our_v6));
  LONGS_EQUAL(2, sink.frames.size());
  const auto packet = parse_ipv6(parse_ethernet(sink.frames[1])->payload);
  const auto advertisement = parse_neighbour_message(*packet);
  CHECK(advertisement && advertisement->is_solicited && advertisement->is_override);
  CHECK(advertisement->target == our_v6 && packet->destination == v6);
}

TEST(NeighbourTable, AProbeForOurAddressIsAnsweredAndTeachesNothing) {
  arp({.is_request = true,
       .sender_mac = theirs,
       .sender = address("0.0.0.0"),
       .target_mac = {},
       .target = our_v4});
  LONGS_EQUAL(1, sink.frames.size());
  LONGS_EQUAL(0, table.size());
}

TEST(NeighbourTable, UnaskedAnswersMakeNothing) {
  arp_reply(v4, theirs);
  advertise(theirs, true, true);
  LONGS_EQUAL(0, table.size());
}

TEST(NeighbourTable, ANeighbourThatMovesIsFollowed) {
  table.resolve(v4, now);
  table.advance(now, sink);
  arp_reply(v4, theirs);
  arp({.is_request = true, .sender_mac = moved, .sender = v4, .target_mac = {}, .target = v4});
  CHECK(table.resolve(v4, now) == moved);
  expect_state(v4, NeighbourState::kDelay);
  table.resolve(v6, now);
  table.advance(now, sink);
  advertise(theirs, true, true);
  advertise(moved, false, false);  // without override: doubted, not believed
  expect_state(v6, NeighbourState::kStale);
  CHECK(table.resolve(v6, now) == theirs);
  advertise(moved, false, true);
  CHECK(table.resolve(v6, now) == moved);
  LONGS_EQUAL(2, table.counters().moved);
}

TEST(NeighbourTable, OurAddressInAnothersMouthIsDefendedNotTooOften) {
  for (int i = 0; i < 5; ++i) {
    arp({.is_request = true,
         .sender_mac = moved,
         .sender = our_v4,
         .target_mac = {},
         .target = our_v4});
  }
  LONGS_EQUAL(5, table.counters().conflicts);
  LONGS_EQUAL(1, sink.frames.size());
  LONGS_EQUAL(0, table.size());
}

TEST(NeighbourTable, AnnouncementsGoOutTwice) {
  table.announce(now);
  advance_to(now + seconds(60));
  LONGS_EQUAL(4, sink.frames.size());  // two addresses
  LONGS_EQUAL(4, table.counters().announcements_sent);
}

TEST(NeighbourTable, AScanDoesNotPushOutWhoAnswered) {
  table.resolve(v6, now);
  table.advance(now, sink);
  advertise(theirs, true, true);
  arp({.is_request = true, .sender_mac = theirs, .sender = v4, .target_mac = {}, .target = our_v4});
  expect_state(v4, NeighbourState::kStale);
  for (unsigned i = 0; i < 5000; ++i) {
    Address scanned = address("192.0.3.0");
    scanned.bytes[14] = static_cast<std::uint8_t>(3 + i / 250);
    scanned.bytes[15] = static_cast<std::uint8_t>(1 + i % 250);
    table.resolve(scanned, now);
    CHECK(table.size() <= 10);
  }
  CHECK(table.resolve(v6, now) == theirs);
  CHECK(table.resolve(v4, now) == theirs);  // a stale one too
  sink.frames.clear();
  table.advance(now, sink);
  CHECK(sink.frames.size() <= 8);
}

TEST(NeighbourTable, AFullSinkIsTriedAgain) {
  sink.is_full = true;
  table.resolve(v4, now);
  table.advance(now, sink);
  LONGS_EQUAL(1, table.counters().frames_lost);
  sink.is_full = false;
  advance_to(now + milliseconds(100));
  LONGS_EQUAL(1, sink.frames.size());
}

TEST(NeighbourTable, WhatDoesNotComeFromThisLinkIsIgnored) {
  Bytes out(kMaximumNeighbourFrameBytes);
  out.resize(write_neighbour_message({.is_solicitation = true, .target = our_v6, .mac = theirs},
                                     {.source = v6,
                                      .destination = our_v6,
                                      .source_mac = theirs,
                                      .destination_mac = ours,
                                      .vlan_id = {}},
                                     out));
  for (const std::size_t broken : {std::size_t{14 + 7}, std::size_t{14 + 42}, out.size() - 7}) {
    Bytes copy = out;  // hop limit, checksum, length of the option
    copy[broken] ^= std::byte{1};
    const auto packet = parse_ipv6(std::span<const std::byte>(copy).subspan(14));
    CHECK(table.receive_neighbour_discovery(*packet, now, sink));
  }
  LONGS_EQUAL(3, table.counters().malformed);
  // RFC 6980 5: an atomic fragment is a whole packet, but not believed about neighbours.
  Bytes atomic(out.begin() + 14, out.end());
  const Bytes fragment_header = hex("3a00 0000 1234 5678");
  atomic[5] = std::byte{32 + 8};
  atomic[6] = std::byte{44};
  atomic.insert(atomic.begin() + 40, fragment_header.begin(), fragment_header.end());
  const auto packet = parse_ipv6(atomic);
  CHECK(packet && packet->protocol == kProtocolIcmpv6);
  CHECK(table.receive_neighbour_discovery(*packet, now, sink));
  LONGS_EQUAL(4, table.counters().malformed);
  LONGS_EQUAL(0, table.size() + sink.frames.size());
  // From an address that is on no link of ours.
  neighbour_message({.is_solicitation = true, .target = our_v6, .mac = theirs},
                    address("2001:db8:9::1"), our_v6);
  LONGS_EQUAL(0, table.size() + sink.frames.size());
}

TEST(NeighbourTable, DetectionOfADuplicateOfOursIsAnsweredToAll) {
  neighbour_message({.is_solicitation = true, .target = our_v6, .mac = {}}, address("::"),
                    solicited_node_multicast(our_v6));
  LONGS_EQUAL(1, sink.frames.size());
  const auto packet = parse_ipv6(parse_ethernet(sink.frames[0])->payload);
  CHECK(packet->destination == all_nodes_multicast());
  CHECK(!parse_neighbour_message(*packet)->is_solicited);
}
