// RACK and the tail loss probe, step by step as RFC 8985 6.2 and 7 have them.
#include "dataplane/net/tcp/rack.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr StreamPosition kStart = kFirstBytePosition;
MonotonicTime at_ms(std::int64_t ms) { return MonotonicTime{std::chrono::milliseconds(ms)}; }

}  // namespace

// Ten segments of 1000, one a millisecond from 1000 ms on; the round trip is 100 ms.
TEST_GROUP(Rack) {
  TransmissionPool pool{1, 100};
  TransmissionLog log;
  Rack rack;
  Rack::Path path{.smoothed = 110ms, .minimum = 100ms};

  void setup() override {
    for (int index = 0; index < 10; ++index) {
      log.append(pool, kStart + 1000u * index, kStart + 1000u * (index + 1), at_ms(1000 + index));
    }
  }
  void teardown() override { log.clear(pool); }
  void deliver(std::uint64_t begin, std::uint64_t end, std::int64_t ms,
               std::optional<bool> retransmission_arrived = {}) {
    auto delivery = log.begin_delivery();
    log.sack(pool, kStart + begin, kStart + end, &delivery);
    rack.on_delivery(delivery, path, retransmission_arrived, at_ms(ms));
  }
  std::optional<MonotonicTime> detect(std::int64_t ms, bool in_recovery = false,
                                      bool threshold = false) {
    return rack.detect(log, path, in_recovery, threshold, at_ms(ms));
  }
  void lose_and_resend(std::uint64_t begin, std::uint64_t end, std::int64_t ms) {
    log.mark_lost(pool, kStart + begin, kStart + end);
    log.next_lost(pool, end - begin);
    log.on_lost_resent(at_ms(ms));
  }
};

TEST(Rack, NothingIsLostBeforeAnythingIsDelivered) {
  CHECK(!detect(100000));
  LONGS_EQUAL(0, log.lost_bytes());
}

// Step 5: sent_at + RACK.rtt + window; the latest of the suspects is when to look again.
TEST(Rack, LooksAgainForTheLatest) {
  deliver(3000, 4000, 1103);
  const auto again = detect(1103);
  CHECK(again && *again == at_ms(1002 + 100 + 25));
  LONGS_EQUAL(0, log.lost_bytes());
  CHECK(detect(1125) == at_ms(1127));
  LONGS_EQUAL(1000, log.lost_bytes());
  CHECK(!detect(1127));
  LONGS_EQUAL(3000, log.lost_bytes());  // nothing sent after the delivered one
}

TEST(Rack, NoWindowInRecoveryOrAtThree) {  // step 4
  deliver(3000, 6000, 1105);
  detect(1105, false, true);
  LONGS_EQUAL(3000, log.lost_bytes());
}

TEST(Rack, ReorderingOpensTheWindowForGood) {  // steps 3 and 4
  deliver(5000, 6000, 1105);
  deliver(3000, 4000, 1106);
  CHECK(rack.reordering_seen());
  CHECK(detect(1106, true, true).has_value());
  LONGS_EQUAL(0, log.lost_bytes());
  CHECK(rack.reordering_window(path, true, true) == 25ms);
}

// Step 4: one quarter more for each round trip with a D-SACK, at most SRTT, back after sixteen
// recoveries.
TEST(Rack, DuplicateReportsWidenTheWindow) {
  CHECK(rack.reordering_window(path, false, false) == 25ms);
  rack.on_duplicate_reported(kStart, kStart + 10000);
  CHECK(rack.reordering_window(path, false, false) == 50ms);
  rack.on_duplicate_reported(kStart + 5000, kStart + 12000);  // the same round
  CHECK(rack.reordering_window(path, false, false) == 50ms);
  rack.on_duplicate_reported(kStart + 10000, kStart + 20000);
  CHECK(rack.reordering_window(path, false, false) == 75ms);
  for (int round = 2; round < 6; ++round) {
    rack.on_duplicate_reported(kStart + 10000u * round, kStart + 10000u * (round + 1));
  }
  CHECK(rack.reordering_window(path, false, false) == 110ms);
  for (int recovery = 0; recovery < 15; ++recovery) rack.on_recovery_end();
  CHECK(rack.reordering_window(path, false, false) == 110ms);
  rack.on_recovery_end();
  CHECK(rack.reordering_window(path, false, false) == 25ms);
}

// Step 2: what answers the original tells nothing of the retransmission.
TEST(Rack, AnswerTooSoonIsOfTheOriginal) {
  lose_and_resend(0, 1000, 1150);
  deliver(0, 1000, 1200);  // 50 ms after, below the shortest round trip
  CHECK(!detect(5000));
  LONGS_EQUAL(0, log.lost_bytes());
}

TEST(Rack, EchoTellsWhichOneArrived) {
  lose_and_resend(0, 1000, 1150);
  deliver(0, 1000, 1400, false);
  CHECK(!detect(5000));
  LONGS_EQUAL(0, log.lost_bytes());
  lose_and_resend(1000, 2000, 1500);
  deliver(1000, 2000, 1620, true);
  CHECK(!detect(5000));
  LONGS_EQUAL(8000, log.lost_bytes());  // all were sent before 1500
}

TEST(Rack, LostRetransmissionIsFound) {
  lose_and_resend(0, 1000, 1110);
  lose_and_resend(2000, 3000, 1111);
  deliver(2000, 3000, 1215);
  detect(1215, true);
  CHECK(log.front()->state == Transmission::State::lost);
}

TEST(Rack, OneMomentIsOrderedByPosition) {  // RACK_sent_after()
  log.clear(pool);
  log.append(pool, kStart, kStart + 5000, at_ms(1000));
  deliver(2000, 3000, 1100);
  detect(1100, true);
  LONGS_EQUAL(2000, log.lost_bytes());
}

TEST(Rack, TimeOutTakesTheFirstAndTheOverdue) {  // 6.3
  deliver(9000, 10000, 1109);
  rack.mark_after_timeout(log, path, at_ms(1127));  // 100 ms and 25
  LONGS_EQUAL(3000, log.lost_bytes());
  TransmissionLog other;
  other.append(pool, kStart, kStart + 1000, at_ms(1100));
  other.append(pool, kStart + 1000, kStart + 2000, at_ms(1101));
  rack.mark_after_timeout(other, path, at_ms(1102));
  LONGS_EQUAL(1000, other.lost_bytes());
  other.clear(pool);
}

// --- 7 ---

TEST_GROUP(TailLossProbe) {
  TailLossProbe probe;
  using Outcome = TailLossProbe::Outcome;
};

TEST(TailLossProbe, TimeOut) {  // 7.2
  CHECK(TailLossProbe::time_out(true, 100ms, false) == 200ms);
  CHECK(TailLossProbe::time_out(true, 100ms, true) == 400ms);
  CHECK(TailLossProbe::time_out(false, 0ms, false) == 1s);
}

TEST(TailLossProbe, NewDataProvesNothing) {  // 7.4.2
  probe.on_sent(100, false);
  CHECK(probe.on_acknowledgment(99, 0, true) == Outcome::none);
  CHECK(probe.on_acknowledgment(100, 0, false) == Outcome::nothing_lost);
  CHECK(!probe.outstanding());
}

TEST(TailLossProbe, ReportedAsDuplicate) {
  probe.on_sent(100, true);
  CHECK(probe.on_acknowledgment(100, 100, false) == Outcome::nothing_lost);
  probe.on_sent(200, true);
  CHECK(probe.on_acknowledgment(200, 199, false) == Outcome::nothing_lost);  // and its FIN
}

TEST(TailLossProbe, ADuplicateOfSomethingElseProvesNothing) {  // 7.4.2
  probe.on_sent(100, true);
  CHECK(probe.on_acknowledgment(100, 90, false) == Outcome::none);
  CHECK(probe.on_acknowledgment(101, 0, false) == Outcome::repaired);
}

TEST(TailLossProbe, AcknowledgedTwice) {
  probe.on_sent(100, true);
  CHECK(probe.on_acknowledgment(100, 0, false) == Outcome::none);
  CHECK(probe.on_acknowledgment(100, 0, true) == Outcome::nothing_lost);
}

TEST(TailLossProbe, Repaired) {
  probe.on_sent(100, true);
  CHECK(probe.on_acknowledgment(100, 0, false) == Outcome::none);
  CHECK(probe.on_acknowledgment(101, 0, false) == Outcome::repaired);
  CHECK(!probe.outstanding());
}
