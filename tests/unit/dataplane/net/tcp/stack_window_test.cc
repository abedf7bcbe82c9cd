// Windows, both ways: closed ones are probed, tiny ones not used, and what the application does not
// take closes ours (RFC 9293 3.8.6).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackWindow) { Script script; };

TEST(StackWindow, NothingBeyondThePeersWindow) {
  script.connect("mss=1000 sackok", 100, 2500);
  script.send(10000);
  script.expect_burst(1, 2, 1000);
  script.expect_none();  // half a segment waits (3.8.6.2.1)
}

// 3.8.6.1: the first probe after a time-out, then backing off; one byte, so that it may be refused.
TEST(StackWindow, ClosedWindowIsProbed) {
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  double ms = 100;
  for (const double wait : {300, 600, 1200, 2400, 4800}) {
    script.expect_nothing_until(ms + wait - 1);
    script.at((ms += wait) + 0.3);
    script.expect(". 1:2(1) ack=1");
    script.in(". 1 ack=1 win=0");
  }
  LONGS_EQUAL(5, script.counters().window_probes);
}

// 3.8.6.1: a peer that answers may keep its window closed for ever.
TEST(StackWindow, ClosedWindowIsNoReasonToGiveUp) {
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  for (double ms = 200; ms < 1000000; ms += 500) {
    script.at(ms);
    if (script.left() > 0) {
      script.drain();
      script.in(". 1 ack=1 win=0");
    }
  }
  CHECK(script.connected());
  CHECK(script.counters().window_probes >= 16);  // once a minute at least
  script.at(1000000 + 300000);                   // but one that does not is gone
  CHECK(!script.connected());
  CHECK(script.app().closed == CloseReason::timed_out);
}

TEST(StackWindow, OpensAgain) {
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  script.at(1500);
  script.drain();
  script.in(". 1 ack=1 win=65535");
  script.expect_burst(1, 4, 1000);
  script.expect("P. 4001:5001(1000)");
  script.expect_nothing_until(1590);
  script.in(". 1 ack=5001");
  LONGS_EQUAL(0, script.counters().timeouts);
  CHECK(script.view().congestion_window_bytes >= 10000);
}

// The same when the probe goes on long and is one of several bytes in flight.
TEST(StackWindow, OpensAgainLongAfterItShrank) {
  script.connect("mss=1000 sackok ws=0");
  script.send(5000);
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 win=0");
  script.at(60000);
  script.drain();
  script.in(". 1 ack=1 win=65535");
  LONGS_EQUAL(5000, script.drain());
  script.expect_nothing_until(60090);
  script.in(". 1 ack=5001");
  LONGS_EQUAL(0, script.counters().timeouts);
}

// The probe arrives just when the window opens, so that its acknowledgment comes right after its
// byte was sent again: it measures nothing.
TEST(StackWindow, ProbeThatWasTakenIsNoRoundTrip) {
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  script.at(1000);
  script.drain();
  script.in(". 1 ack=1 win=65535");
  LONGS_EQUAL(5000, script.drain());
  script.at(1001);
  script.in(". 1 ack=2 win=65535");
  const Duration minimum = script.view().minimum_round_trip;
  CHECK(minimum >= std::chrono::milliseconds(100));
  script.at(1100);
  script.in(". 1 ack=5001");
  LONGS_EQUAL(0, script.view().in_flight_bytes);
}

TEST(StackWindow, LostUpdateIsFoundByTheProbe) {
  script.connect("mss=1000 sackok", 100, 0);
  script.send(5000);
  script.at(450);
  script.expect(". 1:2(1)");
  script.in(". 1 ack=2 win=65535");
  script.expect(". 2:1002(1000)");
}

TEST(StackWindow, FinBeyondAClosedWindow) {
  script.connect("mss=1000 sackok", 100, 1000);
  script.send(1000);
  script.close();
  script.drain();
  script.at(200);
  script.in(". 1 ack=1001 win=0");
  script.at(2000);
  script.expect("F. 1001");
  script.in(". 1 ack=1002 win=0");
  CHECK(script.view().state == State::fin_wait_2);
}

// 3.8.6.2.1 (4): what is less than a segment and less than half of the largest window waits for
// the override time-out.
TEST(StackWindow, TinyWindowWaits) {
  script.connect("mss=1000 sackok", 100, 10000);
  script.send(20000);
  LONGS_EQUAL(10000, script.drain());
  script.at(200);
  script.in(". 1 ack=10001 win=300");
  script.expect_none();
  script.at(1200);
  script.expect(". 10001:10301(300)");
}

TEST(StackWindow, PeerOfSmallWindowsIsServed) {  // 3.8.6.2.1 (3)
  script.connect("mss=1000 sackok", 100, 400);
  script.send(2000);
  script.expect("@100 . 1:401(400)");
  script.at(200);
  script.in(". 1 ack=401 win=400");
  script.expect("@200 . 401:801(400)");
}

// 3.10.7.4, fifth step: SND.WL1 and SND.WL2.
TEST(StackWindow, OldAcknowledgmentsTellNoWindow) {
  script.connect("mss=1000 sackok", 100, 65535);
  script.send(3000);
  script.at(200);
  script.in(". 1 ack=2001 win=50000");
  script.in(". 1 ack=1001 win=7");
  LONGS_EQUAL(50000, script.view().peer_window_bytes);
}

// --- ours ---

TEST(StackWindow, ClosesAsTheApplicationDoesNotTake) {
  script.connect("mss=1460 sackok");
  script.app().may_take = 0;
  std::uint32_t begin = 1;
  for (; begin + 1000 <= 65001; begin += 1000) {
    script.in("P. " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=1");
  }
  script.at(200);
  while (script.left() > 1) script.expect(".");
  script.expect(". 1 ack=65001 win=535");
  script.in("P. 65001:66001(1000) ack=1");  // what fits is kept
  script.expect(". 1 ack=65536 win=0");
  script.in(". 65536:65537(1) ack=1");  // a probe
  script.expect(". 1 ack=65536 win=0");
  LONGS_EQUAL(0, script.app().received);
  script.app().take(UINT64_MAX);
  script.run();
  LONGS_EQUAL(65535, script.app().received);
  script.expect(". 1 ack=65536 win=65535");
}

// 3.8.6.2.2: the right edge moves by steps worth a segment, and never back. A segment of its own is
// sent for that only where what was told may hold the peer back.
TEST(StackWindow, NoSillyUpdates) {
  script.connect("mss=1460 sackok");
  script.app().may_take = 0;
  script.in("P. 1:1001(1000) ack=1");
  script.in("P. 1001:2001(1000) ack=1");
  script.expect(". 1 ack=2001 win=63535");
  script.app().take(100);
  script.run();
  script.expect_none();
  script.in("P. 2001:3001(1000) ack=1");
  script.in("P. 3001:4001(1000) ack=1");
  script.expect(". 1 ack=4001 win=61535");
  script.app().take(UINT64_MAX);
  script.run();
  script.expect_none();
  script.in("P. 4001:5001(1000) ack=1");
  script.in("P. 5001:6001(1000) ack=1");
  script.expect(". 1 ack=6001 win=65535");
  script.app().may_take = 0;
  for (int begin = 6001; begin < 42001; begin += 1000) {
    script.in("P. " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=1");
  }
  while (script.left() > 1) script.expect(".");
  script.expect(". 1 ack=42001 win=29535");  // less than half
  script.app().take(UINT64_MAX);
  script.run();
  script.expect(". 1 ack=42001 win=65535");
}

TEST(StackWindow, PoolExhausted) {
  StackOptions options = Script::usual();
  options.receive_chunks = 1;
  Script poor(options);
  poor.connect("mss=1460 sackok");
  poor.in("P. 1001:2001(1000) ack=1");
  poor.expect(". 1 ack=1 sack=1001-2001");
  poor.in("P. 5001:6001(1000) ack=1");
  poor.expect(". 1 ack=1 sack=1001-2001");
  LONGS_EQUAL(1, poor.counters().dropped_no_memory);
  poor.in("P. 1:1001(1000) ack=1");
  poor.expect(". 1 ack=2001 !sack");
  for (int begin = 2001; begin < 9001; begin += 1000) {
    poor.in("P. " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=1");
  }
  LONGS_EQUAL(9000, poor.app().received);
}
