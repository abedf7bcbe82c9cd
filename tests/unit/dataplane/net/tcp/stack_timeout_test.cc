// The retransmission timer, and loss with a peer without SACK (RFC 6298, RFC 5681, RFC 6582, RFC
// 3042).
//
// The round trip is 100 ms, so that the time-out is 100 + 4 * 50 ms (RFC 6298 2.2).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackTimeout) { Script script; };

TEST(StackTimeout, BacksOff) {  // RFC 6298 5.5; too small to be a black hole's
  script.connect("mss=500");
  script.send(1500);
  script.expect_burst(1, 2, 500);
  script.drain();
  script.at(10000);
  for (const char* when : {"@400", "@1000", "@2200", "@4600", "@9400"}) {
    script.expect(std::string(when) + " . 1:501(500)");
  }
  script.expect_none();
  LONGS_EQUAL(500, script.view().congestion_window_bytes);  // RFC 5681 3.1
}

TEST(StackTimeout, GivesUp) {  // RFC 9293 3.8.3: R2 at least 100 s
  script.connect("mss=1000");
  script.send(3000);
  script.at(100000);
  CHECK(script.connected());
  script.at(300000);
  CHECK(!script.connected());
  CHECK(script.app().closed == CloseReason::timed_out);
  LONGS_EQUAL(1, script.counters().given_up);
}

TEST(StackTimeout, SendsTheRestByAcknowledgments) {
  script.connect("mss=1000");
  script.send(4000);
  script.drain();
  script.at(500);
  script.expect("@400 . 1:1001(1000)");
  script.in(". 1 ack=1001");
  script.expect("@500 . 1001:2001(1000)");
  script.expect("@500 . 2001:3001(1000)");
  script.expect_none();
  script.at(600);
  script.in(". 1 ack=4001");
  script.expect_nothing_until(5000);
  LONGS_EQUAL(4000, script.app().released);
}

// A middlebox takes the timestamps out of what we send from now on: the peer echoes the last it saw
// for ever (RFC 7323 4.3), which measures nothing.
TEST(StackTimeout, AnEchoOlderThanWhatItAcknowledgesMeasuresNothing) {
  script.connect("mss=1000 ts");
  const std::string stale = " ecr=" + std::to_string(script.last_value());
  script.send(1000);
  script.at(200);
  script.in(". 1 ack=1001" + stale);  // sent after the handshake, a round trip ago
  script.at(20'000);
  script.send(1000);
  script.at(20'100);
  script.in(". 1 ack=2001" + stale);
  script.send(1000);
  script.at(23'000);  // and again, and again
  script.in(". 1 ack=3001" + stale);
  LONGS_EQUAL(0, script.counters().spurious_recoveries);  // nor is it Eifel's
  CHECK(script.view().smoothed_round_trip < std::chrono::milliseconds(200));
}

// RFC 6298 5: the back-off ends with a new measurement, which what was sent twice does not give
// (Karn).
TEST(StackTimeout, BackOffLastsUntilAMeasurement) {
  script.connect("mss=1000");
  script.send(2000);
  script.drain();
  script.at(500);
  script.expect("@400 . 1:1001(1000)");
  script.in(". 1 ack=1001");
  script.expect("@500 . 1001:2001(1000)");
  script.expect_nothing_until(1090);
  script.at(1110);
  script.expect("@1100 . 1001:2001(1000)");  // 600 ms, not 300
  script.in(". 1 ack=2001");
  script.send(1000);
  script.drain();
  script.at(1210);
  script.in(". 1 ack=3001");  // measured
  script.send(1000);
  script.drain();
  script.at(1210 + 400);
  script.expect(". 3001:4001(1000)");
}

// Without SACK: duplicates that come long after the retransmission tell that it was lost as well,
// which a timer that has backed off would find much later.
TEST(StackTimeout, DuplicatesTellOfALostRetransmission) {
  script.connect("mss=500");
  script.send(20000);
  script.drain();
  script.at(9500);  // time-outs until 9400; the next comes at 19000
  script.drain();
  script.in(". 1 ack=501");
  script.expect("@9500 . 501:1001(500)");  // is lost
  script.expect("@9500 . 1001:1501(500)");
  script.expect_none();
  double now = 9500;
  for (int index = 0; index < 4; ++index) {
    script.at(now += 100);
    script.in(". 1 ack=501");
    if (index < 3) CHECK(!script.next_line().starts_with(". 501:"));
    if (index < 3) script.drain();
  }
  script.expect("@9900 . 501:1001(500)");
  script.at(now + 100);
  script.in(". 1 ack=501");  // once for each time-out's time
  CHECK(!script.next_line().starts_with(". 501:"));
}

// What the peer had before the time-out makes it repeat itself as well: at once.
TEST(StackTimeout, EarlyDuplicatesTellNothing) {
  script.connect("mss=500");
  script.send(20000);
  script.drain();
  script.at(500);
  script.expect("@400 . 1:501(500)");
  script.in(". 1 ack=3001");
  script.drain();
  for (int index = 0; index < 5; ++index) {
    script.at(550 + index);
    script.in(". 1 ack=3001");
    CHECK(!script.next_line().starts_with(". 3001:"));
    script.drain();
  }
}

TEST(StackTimeout, EifelUndoesIt) {  // RFC 3522
  script.connect("mss=1012 ts");
  script.send(5000);
  const std::uint32_t value = script.last_value();
  script.drain();
  script.at(500);
  script.expect("@400 . 1:1001(1000)");
  script.in(". 1 ack=1001 ecr=" + std::to_string(value));
  script.expect_none();
  LONGS_EQUAL(1, script.counters().spurious_recoveries);
  CHECK(script.view().congestion_window_bytes >= 10000);
  script.in(". 1 ack=5001 ecr=" + std::to_string(value));
  script.expect_nothing_until(3000);
}

// RFC 5681 3.1: the threshold falls once for a flight, however often it times out.
TEST(StackTimeout, OneReductionForAFlight) {
  script.connect("mss=1000");
  script.send(10000);
  script.at(500);
  const std::uint64_t threshold = script.view().slow_start_threshold_bytes;
  LONGS_EQUAL(7000, threshold);
  script.at(5000);
  CHECK(script.counters().timeouts >= 4);
  LONGS_EQUAL(threshold, script.view().slow_start_threshold_bytes);
}

// --- without SACK ---

TEST(StackTimeout, LimitedTransmitThenFastRetransmit) {  // RFC 3042 2, RFC 5681 3.2
  script.connect("mss=1000 ws=4");
  script.send(40000);
  script.expect_burst(1, 10, 1000);
  script.at(200);
  script.in(". 1 ack=1");
  script.expect("@200 . 10001:11001(1000)");
  script.in(". 1 ack=1");
  script.expect("@200 . 11001:12001(1000)");
  script.expect_none();
  script.in(". 1 ack=1");
  script.expect("@200 . 1:1001(1000)");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().fast_recoveries);
  LONGS_EQUAL(7000, script.view().slow_start_threshold_bytes);
}

// RFC 6582 3.2 step 3: each partial acknowledgment uncovers the next gap.
TEST(StackTimeout, PartialAcknowledgments) {
  script.connect("mss=1000 ws=4");
  script.send(10000);
  script.drain();
  script.at(200);  // 1, 3 and 5 of ten are lost
  for (int index = 0; index < 7; ++index) script.in(". 1 ack=1");
  script.expect("@200 . 1:1001(1000)");
  script.at(300);
  script.in(". 1 ack=2001");
  script.expect("@300 . 2001:3001(1000)");
  script.at(400);
  script.in(". 1 ack=4001");
  script.expect("@400 . 4001:5001(1000)");
  script.at(500);
  script.in(". 1 ack=10001");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().fast_recoveries);
  LONGS_EQUAL(0, script.counters().timeouts);
  STRCMP_EQUAL("none", script.view().recovery);
}

// What is no duplicate acknowledgment: with data, or of another window (RFC 5681 2).
TEST(StackTimeout, NotEachRepeatedNumberIsADuplicate) {
  script.connect("mss=1000 ws=4");
  script.send(10000);
  script.drain();
  script.at(200);
  for (int index = 0; index < 4; ++index) {
    const std::uint32_t begin = 1 + 10u * static_cast<std::uint32_t>(index);
    script.in("P. " + std::to_string(begin) + ":" + std::to_string(begin + 10) + "(10) ack=1");
    script.in(". " + std::to_string(begin + 10) + " ack=1 win=" + std::to_string(60000 - index));
  }
  while (script.left() > 0) {
    CHECK(script.next_line().find("(1000)") == std::string::npos);
    script.expect(".");
  }
  LONGS_EQUAL(0, script.counters().fast_recoveries);
}

// RFC 6582 3.2 step 1: the duplicates that a time-out's repetitions cause begin nothing.
TEST(StackTimeout, DuplicatesAfterATimeOutAreNotLoss) {
  script.connect("mss=1000 ws=4");
  script.send(10000);
  script.drain();
  script.at(410);
  script.expect("@400 . 1:1001(1000)");
  script.at(500);
  script.in(". 1 ack=5001");
  script.drain();
  for (int index = 0; index < 5; ++index) script.in(". 1 ack=5001");
  LONGS_EQUAL(0, script.counters().fast_recoveries);
}
