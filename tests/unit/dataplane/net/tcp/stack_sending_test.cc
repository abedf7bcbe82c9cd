// How much is sent and when, while nothing is lost: the initial window, slow start, idleness,
// pacing, turns.
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/stack_script.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(StackSending){};

// RFC 6928 2: min(10 * MSS, max(2 * MSS, 14600)).
TEST(StackSending, InitialWindow) {
  struct Case {
    int offered;
    std::uint64_t window;
  };
  for (const Case& one : {Case{536, 5360}, Case{1000, 10000}, Case{1460, 14600}}) {
    Script script;
    script.connect("ws=4 sackok mss=" + std::to_string(one.offered));
    script.send(100000);
    script.expect_burst(1, static_cast<int>(one.window / one.offered), one.offered);
    script.expect_none();
  }
  StackOptions jumbo = Script::usual();
  jumbo.packet_bytes = 9000;
  Script script(jumbo);
  script.connect("ws=4 sackok mss=8960");
  script.send(100000);
  script.expect_burst(1, 2, 8960);
  script.expect_none();
}

TEST(StackSending, DefaultSegmentSize) {  // RFC 9293 3.7.1: 536 for v4, 1220 for v6
  Script v4;
  v4.connect("sackok");
  v4.send(2000);
  v4.expect(". 1:537(536) ack=1");
  Script v6(Script::usual(), true);
  v6.connect("sackok");
  v6.send(2000);
  v6.expect(". 1:1221(1220) ack=1");
}

TEST(StackSending, TimestampsTakeRoom) {  // RFC 6691 2
  Script script;
  script.connect("mss=1460 ts sackok");
  script.send(3000);
  script.expect(". 1:1449(1448) ack=1 ts");
}

TEST(StackSending, PushOnTheLast) {
  Script script;
  script.connect();
  script.send(2000);
  CHECK(script.next_line().starts_with(". "));
  script.expect(". 1:1461(1460)");
  script.expect("P. 1461:2001(540) ack=1");
}

// RFC 5681 3.1 with RFC 3465: what is acknowledged is added, so that each round trip doubles.
TEST(StackSending, SlowStartDoubles) {
  Script script;
  script.connect("mss=1460 sackok ws=4");
  script.send(200000);
  LONGS_EQUAL(14600, script.drain());
  script.at(200);
  std::uint32_t acknowledged = 1;
  for (int index = 0; index < 5; ++index) {
    acknowledged += 2920;
    script.in(". 1 ack=" + std::to_string(acknowledged));
  }
  LONGS_EQUAL(29200, script.drain());
  LONGS_EQUAL(29200, script.view().congestion_window_bytes);
}

// RFC 7661 4.3: an application that does not fill the window does not grow it.
TEST(StackSending, UnusedWindowDoesNotGrow) {
  Script script;
  script.connect();
  double ms = 100;
  std::uint32_t end = 1;
  for (int round = 0; round < 30; ++round) {
    script.send(2000);
    end += 2000;
    script.at(ms += 100);
    script.in(". 1 ack=" + std::to_string(end));
    script.drain();
  }
  CHECK(script.view().congestion_window_bytes <= 14600 + 2 * 2000);
}

// RFC 7661 4.4.3: the window outlives a pause, but not five minutes of it.
TEST(StackSending, WindowAfterIdleness) {
  for (const double pause_ms : {60000.0, 301000.0}) {
    Script script;
    script.connect("mss=1460 sackok ws=4");
    script.send(60000);
    double ms = 100;
    std::uint32_t acknowledged = 1;
    while (acknowledged < 60001) {
      acknowledged += static_cast<std::uint32_t>(script.drain());
      script.at(ms += 100);
      script.in(". 1 ack=" + std::to_string(acknowledged));
    }
    const std::uint64_t window = script.view().congestion_window_bytes;
    CHECK(window > 2 * 14600);
    script.at(ms += pause_ms);
    script.send(200000);
    const std::uint64_t sent = script.drain();
    if (pause_ms < 300000) {
      CHECK(sent + 1460 > window);
    } else {
      CHECK(sent <= window / 2 && sent >= 14600);
    }
  }
}

TEST(StackSending, PacingSpreadsTheWindow) {
  StackOptions options = Script::usual();
  options.pacing = true;
  Script script(options);
  script.connect("mss=1460 sackok ws=4", 100);
  script.send(400000);
  LONGS_EQUAL(14600, script.drain());  // RFC 6928: the first one at once
  script.at(200);
  script.in(". 1 ack=14601");
  const std::uint64_t at_once = script.drain();
  CHECK(at_once > 0 && at_once <= 3 * 1460u);
  script.at(225);
  const std::uint64_t later = script.drain();
  CHECK(later >= 4 * 1460u && later <= 29200 - 4 * 1460u);
  script.at(290);
  LONGS_EQUAL(29200, at_once + later + script.drain());
}

// One with much to send does not keep another from sending: each gets a burst in turn.
TEST(StackSending, TurnsAreFair) {
  StackOptions options = Script::usual();
  options.burst_bytes = 4096;
  options.receive_chunks = 8;
  Script script(options);
  script.connect("mss=1460 sackok ws=8");
  script.connect("mss=1460 sackok ws=8", 1, 65535, 2);
  script.drain();
  ScriptHandler& big = *script.apps[0];
  ScriptHandler& small = *script.apps[1];
  big.send(14600);
  small.send(100);
  script.run();
  // big: one burst, then small, then big again.
  int before_small = 0;
  while (script.left() > 0 && script.next_line().find("port=2") == std::string::npos) {
    script.expect(".");
    ++before_small;
  }
  CHECK(before_small <= 4);
  CHECK(script.left() > 1);
}

// A plan without room for another piece, all of it sent, is no reason to run; it is asked for more
// when the front of it is acknowledged.
TEST(StackSending, FullPlanDoesNotSpin) {
  Script script;
  script.connect("mss=1460 sackok ws=6");
  script.app().most_at_once = 2049;  // too long for two to share a block of text: a piece each
  script.send(2'000'000);
  double ms = 100;
  std::uint32_t acknowledged = 1;
  std::uint64_t most = 0;
  for (int round = 0; round < 12; ++round) {
    most = std::max(most, script.view().in_flight_bytes);
    acknowledged += static_cast<std::uint32_t>(script.drain());
    script.at(ms += 100);
    script.in(". 1 ack=" + std::to_string(acknowledged));
    CHECK(script.left() > 0);
  }
  LONGS_EQUAL(SendPlan::kMaximumPieces * 2049, most);
}

// The same when the device is done with the pieces only after all of them were acknowledged: then
// no segment comes any more that could ask.
TEST(StackSending, FullPlanThatADeviceHeldIsFilledAgain) {
  Script script;
  script.connect("mss=1460 sackok ws=6");
  script.app().most_at_once = 2049;
  script.send(2 * 64 * 2049);
  script.hold_tickets = true;
  script.complete_tickets(0);
  double ms = 100;
  std::uint32_t acknowledged = 1;
  for (int round = 0; round < 12; ++round) {
    acknowledged += static_cast<std::uint32_t>(script.drain());
    script.at(ms += 100);
    script.in(". 1 ack=" + std::to_string(acknowledged));
  }
  LONGS_EQUAL(64 * 2049 + 1, acknowledged);
  LONGS_EQUAL(0, script.app().released);
  script.complete_tickets(script.last_ticket());
  script.at(ms + 5);
  LONGS_EQUAL(64 * 2049, script.app().released);
  CHECK(script.drain() > 0);
}

TEST(StackSending, SequenceNumbersWrap) {
  StackOptions options = Script::usual();
  options.secret = secret_that_wraps();
  Script script(options);
  script.connect("mss=1460 sackok ws=6");
  CHECK(script.our_initial().value >= 0xffff0000u);
  script.send(300000);
  double ms = 100;
  for (std::uint32_t acknowledged = 1; acknowledged < 300001;) {
    const std::uint64_t bytes = script.drain();
    CHECK(bytes > 0);
    acknowledged += static_cast<std::uint32_t>(bytes);
    script.at(ms += 100);
    script.in(". 1 ack=" + std::to_string(acknowledged));
  }
  LONGS_EQUAL(300000, script.app().released);
}

// --- the end of a connection within its own turn ---

TEST(StackSending, AbortWhileOthersAreReady) {
  Script script;
  for (std::uint16_t port = 1; port <= 4; ++port) script.connect("mss=1460", 1, 65535, port);
  script.drain();
  for (auto& application : script.apps) {
    application->unoffered = 100;
    application->stream->wake_sender();
  }
  script.apps[1]->stream->abort();
  script.run();
  CHECK(script.apps[1]->closed == CloseReason::aborted);
  LONGS_EQUAL(300, script.drain());
  LONGS_EQUAL(3, script.stack.connections());
  // And its slot serves again.
  script.connect("mss=1460", 1, 65535, 9);
  script.send(50);
  script.drain();
  CHECK(!script.stack.wants_to_run());
}
