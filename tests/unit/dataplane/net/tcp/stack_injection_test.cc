// What an attacker who does not see the connection can send (RFC 5961), and what else is not
// acceptable (RFC 9293 3.10.7.4).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackInjection) {
  Script script;
  void setup() override {
    script.connect("mss=1000 sackok", 100, 20000);
    script.at(1000);
  }
};

TEST(StackInjection, ExactReset) {  // 3.2
  script.in("R 1");
  CHECK(script.app().closed == CloseReason::peer_reset);
  script.expect_none();
  LONGS_EQUAL(0, script.stack.connections());
}

TEST(StackInjection, ResetInTheWindowIsChallenged) {  // 3.2
  script.in("R 2");
  script.expect(". 1 ack=1");
  CHECK(script.connected());
  script.in("R 1");  // a true peer's answer
  CHECK(!script.connected());
}

TEST(StackInjection, ResetOutsideIsDropped) {
  script.in("R 0");
  script.in("R 65537");
  script.in("R 4000000000");
  script.expect_none();
  CHECK(script.connected());
}

TEST(StackInjection, SynIsChallenged) {  // 4.2
  script.in("S 100");
  script.expect(". 1 ack=1");
  script.at(2000);
  script.in("S 4000000000");
  script.expect(". 1 ack=1");
  CHECK(script.connected());
}

TEST(StackInjection, SynsAreChallengedAtALimitedRateWhereverTheyLie) {  // 4.2, 7
  for (int index = 0; index < 50; ++index) {
    script.in("S 4000000000");
    script.in("S 70000");
  }
  script.expect(". 1 ack=1");
  script.expect_none();
  LONGS_EQUAL(99, script.counters().challenges_withheld);
}

TEST(StackInjection, AcknowledgmentOfTheUnsent) {  // RFC 9293 3.10.7.4
  script.in("P. 1:101(100) ack=2");
  script.expect(". 1 ack=1");
  LONGS_EQUAL(0, script.app().received);
}

TEST(StackInjection, AcknowledgmentOfLongAgo) {  // 5.2: older than the largest window
  script.send(30000);
  double ms = 1000;
  for (std::uint32_t acknowledged = 1; acknowledged < 30001;) {
    acknowledged += static_cast<std::uint32_t>(script.drain());
    script.at(ms += 100);
    script.in(". 1 ack=" + std::to_string(acknowledged) + " win=20000");
  }
  script.drain();
  script.in("P. 1:101(100) ack=10001");  // within
  LONGS_EQUAL(100, script.app().received);
  script.at(ms + 1000);
  script.drain();
  script.in("P. 101:201(100) ack=10000");
  LONGS_EQUAL(100, script.app().received);
  script.expect(". 30001 ack=101");
}

TEST(StackInjection, ChallengesAreLimited) {  // 7
  script.in("R 2");
  script.expect(". 1 ack=1");
  for (int index = 0; index < 100; ++index) script.in("R 3");
  script.expect_none();
  LONGS_EQUAL(100, script.counters().challenges_withheld);
  script.at(1600);
  script.in("R 3");
  script.expect(". 1 ack=1");
}

TEST(StackInjection, ChallengesOfAllAreLimited) {  // 7, between half and one and a half of it
  StackOptions options = Script::usual();
  options.challenges_per_second = 2;
  Script crowd(options);
  for (std::uint16_t port = 1; port <= 8; ++port) crowd.connect("mss=1000", 1, 65535, port);
  crowd.at(5000);
  crowd.drain();
  for (int port = 1; port <= 8; ++port) crowd.in("R 2 port=" + std::to_string(port));
  CHECK(crowd.left() >= 1 && crowd.left() <= 3);
}

TEST(StackInjection, StraysAreResetAtALimitedRate) {
  StackOptions options = Script::usual();
  options.resets_per_second = 3;
  Script other(options);
  for (int index = 0; index < 10; ++index) other.in(". 1 ack=5 port=7");
  LONGS_EQUAL(3, other.left());
  other.expect("R 5 !ack");
}

TEST(StackInjection, WithoutAcknowledgmentIsDropped) {
  script.in("P 1:101(100)");
  script.expect_nothing_until(2000);
  LONGS_EQUAL(0, script.app().received);
}

TEST(StackInjection, DataOutsideIsAcknowledged) {
  script.in("P. 65537:65637(100) ack=1");
  script.expect(". 1 ack=1");
  script.in("P. 4294967000:4294967100(100) ack=1");
  script.expect(". 1 ack=1");
  LONGS_EQUAL(0, script.app().received);
}

TEST(StackInjection, TwoPeersDoNotAnswerEachOtherForever) {
  int answers = 0;
  for (int index = 0; index < 50; ++index) {
    script.in(". 4000000000 ack=1");
    answers += static_cast<int>(script.left());
    script.drain();
  }
  CHECK(answers <= 1);
}

// --- timestamps, RFC 7323 ---

TEST_GROUP(StackTimestamps) {
  Script script;
  void setup() override { script.connect("mss=1000 sackok ts"); }
};

TEST(StackTimestamps, OldOnesAreDropped) {  // 5.3 R1
  script.in("P. 1:101(100) ack=1 val=5000");
  script.at(200);
  script.drain();
  script.in("P. 101:201(100) ack=1 val=4999");
  script.expect(". 1 ack=101");
  LONGS_EQUAL(1, script.counters().dropped_old_timestamp);
  script.in("P. 101:201(100) ack=1 val=5000");  // equal is fine
  LONGS_EQUAL(200, script.app().received);
}

TEST(StackTimestamps, SynsWithOldOnesAreChallenged) {  // RFC 5961 4.2, 7
  script.in("P. 1:101(100) ack=1 val=5000");
  script.at(1000);
  script.drain();
  for (int index = 0; index < 50; ++index) script.in("S 101 val=10");
  script.expect(". 1 ack=101");
  script.expect_none();
  LONGS_EQUAL(50, script.counters().dropped_old_timestamp);
  LONGS_EQUAL(49, script.counters().challenges_withheld);
}

TEST(StackTimestamps, ResetsAreNotChecked) {  // 5.2
  script.in("P. 1:101(100) ack=1 val=5000");
  script.in("R 101 val=10");
  CHECK(script.app().closed == CloseReason::peer_reset);
}

// 4.3: the echo is that of the first segment not acknowledged yet, so that it tells the delay too.
TEST(StackTimestamps, EchoIsOfTheFirst) {
  script.in("P. 1:101(100) ack=1 val=5000");
  script.in("P. 101:201(100) ack=1 val=5007");
  script.at(150);
  CHECK(script.next_line().find("/5000") != std::string::npos);
  script.drain();
  script.in("P. 301:401(100) ack=1 val=5020");  // beyond a gap
  CHECK(script.next_line().find("/5007") == std::string::npos);
  CHECK(script.next_line().find("/5000") != std::string::npos);
  script.drain();
  script.in("P. 201:301(100) ack=1 val=5030");  // which this fills
  CHECK(script.next_line().find("/5030") != std::string::npos);
}

TEST(StackTimestamps, Wrap) {
  Script other;
  other.connect("mss=1000 sackok ts val=4294967290");
  CHECK(other.connected());
  other.in("P. 1:101(100) ack=1");
  LONGS_EQUAL(100, other.app().received);
}

TEST(StackTimestamps, OutdatedAfter24Days) {  // 5.5
  script.in("P. 1:101(100) ack=1 val=2000000000");
  script.at(25.0 * 24 * 3600 * 1000);
  script.drain();
  script.in("P. 101:201(100) ack=1 val=10");
  LONGS_EQUAL(200, script.app().received);
}

TEST(StackTimestamps, EverySegmentCarriesThem) {  // 3.2
  script.send(5000);
  script.in("P. 1:101(100) ack=1");
  script.close();
  script.at(1000);
  while (script.left() > 0) {
    CHECK(script.next_line().find(" ts=") != std::string::npos);
    script.drain();
  }
}

// --- a peer that wants work done ---

// Every other byte of a flight as a SACK block (CVE-2019-11478): the ranges are shared by all.
TEST_GROUP(StackCrumbs){};

TEST(StackCrumbs, OfSacksTakeNoMoreMemoryThanTheirFlightIsWorth) {
  Script script;
  script.connect("mss=1460 sackok ws=6");
  script.send(14600);
  script.drain();
  for (int at = 3; at < 1400; at += 8) {
    const auto block = [&](int from) {
      return std::to_string(from) + "-" + std::to_string(from + 1);
    };
    script.in(". 1 ack=1 sack=" + block(at) + "," + block(at + 2) + "," + block(at + 4) + "," +
              block(at + 6));
  }
  CHECK(script.view().sacked_bytes > 0);
  CHECK(script.view().sacked_bytes <= 32 + 20);
  script.drain();
  script.at(500);
  script.in(". 1 ack=14601");
  LONGS_EQUAL(0, script.view().in_flight_bytes);
  LONGS_EQUAL(14600, script.app().released);
}
