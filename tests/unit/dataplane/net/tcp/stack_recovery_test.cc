// Loss with a peer that sends SACKs: RACK, tail loss probes, PRR, taking back what was false (RFC
// 8985, RFC 9937, RFC 6675, RFC 2883, RFC 3522).
//
// The round trip is 100 ms, segments carry 1000 bytes, and ten of them leave at 100 ms.
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackRecovery) {
  Script script;
  void ten(std::uint64_t bytes = 10000) {
    script.connect("mss=1000 sackok ws=4");
    script.send(bytes);
    script.expect_burst(1, 10, 1000);
    script.expect_none();
  }
};

// RFC 8985 6.2 step 4: three sacked segments, no reordering seen: no window for it.
TEST(StackRecovery, ThreeSackedSegmentsTellAtOnce) {
  ten();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-2001");
  script.in(". 1 ack=1 sack=1001-3001");
  script.expect_none();
  script.in(". 1 ack=1 sack=1001-4001");
  script.expect("@200 . 1:1001(1000)");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().fast_recoveries);
}

// The same when the last of the three is a short one.
TEST(StackRecovery, ThreeSackedSegmentsOneOfThemShort) {
  script.connect("mss=1000 sackok ws=4");
  script.send(3500);
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-2001");
  script.in(". 1 ack=1 sack=1001-3001");
  script.expect_none();
  script.in(". 1 ack=1 sack=1001-3501");
  script.expect("@200 . 1:1001(1000)");
}

// RFC 8985 6.2 steps 4 and 5: fewer wait for a quarter of the shortest round trip.
TEST(StackRecovery, ReorderingTimer) {
  ten();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-2001");
  script.expect_nothing_until(224.8);
  script.at(226);
  script.expect("@225 . 1:1001(1000)");
  script.expect_none();
}

// What arrives within the window was only reordered; and from then on three are not enough.
TEST(StackRecovery, SeenReorderingKeepsTheWindow) {
  ten();
  script.at(200);
  script.in(". 1 ack=1 sack=2001-4001");
  script.in(". 1 ack=1 sack=1001-4001");  // came late, was sent once
  script.in(". 1 ack=1 sack=1001-5001");
  script.expect_nothing_until(224.8);
  script.in(". 1 ack=5001");
  script.expect_nothing_until(300);
  LONGS_EQUAL(0, script.counters().fast_recoveries);
}

// RFC 8985 6.2: a lost retransmission is found by what was sent after it.
TEST(StackRecovery, LostRetransmission) {
  ten(40000);
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001");
  script.expect("@200 . 1:1001(1000)");
  script.at(201);
  for (int end = 5001; end <= 10001; end += 1000) {
    script.in(". 1 ack=1 sack=1001-" + std::to_string(end));
  }
  CHECK(script.left() > 0);
  script.expect("@201 . 10001:11001(1000)");
  script.drain();
  script.at(301);  // the new one arrived, the retransmission sent before it did not
  script.in(". 1 ack=1 sack=1001-11001");
  script.at(330);
  bool again = false;
  while (script.left() > 0) {
    again |= script.next_line().starts_with(". 1:1001(1000)");
    CHECK(script.next_at() < 330);
    script.expect(".");
  }
  CHECK(again);
  LONGS_EQUAL(0, script.counters().timeouts);
}

// RFC 9937: the window goes from ten to seven segments (CUBIC, RFC 9438 4.6) in proportion.
TEST(StackRecovery, ReductionIsSpread) {
  ten(60000);
  script.at(200);
  script.in(". 1 ack=1 sack=1001-2001");
  script.in(". 1 ack=1 sack=1001-3001");
  script.expect("@200 . 10001:11001(1000)");  // RFC 3042
  script.expect("@200 . 11001:12001(1000)");
  script.in(". 1 ack=1 sack=1001-4001");
  script.expect("@200 . 1:1001(1000)");
  script.expect_none();
  std::uint64_t sent = 1000;
  for (int index = 2; index <= 7; ++index) {  // each tells of one more
    script.at(200 + index);
    script.in(". 1 ack=1 sack=1001-" + std::to_string(3001 + 1000 * (index - 1)));
    const std::uint64_t now = script.drain();
    CHECK(now <= 1000);
    sent += now;
  }
  CHECK(sent >= 4000 && sent <= 5000);  // of 7000 delivered
  LONGS_EQUAL(7000, script.view().in_flight_bytes);
  script.at(300);
  script.in(". 1 ack=10001");
  script.drain();
  script.at(302);
  script.in(". 1 ack=12001");
  CHECK(script.view().congestion_window_bytes >= 7000);
  CHECK(script.view().congestion_window_bytes < 7400);
  STRCMP_EQUAL("none", script.view().recovery);
}

// RFC 6675 6: the timer starts over with each retransmission, or a long recovery ends in a time-out
// although what it waits for is under way.
TEST(StackRecovery, RetransmissionRestartsTheTimer) {
  ten();
  script.at(200);
  script.in(". 1 ack=1001");  // time-out now 100 + 4 * 37.5 = 250 ms
  script.at(290);
  script.in(". 1 ack=1001 sack=2001-5001");
  script.expect("@290 . 1001:2001(1000)");
  script.expect_nothing_until(500);
  script.in(". 1 ack=10001");
  LONGS_EQUAL(0, script.counters().timeouts);
}

// --- the tail, RFC 8985 7 ---

TEST(StackRecovery, ProbesTheTail) {  // 7.2: two round trips; 7.3: the last segment
  script.connect("mss=1000 sackok ws=4");
  script.send(3000);
  script.drain();
  script.at(350);
  script.expect("@300 . 2001:3001(1000)");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().loss_probes);
  // The two before it were lost as well: found by the probe's SACK.
  script.at(401);
  script.in(". 1 ack=1 sack=2001-3001");
  script.expect("@401 . 1:1001(1000)");
  script.at(501);
  script.in(". 1 ack=1001 sack=2001-3001");
  script.expect("@501 . 1001:2001(1000)");
  LONGS_EQUAL(0, script.counters().timeouts);
}

TEST(StackRecovery, ProbesWithNewData) {  // 7.3: beyond the congestion window
  ten(20000);
  script.at(310);
  script.expect("@300 . 10001:11001(1000)");
  script.expect_none();
  script.at(401);
  script.in(". 1 ack=1 sack=10001-11001");
  script.expect("@401 . 1:1001(1000)");
}

// 7.2: never later than the time-out, in place of which it goes out then.
TEST(StackRecovery, ProbeInPlaceOfAnEarlierTimeOut) {
  script.connect("mss=1000 sackok ws=4");
  script.send(500);  // one segment: 200 + 200 ms for the probe, 300 ms for the time-out
  script.drain();
  script.at(690);
  script.expect("@400 . 1:501(500)");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().loss_probes);
  LONGS_EQUAL(0, script.counters().timeouts);
  script.at(710);  // then the time-out, from the probe on
  script.expect("@700 . 1:501(500)");
  LONGS_EQUAL(1, script.counters().timeouts);
}

TEST(StackRecovery, OneProbeThenTheTimeOut) {
  script.connect("mss=1000 sackok ws=4");
  script.send(3000);
  script.drain();
  script.at(590);
  script.expect("@300 . 2001:3001(1000)");
  script.expect_none();
  script.at(610);
  script.expect("@600 . 1:1001(1000)");
  LONGS_EQUAL(1, script.counters().timeouts);
  LONGS_EQUAL(1000, script.view().congestion_window_bytes);
}

// 7.4.2: the probe arrived as a duplicate: nothing had been lost.
TEST(StackRecovery, NeedlessProbe) {
  script.connect("mss=1000 sackok ws=4");
  script.send(3000);
  script.at(350);
  script.drain();
  script.in(". 1 ack=3001");
  script.at(400);
  script.in(". 1 ack=3001 sack=2001-3001");
  script.send(5000);
  script.at(500);
  script.in(". 1 ack=8001");
  CHECK(script.view().congestion_window_bytes >= 10000);
}

// 7.4.2: it replaced what was lost, which is congestion.
TEST(StackRecovery, ProbeThatRepaired) {
  script.connect("mss=1000 sackok ws=4");
  script.send(9000);
  script.at(200);
  script.in(". 1 ack=8001");  // the ninth is missing
  const std::uint64_t before = script.view().congestion_window_bytes;
  script.at(600);
  LONGS_EQUAL(1, script.counters().loss_probes);
  script.in(". 1 ack=9001");
  LONGS_EQUAL(before, script.view().congestion_window_bytes);
  script.send(1000);
  script.at(700);
  script.in(". 1 ack=10001");
  CHECK(script.view().congestion_window_bytes < before);
  LONGS_EQUAL(0, script.counters().timeouts);
}

// 7.4.2: a duplicate that the network made of something older does not hide that.
TEST(StackRecovery, ProbeThatRepairedBesideAnotherDuplicate) {
  script.connect("mss=1000 sackok ws=4");
  script.send(9000);
  script.at(200);
  script.in(". 1 ack=8001");
  const std::uint64_t before = script.view().congestion_window_bytes;
  script.at(600);
  script.in(". 1 ack=9001 sack=6001-7001");
  script.send(1000);
  script.at(700);
  script.in(". 1 ack=10001");
  CHECK(script.view().congestion_window_bytes < before);
}

// A peer that takes its window back from below what is in flight: no probe fits, and the time-out
// has to come all the same (RFC 9293 3.8.6: what lies within is retransmitted as usual).
TEST(StackRecovery, NoProbeBeyondAShrunkWindow) {
  script.connect("mss=1000 sackok", 100, 20000);
  script.send(10000);
  script.drain();
  script.at(200);
  script.in(". 1 ack=1001 win=3000");
  script.at(5000);
  script.expect(". 1001:2001(1000)");
  CHECK(script.counters().timeouts >= 1);
}

// --- false alarms ---

// RFC 2883, RFC 3708: the peer got the retransmission as a duplicate.
TEST(StackRecovery, DuplicateReportUndoes) {
  ten();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001");
  script.expect("@200 . 1:1001(1000)");
  script.at(205);
  script.in(". 1 ack=4001");
  script.in(". 1 ack=4001 sack=1-1001");
  LONGS_EQUAL(1, script.counters().spurious_recoveries);
  LONGS_EQUAL(1, script.counters().duplicates_reported);
  CHECK(script.view().congestion_window_bytes >= 10000);
}

// RFC 3522: the echo is older than the retransmission.
TEST(StackRecovery, EifelUndoesAFastRecovery) {
  script.connect("mss=1012 sackok ts ws=4");
  script.send(10000);
  const std::uint32_t value = script.last_value();
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001 ecr=" + std::to_string(value));
  script.expect("@200 . 1:1001(1000)");
  script.at(205);
  script.in(". 1 ack=4001 ecr=" + std::to_string(value));
  LONGS_EQUAL(1, script.counters().spurious_recoveries);
  CHECK(script.view().congestion_window_bytes >= 10000);
  STRCMP_EQUAL("none", script.view().recovery);
}

TEST(StackRecovery, EifelLeavesATrueRecoveryAlone) {
  script.connect("mss=1012 sackok ts ws=4");
  script.send(10000);
  const std::uint32_t value = script.last_value();
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-4001 ecr=" + std::to_string(value));
  script.expect("@200 . 1:1001(1000)");
  script.at(300);
  script.in(". 1 ack=4001");  // echoes the retransmission
  LONGS_EQUAL(0, script.counters().spurious_recoveries);
}

// A SACK of a retransmission echoes an older timestamp, as only what is in order is echoed (RFC
// 7323 4.3); it still tells that another one, sent before it, is lost.
TEST(StackRecovery, SackOfARetransmissionTellsOfOneThatIsLostAgain) {
  script.connect("mss=1012 sackok ts ws=4");
  script.send(10000);
  const std::string echo = " ecr=" + std::to_string(script.last_value());
  script.drain();
  script.at(200);
  script.in(". 1 ack=1 sack=3001-10001" + echo);
  script.expect("@200 . 1:1001(1000)");
  script.at(201);
  script.drain();
  script.at(300);
  script.drain();
  script.in(". 1 ack=1 sack=1001-10001" + echo);
  script.at(330);
  script.expect(". 1:1001(1000)");
  LONGS_EQUAL(0, script.counters().timeouts);
}

// --- a peer that takes SACKs back, RFC 2018 8 ---

TEST(StackRecovery, RenegingPeerIsSentEverythingAgain) {
  ten();
  script.at(200);
  script.in(". 1 ack=1 sack=1001-10001");
  script.expect("@200 . 1:1001(1000)");
  script.at(300);
  script.in(". 1 ack=1001");  // and what about the rest?
  script.at(2000);
  script.expect(". 1001:2001(1000)");
  double ms = 2000;
  std::uint32_t acknowledged = 2001;
  while (acknowledged <= 10001 && ms < 8000) {
    script.drain();
    script.in(". 1 ack=" + std::to_string(acknowledged));
    script.at(ms += 100);
    acknowledged += 1000;
  }
  LONGS_EQUAL(10000, script.app().released);
}

// SACKs beyond what was sent, inverted or below the acknowledgment tell nothing.
TEST(StackRecovery, NonsenseSacksAreIgnored) {
  ten();
  script.at(150);
  script.in(". 1 ack=1 sack=20001-30001,3001-2001,0-4294967295");
  LONGS_EQUAL(10000, script.view().in_flight_bytes);
  LONGS_EQUAL(0, script.view().sacked_bytes);
  script.expect_none();
}

// A duplicate that the network made of something never sent twice says nothing of the recovery (RFC
// 3708 3 counts only what was retransmitted).
TEST(StackRecovery, DuplicateOfWhatWasSentOnceUndoesNothing) {
  Script other;
  other.connect("mss=1460 sackok ws=6");
  other.send(14600);
  other.expect_burst(1, 10);
  other.at(200);
  other.in(". 1 ack=2921 sack=4381-8761");
  other.expect(". 2921:4381(1460)");
  other.in(". 1 ack=2921 sack=7301-8761,4381-8761");
  CHECK(std::string(other.view().recovery) == "fast");
  LONGS_EQUAL(0, other.counters().spurious_recoveries);
}
