// The end, from either side, and what comes after it (RFC 9293 3.6, 3.10.7.4, RFC 6191, RFC 1337,
// RFC 9112 9.6).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackClosing) {
  Script script;
  void setup() override { script.connect("mss=1000"); }
  // To TIME-WAIT at 300 ms.
  void end(Script & of) {
    of.close();
    of.expect("F. 1 ack=1");
    of.at(200);
    of.in(". 1 ack=2");
    of.at(300);
    of.in("F. 1 ack=2");
    of.expect(". 2 ack=2");
    LONGS_EQUAL(1, of.stack.time_wait());
    LONGS_EQUAL(0, of.stack.connections());
  }
};

TEST(StackClosing, FinWithTheLastData) {
  script.app().unoffered = 1500;
  script.app().stream->wake_sender();
  script.run();
  script.drain();
  script.at(200);
  script.in(". 1 ack=1001");
  script.close();
  script.expect("F. 1501");
  Script together;
  together.connect("mss=1000", 100, 1000);
  together.send(1500);
  together.expect(". 1:1001(1000)");
  together.close();
  together.expect_none();
  together.at(200);
  together.in(". 1 ack=1001");
  together.expect("FP. 1001:1501(500)");
}

TEST(StackClosing, WeFirst) {
  end(script);
  CHECK(script.app().closed == CloseReason::finished);
}

TEST(StackClosing, PeerFirst) {
  script.in("F. 1 ack=1");
  script.expect(". 1 ack=2");
  CHECK(script.app().ended && !script.app().closed);
  script.send(500);  // half-closed
  script.expect("P. 1:501(500) ack=2");
  script.in(". 2 ack=501");
  script.close();
  script.expect("F. 501 ack=2");
  CHECK(script.view().state == State::last_ack);
  script.in(". 2 ack=502");
  CHECK(script.app().closed == CloseReason::finished);
  LONGS_EQUAL(0, script.stack.time_wait());
  LONGS_EQUAL(0, script.stack.connections());
}

TEST(StackClosing, BothAtOnce) {
  script.close();
  script.expect("F. 1 ack=1");
  script.in("F. 1 ack=1");
  script.expect(". 2 ack=2");
  CHECK(script.view().state == State::closing);
  script.in(". 2 ack=2");
  CHECK(script.app().closed == CloseReason::finished);
  LONGS_EQUAL(1, script.stack.time_wait());
}

TEST(StackClosing, FinAcknowledgedByFin) {
  script.close();
  script.drain();
  script.in("F. 1 ack=2");
  script.expect(". 2 ack=2");
  CHECK(script.app().closed == CloseReason::finished);
  LONGS_EQUAL(1, script.stack.time_wait());
}

TEST(StackClosing, LostFinIsRepeated) {
  script.close();
  script.expect("F. 1 ack=1");
  script.at(450);
  script.expect("@400 F. 1 ack=1");
  script.in(". 1 ack=2");
  CHECK(script.view().state == State::fin_wait_2);
}

TEST(StackClosing, LostDataBeforeTheFin) {
  script.send(1000);
  script.close();
  script.expect("P. 1:1001(1000)");
  script.expect("F. 1001");
  script.at(450);
  script.expect(". 1:1001(1000)");
  script.in(". 1 ack=1001");
  script.at(1500);
  script.expect("F. 1001");
  script.in(". 1 ack=1002");
  CHECK(script.view().state == State::fin_wait_2);
}

// RFC 9112 9.6: read and dropped, so that no RST overtakes our last bytes; but not without bound.
TEST(StackClosing, DataAfterOurFin) {
  script.close();
  script.in(". 1 ack=2");
  script.drain();
  std::uint32_t begin = 1;
  for (; begin < 64001; begin += 1000) {
    script.in(". " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=2");
  }
  script.at(200);
  CHECK(script.connected());
  script.drain();
  for (; begin < 68001; begin += 1000) {
    script.in(". " + std::to_string(begin) + ":" + std::to_string(begin + 1000) + "(1000) ack=2");
  }
  CHECK(!script.connected());
  CHECK(script.next_line().starts_with("R"));
  LONGS_EQUAL(0, script.app().received);
  LONGS_EQUAL(1, script.app().closed_count);
}

TEST(StackClosing, LingerIsBounded) {
  script.close();
  script.in(". 1 ack=2");
  script.at(1050);
  CHECK(!script.app().closed);
  script.at(1200);
  CHECK(script.app().closed == CloseReason::finished);
  LONGS_EQUAL(0, script.stack.connections());
}

TEST(StackClosing, UnreadInputDoesNotKeepIt) {
  script.app().may_take = 0;
  script.in("P. 1:101(100) ack=1");
  script.close();
  script.expect("F. 1 ack=101");
  script.in("F. 101 ack=2");
  script.expect(". 2 ack=102");
  CHECK(script.app().closed == CloseReason::finished);
}

TEST(StackClosing, AbortSendsAReset) {
  script.send(3000);
  script.drain();
  script.abort();
  script.expect("R. 3001 ack=1");
  CHECK(script.app().closed == CloseReason::aborted);
  script.expect_nothing_until(5000);
  script.in(". 1 ack=1001");
  script.expect("R 1001");
}

TEST(StackClosing, CloseTwiceAndAbortAfter) {
  script.close();
  script.close();
  script.expect("F. 1");
  script.expect_none();
  script.abort();
  script.expect("R. 2");
  LONGS_EQUAL(1, script.app().closed_count);
}

// --- TIME-WAIT ---

TEST(StackClosing, TimeWaitAnswersTheFinAgain) {
  end(script);
  script.in("F. 1 ack=2");
  script.expect(". 2 ack=2");
  script.at(60000);
  script.in("F. 1 ack=2");  // which restarts the wait (3.10.7.4)
  script.expect(". 2 ack=2");
  script.at(119000);
  LONGS_EQUAL(1, script.stack.time_wait());
  script.at(121000);
  LONGS_EQUAL(0, script.stack.time_wait());
}

TEST(StackClosing, TimeWaitIsNotProlongedByOtherFins) {
  StackOptions options = Script::usual();
  options.challenges_per_second = 10;
  Script other(options);
  other.connect("mss=1000");
  end(other);
  other.at(30000);
  for (int index = 0; index < 100; ++index) other.in("F. 4000000000 ack=2");
  CHECK(other.left() <= 15);  // the limit of strangers' answers
  other.at(61000);
  LONGS_EQUAL(0, other.stack.time_wait());
}

TEST(StackClosing, TimeWaitIgnoresResets) {  // RFC 1337 3
  end(script);
  script.in("R 2");
  script.expect_none();
  LONGS_EQUAL(1, script.stack.time_wait());
}

TEST(StackClosing, TimeWaitRefusesAnOldSyn) {
  end(script);
  script.in("S 1");  // not beyond what was received
  script.expect(". 2 ack=2");
  LONGS_EQUAL(1, script.stack.time_wait());
}

TEST(StackClosing, TimeWaitIsReusedByALaterNumber) {  // RFC 6191 2 without timestamps
  end(script);
  const SequenceNumber before = script.our_initial();
  script.new_peer(SequenceNumber{0xfffff000} + 100);
  script.in("S 0 mss=1000");
  script.expect("S. 0 ack=1");
  LONGS_EQUAL(0, script.stack.time_wait());
  CHECK(tcp::before(before + 2, script.our_initial()));
  script.in(". 1 ack=1");
  CHECK(script.connected());
}

TEST(StackClosing, TimeWaitIsReusedByALaterTimestamp) {  // RFC 6191 2
  Script other;
  other.connect("mss=1000 ts");
  end(other);
  other.new_peer({5});  // a number from anywhere
  other.in("S 0 mss=1000 ts val=1299");
  CHECK(other.next_line().starts_with(". "));  // older: the last acknowledgment again
  other.drain();
  LONGS_EQUAL(1, other.stack.time_wait());
  other.in("S 0 mss=1000 ts val=1301");
  other.expect("S. 0 ack=1");
}

TEST(StackClosing, TimeWaitTableIsBounded) {
  for (std::uint16_t port = 1; port <= 6; ++port) {
    script.connect("mss=1000", 1, 65535, port);
    script.close();
    script.in("F. 1 ack=2 port=" + std::to_string(port));
  }
  LONGS_EQUAL(4, script.stack.time_wait());
}

// --- keep-alive, RFC 9293 3.8.4 ---

TEST_GROUP(StackKeepAlive){static StackOptions with(){StackOptions options = Script::usual();
options.keep_alive = std::chrono::hours(2);
return options;
}
}
;

TEST(StackKeepAlive, OffByDefault) {
  Script script;
  script.connect("mss=1000");
  script.expect_nothing_until(24 * 3600e3);
  CHECK(script.connected());
}

TEST(StackKeepAlive, ProbesAQuietPeer) {
  Script script(with());
  script.connect("mss=1000");
  for (int round = 1; round <= 3; ++round) {
    script.expect_nothing_until(round * 7200e3);
    script.at(round * 7200e3 + 200);
    script.expect(". 0 ack=1");  // SND.NXT - 1
    script.in(". 1 ack=1");
  }
  CHECK(script.connected());
}

TEST(StackKeepAlive, EndsADeadOne) {
  Script script(with());
  script.connect("mss=1000");
  script.at(7200e3 + 400e3);
  CHECK(!script.connected());
  CHECK(script.app().closed == CloseReason::timed_out);
  CHECK(script.left() >= 5);
}

// What is in flight asks by itself: no keep-alive beside it, and no timer that spins for one.
TEST(StackKeepAlive, NoneWhileDataIsInFlight) {
  StackOptions options = with();
  options.keep_alive = std::chrono::seconds(10);
  Script script(options);
  script.connect("mss=1000", 100, 65535);
  script.send(500);
  script.at(60000);
  CHECK(script.counters().timeouts >= 5);
  while (script.left() > 0) script.expect(". 1:501(500)");
}
