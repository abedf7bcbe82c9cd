// The passive open: what a SYN-ACK offers, how often it is repeated, which ACK completes it, and
// cookies when there is no memory (RFC 9293 3.5, RFC 7323 2, RFC 2018 2, RFC 4987).
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackHandshake){};

// RFC 9293 3.7.1: the MSS option always; RFC 7323 2.2 and 3.2, RFC 2018 2: the others only when the
// SYN carried them.
TEST(StackHandshake, SynAckOffersWhatTheSynOffered) {
  struct Case {
    const char* syn;
    const char* syn_ack;
  };
  const Case cases[] = {
      {"S 0", "S. 0 ack=1 mss=1460 !ws !sackok !ts"},
      {"S 0 mss=1460", "S. 0 ack=1 mss=1460 !ws !sackok !ts"},
      {"S 0 mss=1460 ws=7", "S. 0 ack=1 mss=1460 ws=0 !sackok !ts"},
      {"S 0 mss=1460 sackok", "S. 0 ack=1 mss=1460 !ws sackok !ts"},
      {"S 0 mss=1460 ts val=77 ecr=0", "S. 0 ack=1 mss=1460 !ws !sackok ts"},
      {"S 0 mss=9000 sackok ts ws=14", "S. 0 ack=1 mss=1460 ws=0 sackok ts"},
  };
  for (const Case& one : cases) {
    Script script;
    script.in(one.syn);
    script.expect(one.syn_ack);
    script.in(". 1 ack=1");
    CHECK(script.connected());
    script.expect_none();
  }
}

TEST(StackHandshake, SynAckEchoesTheTimestamp) {  // RFC 7323 3.2
  Script script;
  script.in("S 0 mss=1460 ts val=77 ecr=0");
  CHECK(script.next_line().find("/77") != std::string::npos);
}

TEST(StackHandshake, V6OffersItsSegmentSize) {  // RFC 9293 3.7.1: MTU - 60
  Script script(Script::usual(), true);
  script.in("S 0 mss=1440 sackok");
  script.expect("S. 0 ack=1 mss=1440");
}

// RFC 3168 6.1.1: ECE without CWR, for an ECN-setup SYN only.
TEST(StackHandshake, NegotiatesEcn) {
  Script script;
  script.in("S 0 ecn");
  script.expect("S.E 0 ack=1");
  Script plain;
  plain.in("SE 0");
  plain.expect("S. 0 ack=1");
}

TEST(StackHandshake, OptionsSwitchedOffAreNotOffered) {
  StackOptions options = Script::usual();
  options.ecn = options.timestamps = options.sack = false;
  Script script(options);
  script.in("S 0 ecn sackok ts ws=2");
  script.expect("S. 0 ack=1 !sackok !ts ws=0");
}

// RFC 7323 2.2: the window of a SYN is never scaled, all others are; 2.3: at most by 14.
TEST(StackHandshake, ScalesThePeersWindow) {
  Script script;
  script.connect("mss=1460 ws=3", 100, 1000);
  LONGS_EQUAL(8000, script.view().peer_window_bytes);
  Script unscaled;
  unscaled.connect("mss=1460", 100, 1000);
  LONGS_EQUAL(1000, unscaled.view().peer_window_bytes);
}

// RFC 6298 2 and 5.5: after 1 s, doubled each time; then it is forgotten (RFC 9293 3.8.3 R2 is for
// who opens).
TEST(StackHandshake, RepeatsTheSynAckAndExpires) {
  Script script;
  script.in("S 0 mss=1460");
  script.expect("@0 S. 0 ack=1");
  script.at(20000);
  script.expect("@1000 S. 0 ack=1");
  script.expect("@3000 S. 0 ack=1");
  script.expect("@7000 S. 0 ack=1");
  script.expect_none();
  LONGS_EQUAL(0, script.stack.half_open());
  LONGS_EQUAL(1, script.counters().half_open_expired);
  script.in(". 1 ack=1");
  script.expect("R 1 !ack");  // RFC 9293 3.10.7.2
}

TEST(StackHandshake, RepeatedSynIsAnsweredAgain) {
  Script script;
  script.in("S 0 mss=1460");
  script.expect("S. 0 ack=1");
  script.at(300);
  script.in("S 0 mss=1460");
  script.expect("@300 S. 0 ack=1");
  LONGS_EQUAL(1, script.stack.half_open());
}

// RFC 3168 6.1.1.1: its first SYN may have been dropped for asking; then it asks no more, and hears
// no marks.
TEST(StackHandshake, RepeatedSynWithoutEcnTakesTheOfferBack) {
  Script script;
  script.in("S 0 mss=1000 ecn");
  script.expect("S.E 0 ack=1");
  script.at(1000);
  script.drain();
  script.in("S 0 mss=1000");
  script.expect("S. 0 ack=1");
  script.in("S 0 mss=1000 ecn");  // the first one, late
  script.expect("S. 0 ack=1");
  script.in(". 1 ack=1");
  CHECK(!script.view().ecn);
  script.send(1000);
  script.expect("P. 1:1001(1000) !ect");
}

// RFC 6298 3 (Karn): no sample of a SYN-ACK sent twice; 5.7: then the time-out begins at 3 s.
TEST(StackHandshake, SampleOnlyOfASynAckSentOnce) {
  Script once;
  once.connect("mss=1460", 100);
  CHECK(once.view().smoothed_round_trip == std::chrono::milliseconds(100));
  Script twice;
  twice.in("S 0 mss=1460");
  twice.at(1100);
  twice.in(". 1 ack=1");
  CHECK(twice.view().smoothed_round_trip == Duration::zero());
  CHECK(twice.view().retransmission_timeout == std::chrono::seconds(3));
}

// RFC 5681 3.1, RFC 6928 2: a path that lost two SYN-ACKs is not sent ten segments at once.
TEST(StackHandshake, TwoLostSynAcksBeginWithOneSegment) {
  Script once;
  once.in("S 0 mss=1000");
  once.at(1100);
  once.in(". 1 ack=1");
  LONGS_EQUAL(10000, once.view().congestion_window_bytes);
  Script twice;
  twice.in("S 0 mss=1000");
  twice.at(3100);
  twice.drain();
  twice.in(". 1 ack=1");
  LONGS_EQUAL(1000, twice.view().congestion_window_bytes);
  twice.send(20000);
  twice.expect(". 1:1001(1000)");
  twice.expect_none();
  twice.in(". 1 ack=1001");
  twice.expect_burst(1001, 2, 1000);  // slow start
  twice.expect_none();
}

// RFC 9293 3.10.7.4, fifth step in SYN-RECEIVED.
TEST(StackHandshake, WrongAcknowledgmentIsReset) {
  Script script;
  script.in("S 0 mss=1460");
  script.drain();
  script.in(". 1 ack=2");
  script.expect("R 2 !ack");
  LONGS_EQUAL(1, script.stack.half_open());
  script.in(". 1 ack=0");
  script.expect("R 0 !ack");
  script.in(". 1 ack=1");
  CHECK(script.connected());
}

TEST(StackHandshake, ResetEndsIt) {  // RFC 5961 3.2: exact only
  Script script;
  script.in("S 0 mss=1460");
  script.drain();
  script.in("R 2");
  script.expect(". 1 ack=1 win=65535");  // a true peer answers with an exact one
  script.in("R 70000");
  LONGS_EQUAL(1, script.stack.half_open());
  script.in("R 1");
  LONGS_EQUAL(0, script.stack.half_open());
  script.expect_none();
}

// RFC 9293 3.10.7.4, first step in SYN-RECEIVED.
TEST(StackHandshake, UnacceptableSegmentIsAnswered) {
  Script script;
  script.in("S 0 mss=1460");
  script.drain();
  script.in(". 70000 ack=1");
  script.expect(". 1 ack=1 win=65535");
  script.in(". 70000 ack=7");  // before the fifth step says RST
  script.expect(". 1 ack=1");
  script.in("P. 4294967197:1(100) ack=1");  // ends right before the window
  script.expect(". 1 ack=1");
  LONGS_EQUAL(1, script.stack.half_open());
  script.in(". 1 ack=1");
  CHECK(script.connected());
}

TEST(StackHandshake, DataOnTheThirdSegment) {
  Script script;
  script.in("S 0 mss=1460");
  script.drain();
  script.in("P. 1:101(100) ack=1");
  LONGS_EQUAL(100, script.app().received);
}

TEST(StackHandshake, ThirdSegmentLostDataCompletes) {
  Script script;
  script.in("S 0 mss=1460 sackok");
  script.drain();
  script.in("P. 101:201(100) ack=1");  // the first data was lost as well
  CHECK(script.connected());
  LONGS_EQUAL(0, script.app().received);
  script.expect(". 1 ack=1 sack=101-201");
  script.in("P. 1:101(100) ack=1");
  LONGS_EQUAL(200, script.app().received);
}

TEST(StackHandshake, FinOnTheThirdSegment) {
  Script script;
  script.in("S 0 mss=1460");
  script.drain();
  script.in("F. 1 ack=1");
  script.expect(". 1 ack=2");
  CHECK(script.app().ended);
  CHECK(script.view().state == State::close_wait);
}

TEST(StackHandshake, AcceptorRefuses) {
  Script script;
  script.accept = false;
  script.in("S 0 mss=1460");
  script.drain();
  script.in(". 1 ack=1");
  script.expect("R. 1 ack=1");
  LONGS_EQUAL(0, script.stack.connections());
  LONGS_EQUAL(1, script.counters().refused);
  script.accept = true;
  script.new_peer({5});
  script.connect();
  CHECK(script.connected());
}

// The peer's ACK is as if lost: it repeats what it has, the SYN-ACK is repeated, and there may be
// room then.
TEST(StackHandshake, FullTable) {
  StackOptions options = Script::usual();
  options.maximum_connections = 1;
  Script script(options);
  script.connect();
  script.in("S 0 mss=1460 port=2");
  script.drain();
  script.in(". 1 ack=1 port=2");
  script.expect_none();
  LONGS_EQUAL(1, script.counters().table_overflows);
  LONGS_EQUAL(1, script.stack.connections());
  script.abort();
  script.drain();
  script.in("P. 1:11(10) ack=1 port=2");
  LONGS_EQUAL(2, script.apps.size());
  LONGS_EQUAL(10, script.app().received);
}

TEST(StackHandshake, NoListener) {  // RFC 9293 3.10.7.1
  Script script;
  script.stack.stop_listening();
  script.in("S 0 mss=1460");
  script.expect("R. 0 ack=1");
  script.new_peer({100});
  script.in("F. 5:15(10) ack=7");
  CHECK(script.next_line().starts_with("R "));
  script.drain();
  script.in("R 5");
  script.expect_none();
}

// --- cookies, RFC 4987 3.6 ---

TEST_GROUP(StackCookies){
    static StackOptions under_pressure(){StackOptions options = Script::usual();
options.always_cookies = true;
return options;
}
}
;

TEST(StackCookies, WithTimestampsKeepEverything) {
  Script script(under_pressure());
  script.in("S 0 mss=1460 sackok ts ws=7 ecn");
  script.expect("S.E 0 ack=1 mss=1460 ws=0 sackok ts");
  LONGS_EQUAL(0, script.stack.half_open());
  script.at(50);
  script.in(". 1 ack=1 win=100");
  CHECK(script.connected());
  const ConnectionView view = script.view();
  CHECK(view.sack && view.timestamps && view.ecn);
  LONGS_EQUAL(12800, view.peer_window_bytes);
  LONGS_EQUAL(1448, view.segment_bytes);
}

TEST(StackCookies, WithoutTimestampsOnlyTheSegmentSize) {
  Script script(under_pressure());
  script.in("S 0 mss=1460 sackok ws=7 ecn");
  script.expect("S. 0 ack=1 mss=1460 !ws !sackok !ts");
  script.in("P. 1:11(10) ack=1 win=1000");
  CHECK(!script.view().sack && !script.view().ecn);
  LONGS_EQUAL(1000, script.view().peer_window_bytes);
  LONGS_EQUAL(1460, script.view().segment_bytes);
  LONGS_EQUAL(10, script.app().received);
}

TEST(StackCookies, LostThirdSegmentThenData) {
  Script script(under_pressure());
  script.in("S 0 mss=1460 sackok ts");
  script.drain();
  script.at(1000);
  script.in("P. 1:11(10) ack=1");
  LONGS_EQUAL(10, script.app().received);
}

// Not answered: it may be the second segment of one whose first was lost, and a RST would end it.
TEST(StackCookies, WrongOnesAreDropped) {
  Script script(under_pressure());
  script.in("S 0 mss=1460");
  script.drain();
  script.in(". 1 ack=2");
  script.in(". 2 ack=1");
  LONGS_EQUAL(2, script.counters().cookies_refused);
  LONGS_EQUAL(0, script.stack.connections());
  script.at(129000);  // two steps later
  script.in(". 1 ack=1");
  LONGS_EQUAL(0, script.stack.connections());
  script.expect_none();
}

TEST(StackCookies, OnlyWhenTheTableIsFull) {
  Script script;
  for (int port = 1; port <= 4; ++port) script.in("S 0 mss=1460 port=" + std::to_string(port));
  LONGS_EQUAL(0, script.counters().cookies_sent);
  script.in("S 0 mss=1460");
  LONGS_EQUAL(1, script.counters().cookies_sent);
  LONGS_EQUAL(4, script.stack.half_open());
  script.drain();
  script.in(". 1 ack=1");
  CHECK(script.connected());
  script.in(". 1 ack=1 port=1");
  LONGS_EQUAL(2, script.stack.connections());
}
