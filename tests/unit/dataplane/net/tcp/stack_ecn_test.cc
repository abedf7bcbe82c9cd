// Explicit congestion notification, both ways (RFC 3168 6.1).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackEcn) { Script script; };

TEST(StackEcn, DataIsCapableAcknowledgmentsAreNot) {  // 6.1.4
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(1000);
  script.expect("P. 1:1001(1000) ack=1 ect");
  script.in("P. 1:101(100) ack=1001");
  script.in("P. 101:201(100) ack=1001");
  script.at(200);
  while (script.left() > 0) script.expect(". 1001 !ect");
  Script plain;
  plain.connect("mss=1000 sackok ws=4");
  plain.send(1000);
  plain.expect("P. 1:1001(1000) ack=1 !ect");
}

// 6.1.2: as for a loss, once a window of data, and told by CWR on the next new data.
TEST(StackEcn, ReducesOncePerRoundTrip) {
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(100000);
  script.drain();
  script.at(200);
  script.in(".E 1 ack=1001");
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  script.expect_none();  // nine are in flight
  script.in(".E 1 ack=2001");
  script.in(".E 1 ack=5001");
  LONGS_EQUAL(1, script.counters().echo_reductions);
  script.expect(".W 10001:11001(1000) ect");
  script.expect(". 11001:12001(1000) ect");
  script.drain();
  script.in(".E 1 ack=10001");  // still of the first window
  LONGS_EQUAL(1, script.counters().echo_reductions);
  script.drain();
  script.at(300);
  script.in(".E 1 ack=11001");  // it heard of the reduction and met congestion again
  LONGS_EQUAL(2, script.counters().echo_reductions);
}

// 6.1.2: a queue that marks and then overflows makes one reduction, not two.
TEST(StackEcn, ALossOfTheWindowThatWasEchoedReducesNoFurther) {
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(100000);
  script.drain();
  script.at(200);
  script.in(".E 1 ack=1001");
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  script.in(".E 1 ack=1001 sack=2001-5001");
  LONGS_EQUAL(1, script.counters().fast_recoveries);
  script.expect(". 1001:2001(1000) !ect");
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  script.in(".E 1 ack=10001");
  STRCMP_EQUAL("none", script.view().recovery);
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  LONGS_EQUAL(1, script.counters().echo_reductions);
  script.drain();
  const std::uint64_t sent = script.view().in_flight_bytes;
  script.at(300);
  script.in(". 1 ack=10001 sack=11001-" + std::to_string(10001 + sent));  // of the next window
  CHECK(script.view().congestion_window_bytes < 5001);
}

// That recovery being needless, the echo was still true.
TEST(StackEcn, ANeedlessRecoveryDoesNotTakeTheEchoBack) {
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(10000);
  script.drain();
  script.at(200);
  script.in(".E 1 ack=1001");
  script.in(".E 1 ack=1001 sack=2001-5001");
  script.expect(". 1001:2001(1000)");
  script.in(".E 1 ack=5001 sack=1001-2001");
  LONGS_EQUAL(1, script.counters().spurious_recoveries);
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  script.in(".E 1 ack=10001");
  script.send(1000);
  script.expect(".W 10001:11001(1000) ect");  // nor what is to be told of it
}

TEST(StackEcn, AnEchoOfTheWindowThatLostReducesNoFurther) {
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(100000);
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001");
  script.in(".E 1 ack=10001");
  STRCMP_EQUAL("none", script.view().recovery);
  script.in(".E 1 ack=10001");
  LONGS_EQUAL(0, script.counters().echo_reductions);
  LONGS_EQUAL(7000, script.view().congestion_window_bytes);
  script.at(300);
  script.in(".E 1 ack=11001");  // it has heard of that reduction
  LONGS_EQUAL(1, script.counters().echo_reductions);
}

TEST(StackEcn, PersistentEchoesBringItToOneSegment) {  // RFC 9438 4.6
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(100000);
  std::uint64_t acknowledged = 1;
  for (int round = 2; round < 14; ++round) {
    acknowledged += script.drain();
    script.at(100 * round);
    script.in(".E 1 ack=" + std::to_string(acknowledged));
  }
  LONGS_EQUAL(1000, script.view().congestion_window_bytes);
  LONGS_EQUAL(1000, script.drain());
  script.at(1500);
  script.in(". 1 ack=" + std::to_string(acknowledged + 1000));
  LONGS_EQUAL(2000, script.drain());
}

TEST(StackEcn, RetransmissionsAreNotCapable) {  // 6.1.5
  script.connect("mss=1000 sackok ws=4 ecn");
  script.send(10000);
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001");
  script.expect(". 1:1001(1000) !ect");
  script.send(20000);  // 6.1.2: a loss is told of as well
  script.at(201);
  script.in(". 1 ack=10001");
  script.expect(".W 10001:11001(1000) ect");
  script.expect(". 11001:12001(1000) ect");
}

TEST(StackEcn, WindowProbesAreNotCapable) {  // 6.1.6
  script.connect("mss=1000 sackok ecn", 100, 0);
  script.send(5000);
  script.at(1500);
  script.expect(". 1:2(1) !ect");
}

TEST(StackEcn, EchoesUntilTold) {  // 6.1.3
  script.connect("mss=1000 sackok ecn");
  script.in("P. 1:101(100) ack=1 ect ce");
  script.expect(".E 1 ack=101");  // at once
  script.in("P. 101:201(100) ack=1 ect");
  script.at(200);
  script.expect(".E 1 ack=201");
  script.in("P.W 201:301(100) ack=1 ect");
  script.at(300);
  script.expect(". 1 ack=301");
  script.in("P.W 301:401(100) ack=1 ce");  // CWR and CE: told of the old, marked anew
  script.expect(".E 1 ack=401");
}

TEST(StackEcn, NothingWithoutAgreement) {
  script.connect("mss=1000 sackok");
  script.in("P. 1:101(100) ack=1 ce");
  script.at(200);
  script.expect(". 1 ack=101");
  script.send(20000);
  script.drain();
  script.in(".E 101 ack=1001");
  LONGS_EQUAL(0, script.counters().echo_reductions);
}
