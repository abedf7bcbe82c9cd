// The path and the device below: packets that are too big, with and without a word about it (RFC
// 1191, RFC 8201, RFC 5927, RFC 2923), a device without room, and one that is slow to let go.
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackPath){};

// RFC 1191 6.5: at once, in smaller packets, and not as congestion.
TEST(StackPath, TooBigIsSentAgainSmaller) {
  Script script;
  script.connect("mss=1460 sackok");
  script.send(4380);
  script.drain();
  script.at(120);
  script.too_big(1, 1400);
  script.expect_burst(1, 3, 1360);
  script.expect("P. 4081:4381(300)");
  CHECK(script.view().congestion_window_bytes >= 14600);
  STRCMP_EQUAL("none", script.view().recovery);
  script.in(". 1 ack=4381");
  script.connect("mss=1460 sackok", 100, 65535, 2);  // the same peer's next
  LONGS_EQUAL(1360, script.view(2).segment_bytes);
}

// RFC 1191 6.4: each packet of a burst draws a message from a router that does not say how much.
TEST(StackPath, TooBigOfABurstLowersOnce) {
  Script script;
  script.connect("mss=1460 sackok");
  script.send(14600);
  script.drain();
  script.at(120);
  for (std::uint32_t sequence = 1; sequence < 14600; sequence += 1460) script.too_big(sequence, 0);
  LONGS_EQUAL(1492, script.view().packet_bytes);
  LONGS_EQUAL(14600, script.view().retransmitted_bytes);  // once
  LONGS_EQUAL(1, script.counters().path_mtu_reductions);
  script.too_big(1, 0, Script::kPort, 1492);
  LONGS_EQUAL(1006, script.view().packet_bytes);
}

TEST(StackPath, V6TooBig) {
  Script script(Script::usual(), true);
  script.connect("mss=1440 sackok");
  script.send(2880);
  script.drain();
  script.too_big(1, 1300);
  script.expect_burst(1, 2, 1240);
}

TEST(StackPath, SaidOfNothingInFlightIsIgnored) {  // RFC 5927 7.2
  Script script;
  script.connect("mss=1460 sackok");
  script.too_big(1, 600);
  script.send(1460);
  script.drain();
  script.too_big(1461, 600);
  script.too_big(0, 600);
  script.too_big(4000000000u, 600);
  script.expect_none();
  LONGS_EQUAL(4, script.counters().errors_ignored);
  LONGS_EQUAL(1460, script.view().segment_bytes);
}

TEST(StackPath, NeverLarger) {
  Script script;
  script.connect("mss=1460 sackok");
  script.send(1460);
  script.drain();
  script.too_big(1, 9000);
  script.expect_none();
  LONGS_EQUAL(1460, script.view().segment_bytes);
}

TEST(StackPath, BelowTheFloor) {  // v4: fragments; v6: RFC 8201 4 has it ignored
  Script v4;
  v4.connect("mss=1460 sackok");
  v4.send(1460);
  v4.drain();
  v4.too_big(1, 300);
  v4.expect(". 1:513(512) frag");
  Script v6(Script::usual(), true);
  v6.connect("mss=1440 sackok");
  v6.send(1440);
  v6.drain();
  v6.too_big(1, 1279);
  v6.expect_none();
}

TEST(StackPath, SilentBlackHole) {  // RFC 2923 2.1
  Script v4;
  v4.connect("mss=1460");
  v4.send(2920);
  v4.drain();
  v4.at(1100);
  v4.expect("@400 . 1:1461(1460)");
  v4.expect("@1000 . 1:1241(1240)");
  v4.in(". 1 ack=1241");
  v4.expect(". 1241:1461(220)");
  v4.expect(". 1461:2701(1240)");
  Script v6(Script::usual(), true);
  v6.connect("mss=1440");
  v6.send(2880);
  v6.drain();
  v6.at(1100);
  v6.expect("@400 . 1:1441(1440)");
  v6.expect("@1000 . 1:1221(1220)");
}

// --- the device ---

TEST_GROUP(StackDevice){
    static bool has_payload(const OutgoingSegment& segment){return segment.payload_bytes > 0;
}
}
;

TEST(StackDevice, FullForASynAck) {
  Script script;
  script.refuse = [](const OutgoingSegment&) { return true; };
  script.in("S 0 mss=1000");
  script.refuse = nullptr;
  script.at(1100);
  script.expect("@1000 S. 0 ack=1");
  LONGS_EQUAL(1, script.counters().output_refusals);
}

TEST(StackDevice, FullForData) {
  Script script;
  script.connect("mss=1000 sackok");
  script.refuse = has_payload;
  script.send(5000);
  CHECK(script.stack.output_blocked());
  script.expect_none();
  script.at(150);
  script.refuse = nullptr;
  script.run();
  CHECK(!script.stack.output_blocked());
  script.expect_burst(1, 4, 1000);
  script.drain();
  script.in(". 1 ack=5001");
  script.expect_nothing_until(3000);
}

// Whatever kind of segment finds no room, and however often, all arrives in the end.
TEST(StackDevice, FullEverySecondTime) {
  for (int phase = 0; phase < 2; ++phase) {
    Script script;
    int calls = phase;
    script.connect("mss=1000 sackok");
    script.refuse = [&](const OutgoingSegment&) { return ++calls % 2 == 0; };
    script.send(20000);
    script.in("P. 1:101(100) ack=1");
    script.in("P. 201:301(100) ack=1");
    double ms = 100;
    std::uint32_t acknowledged = 1;
    for (int round = 0; round < 200 && acknowledged < 20001; ++round) {
      script.at(ms += 20);
      acknowledged += 1000;
      if (script.view().acknowledged_bytes + script.view().in_flight_bytes + 1 >= acknowledged) {
        script.in(". 301 ack=" + std::to_string(acknowledged));
      } else {
        acknowledged -= 1000;
      }
    }
    LONGS_EQUAL(20000, script.app().released);
    script.close();
    script.at(ms += 2000);
    script.in("F. 301 ack=20002");
    script.in("P. 101:201(100) ack=20002");
    script.at(ms + 5000);
    CHECK(script.app().closed == CloseReason::finished);
  }
}

TEST(StackDevice, FullForAReset) {
  Script script;
  script.connect("mss=1000");
  script.refuse = [](const OutgoingSegment&) { return true; };
  script.abort();
  CHECK(!script.app().closed);
  script.refuse = nullptr;
  script.run();
  script.expect("R. 1");
  CHECK(script.app().closed == CloseReason::aborted);
}

TEST(StackDevice, FullForProbes) {
  Script script;
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  script.refuse = has_payload;
  script.at(450);
  script.refuse = nullptr;
  script.run();
  script.expect("@450 . 1:2(1)");
  Script tail;
  tail.connect("mss=1000 sackok");
  tail.send(3000);
  tail.drain();
  tail.refuse = has_payload;
  tail.at(350);
  tail.refuse = nullptr;
  tail.run();
  tail.expect("@350 . 2001:3001(1000)");
}

// Bytes stay until the device is done with them, and go in order.
TEST(StackDevice, SlowToLetGo) {
  Script script;
  script.hold_tickets = true;
  script.connect("mss=1000 sackok ws=4");
  script.complete_tickets(script.last_ticket());
  script.send(3000);
  const Ticket first = script.last_ticket();
  script.at(200);
  script.in(". 1 ack=3001");
  LONGS_EQUAL(0, script.app().released);
  script.send(2000);
  const Ticket second = script.last_ticket();
  script.at(300);
  script.in(". 1 ack=5001");
  LONGS_EQUAL(0, script.app().released);
  script.complete_tickets(first);
  script.at(310);
  LONGS_EQUAL(3000, script.app().released);
  script.complete_tickets(second);
  script.at(320);
  LONGS_EQUAL(5000, script.app().released);
}

TEST(StackDevice, SlotStaysUntilTheDeviceIsDone) {
  StackOptions options = Script::usual();
  options.maximum_connections = 1;
  Script script(options);
  script.hold_tickets = true;
  script.connect("mss=1000");
  script.send(1000);
  script.drain();
  script.in("R 1");
  CHECK(script.app().closed == CloseReason::peer_reset);  // which does not wait
  script.in("S 0 mss=1000 port=2");
  script.drain();
  script.in(". 1 ack=1 port=2");
  LONGS_EQUAL(1, script.counters().table_overflows);
  script.complete_tickets(script.last_ticket());
  script.at(200);
  script.in(". 1 ack=1 port=2");
  CHECK(script.connected(2));
}

// A callback of one connection's end wakes another: both get their turn.
TEST(StackDevice, EndThatWakesAnother) {
  Script script;
  script.connect("mss=1000", 1, 65535, 1);
  script.connect("mss=1000", 1, 65535, 2);
  script.drain();
  script.apps[0]->wakes = script.apps[1].get();
  script.apps[1]->unoffered = 100;
  script.apps[0]->stream->abort();
  script.run();
  LONGS_EQUAL(100, script.drain());
  script.send(50);
  LONGS_EQUAL(50, script.drain());
}
