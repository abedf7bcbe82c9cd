// What the peer sends: when it is acknowledged and how SACK blocks tell of it (RFC 5681 4.2, RFC
// 2018 4, RFC 2883 4).
#include <array>
#include <span>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/byte_order.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackReceiving) {
  Script script;
  void setup() override { script.connect("mss=1460 sackok"); }
};

TEST(StackReceiving, LoneSegmentWaitsForTheDelay) {  // RFC 9293 3.8.6.3: below 500 ms
  script.in("P. 1:101(100) ack=1");
  script.expect_nothing_until(139);
  script.at(141);
  script.expect("@140 . 1 ack=101");
  script.expect_nothing_until(1000);
}

TEST(StackReceiving, EverySecondFullSegment) {
  script.in(". 1:1461(1460) ack=1");
  script.expect_none();
  script.in(". 1461:2921(1460) ack=1");
  script.expect("@100 . 1 ack=2921");
  script.in(". 2921:4381(1460) ack=1");
  script.expect_none();
}

TEST(StackReceiving, AsManyBytesInSmallSegments) {  // RFC 9293 3.8.6.3, SHLD-19
  for (int from = 1; from < 2801; from += 700) {
    script.in(". " + std::to_string(from) + ":" + std::to_string(from + 700) + "(700) ack=1");
  }
  script.expect_none();
  script.in(". 2801:3501(700) ack=1");
  script.expect("@100 . 1 ack=3501");
}

TEST(StackReceiving, DataCarriesTheAcknowledgment) {
  script.in("P. 1:101(100) ack=1");
  script.send(50);
  script.expect("P. 1:51(50) ack=101");
  script.in(". 101 ack=51");
  script.expect_nothing_until(1000);
}

TEST(StackReceiving, OutOfOrderAtOnce) {
  script.in("P. 101:201(100) ack=1");
  script.expect("@100 . 1 ack=1 sack=101-201");
  LONGS_EQUAL(0, script.app().received);
  script.in("P. 1:51(50) ack=1");  // fills a part of the gap
  script.expect("@100 . 1 ack=51 sack=101-201");
  script.in("P. 51:101(50) ack=1");
  script.expect("@100 . 1 ack=201 !sack");
  LONGS_EQUAL(200, script.app().received);
}

TEST(StackReceiving, MostRecentBlockFirst) {
  script.in("P. 101:201(100) ack=1");
  script.in("P. 301:401(100) ack=1");
  script.in("P. 501:601(100) ack=1");
  script.drain();
  script.in("P. 401:451(50) ack=1");
  script.expect(". 1 ack=1 sack=301-451,501-601,101-201");
}

TEST(StackReceiving, DuplicateBelow) {
  script.in("P. 1:101(100) ack=1");
  script.in("P. 101:201(100) ack=1");
  script.at(200);
  script.drain();
  script.in("P. 101:201(100) ack=1");
  script.expect("@200 . 1 ack=201 sack=101-201");
  script.in("P. 201:301(100) ack=1");
  script.at(300);
  script.expect(". 1 ack=301 !sack");  // once
  LONGS_EQUAL(300, script.app().received);
}

TEST(StackReceiving, PartlyDuplicate) {
  script.in("P. 1:101(100) ack=1");
  script.in("P. 51:151(100) ack=1");
  script.expect(". 1 ack=151 sack=51-101");
  LONGS_EQUAL(150, script.app().received);
}

TEST(StackReceiving, DuplicateAbove) {  // RFC 2883 4: then the block it lies in
  script.in("P. 101:301(200) ack=1");
  script.drain();
  script.in("P. 101:201(100) ack=1");
  script.expect(". 1 ack=1 sack=101-201,101-301");
}

TEST(StackReceiving, NoSackWithoutAgreement) {
  Script plain;
  plain.connect("mss=1460");
  plain.in("P. 101:201(100) ack=1");
  plain.expect(". 1 ack=1 !sack");
  plain.in("P. 1:101(100) ack=1");
  plain.expect(". 1 ack=201 !sack");
  plain.in("P. 1:101(100) ack=1");
  plain.expect(". 1 ack=201 !sack");
}

TEST(StackReceiving, BackPressure) {
  script.app().may_take = 30;
  script.in("P. 1:101(100) ack=1");
  script.in("P. 101:201(100) ack=1");
  LONGS_EQUAL(30, script.app().received);
  script.app().take(0);
  script.run();
  LONGS_EQUAL(30, script.app().received);
  script.app().take(100);
  script.run();
  LONGS_EQUAL(130, script.app().received);
  script.in("F. 201 ack=1");
  CHECK(!script.app().ended);  // not before the bytes
  script.app().take(UINT64_MAX);
  script.run();
  LONGS_EQUAL(200, script.app().received);
  CHECK(script.app().ended);
}

TEST(StackReceiving, EndOutOfOrder) {
  script.in("FP. 101:201(100) ack=1");
  script.expect(". 1 ack=1 sack=101-201");
  CHECK(!script.app().ended);
  script.in("P. 1:101(100) ack=1");
  script.expect(". 1 ack=202");
  CHECK(script.app().ended);
  LONGS_EQUAL(200, script.app().received);
}

TEST(StackReceiving, BytesBehindTheEndAreDropped) {
  script.in("FP. 1:101(100) ack=1");
  script.expect(". 1 ack=102");
  script.in("P. 102:202(100) ack=1");
  script.at(300);
  LONGS_EQUAL(100, script.app().received);
  while (script.left() > 0) script.expect(". 1 ack=102");
}

TEST(StackReceiving, SequenceNumbersWrap) {
  std::uint32_t begin = 1;  // 4096 bytes before the wrap
  for (int index = 0; index < 100; ++index, begin += 1000) {
    script.in("P. " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=1");
  }
  LONGS_EQUAL(100000, script.app().received);
}

TEST(StackReceiving, AbortWithinACallback) {
  script.app().abort_on_receive = true;
  script.in("P. 1:101(100) ack=1");
  script.expect("R. 1 ack=101");
  CHECK(script.app().closed == CloseReason::aborted);
  LONGS_EQUAL(0, script.stack.connections());
}

// Advice may be wrong, too much and about nobody.
TEST(StackReceiving, ForeseeingChangesNothing) {
  StackOptions options = Script::usual();
  options.maximum_connections = 2048;
  Script many(options);
  for (std::uint16_t port = 1; port <= 1030; ++port) many.connect("mss=1460", 1, 65535, port);
  const std::array<std::byte, 20> segment{};
  for (std::uint16_t port = 1000; port <= 1060; ++port) {
    const Flow flow = many.flow(port);
    std::array<std::byte, 20> ports = segment;
    write_16(&ports[0], flow.peer.port);
    write_16(&ports[2], flow.local.port);
    many.stack.foresee(flow.peer.address, flow.local.address, ports);
    many.stack.foresee(flow.peer.address, flow.local.address, std::span(ports).first(3));
  }
  many.stack.fetch_foreseen();
  many.stack.fetch_foreseen();
  LONGS_EQUAL(1030, many.stack.connections());
  many.in("P. 1:101(100) ack=1 port=1030");
  LONGS_EQUAL(100, many.apps.back()->received);
}
