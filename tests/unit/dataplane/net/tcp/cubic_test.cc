// The window against the closed forms of RFC 9438, its answers to loss, time-out and idleness, and
// what must hold whatever it is told.
#include "dataplane/net/tcp/cubic.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr std::uint32_t kSegment = 1000;
constexpr MonotonicTime kStart{1000s};

// A sender that fills (or does not fill) its window, a round trip at a time.
struct Sender {
  Cubic cubic{kSegment};
  MonotonicTime now = kStart;
  Duration rtt = 200ms;
  bool full = true;

  double segments() const { return static_cast<double>(cubic.window_bytes()) / kSegment; }
  void acknowledge(std::uint64_t bytes, bool round_ended) {
    cubic.on_acknowledgment({.now = now,
                             .delivered_bytes = bytes,
                             .in_flight_bytes = cubic.window_bytes() - bytes,
                             .window_limited = full,
                             .in_recovery = false,
                             .round_ended = round_ended,
                             .round_trip_time = rtt,
                             .minimum_round_trip = rtt,
                             .smoothed_round_trip = rtt});
  }
  // A round in which `bytes` (0: the whole window) are acknowledged segment by segment.
  void round(std::uint64_t bytes = 0) {
    const std::uint64_t pieces =
        std::max<std::uint64_t>((bytes == 0 ? cubic.window_bytes() : bytes) / kSegment, 1);
    for (std::uint64_t i = 1; i <= pieces; ++i) {
      now += rtt / static_cast<std::int64_t>(pieces);
      acknowledge(kSegment, i == pieces);
    }
  }
  void lose() {
    cubic.on_congestion(CongestionSignal::loss, cubic.window_bytes(), now);
    cubic.on_recovery_end(now);
  }
  // Slow start up to about so many segments, and a loss there.
  void lose_at(std::uint64_t window_segments) {
    while (cubic.window_bytes() < window_segments * kSegment) {
      acknowledge(
          std::min(window_segments * kSegment - cubic.window_bytes(), std::uint64_t{kSegment}),
          false);
    }
    lose();
  }
};

double cubic_at(double seconds, double peak, double start) {
  const double k = std::cbrt((peak - start) / 0.4);
  return peak + 0.4 * std::pow(seconds - k, 3);
}

}  // namespace

TEST_GROUP(Cubic){};

TEST(Cubic, StartsWithTheInitialWindowInSlowStart) {
  const Cubic cubic(1460);
  CHECK(cubic.window_bytes() == 14'600);
  CHECK(cubic.slow_start_threshold_bytes() == Cubic::kUnknownThreshold);
  CHECK(cubic.in_slow_start());
  STRCMP_EQUAL("cubic", cubic.name());
}

TEST(Cubic, SlowStartDoublesARound) {
  Sender sender;
  for (const double expected : {20, 40, 80, 160}) {
    sender.round();
    DOUBLES_EQUAL(expected, sender.segments(), 0);
  }
}

TEST(Cubic, UnpacedGrowsByEightSegmentsAnAcknowledgment) {
  Sender sender;
  sender.cubic = Cubic(kSegment, false);
  sender.acknowledge(10 * kSegment, true);
  DOUBLES_EQUAL(18, sender.segments(), 0);
}

TEST(Cubic, ARisingRoundTripEndsSlowStartWithoutALoss) {
  Sender sender;
  sender.rtt = 40ms;
  sender.round();  // 20
  sender.round();  // 40
  sender.rtt = 60ms;
  for (int i = 0; i < 5; ++i) {
    CHECK(sender.cubic.in_slow_start());
    sender.round();
  }
  CHECK(!sender.cubic.in_slow_start());
  CHECK(sender.cubic.slow_start_threshold_bytes() == sender.cubic.window_bytes());
  // 40 + 8 and a quarter of 32 in the first, then a quarter of the window a round.
  DOUBLES_EQUAL(48 * std::pow(1.25, 4) + 8 * std::pow(1.25, 4), sender.segments(), 4);
  // And then the convex part from here: K = 0, W_max = the window.
  const double peak = sender.segments();
  const MonotonicTime epoch = sender.now;
  while (sender.now < epoch + 5s) {
    sender.round();
  }
  CHECK(sender.segments() >= peak + 0.4 * 125 * 0.9);
}

TEST(Cubic, AfterALossTheWindowFollowsTheCubic) {
  Sender sender;
  sender.lose_at(1000);
  DOUBLES_EQUAL(700, sender.segments(), 0);
  CHECK(!sender.cubic.in_slow_start());
  const MonotonicTime epoch = sender.now;
  // K = cbrt(300 / 0.4) = 9.086 s
  for (const int seconds : {2, 4, 6, 8, 9, 10, 12, 14}) {
    while (sender.now < epoch + std::chrono::seconds(seconds)) {
      sender.round();
    }
    const double t = std::chrono::duration<double>(sender.now - epoch).count();
    DOUBLES_EQUAL(cubic_at(t, 1000, 700), sender.segments(), 10);
  }
}

TEST(Cubic, FastConvergenceLowersThePeakWhenTheLastWasNotReached) {
  Sender sender;
  sender.lose_at(1000);
  const MonotonicTime first = sender.now;
  while (sender.now < first + 3s) {
    sender.round();
  }
  const double lost_at = sender.segments();
  CHECK(lost_at < 1000);
  sender.lose();
  const double start = sender.segments();
  DOUBLES_EQUAL(lost_at * 0.7, start, 0.01);
  const double peak = lost_at * 0.85;
  const MonotonicTime epoch = sender.now;
  while (sender.now < epoch + 6s) {
    sender.round();
  }
  const double t = std::chrono::duration<double>(sender.now - epoch).count();
  DOUBLES_EQUAL(cubic_at(t, peak, start), sender.segments(), 10);
}

TEST(Cubic, OnAShortPathItGrowsAsRenoWould) {
  Sender sender;
  sender.rtt = 5ms;
  sender.lose_at(20);
  DOUBLES_EQUAL(14, sender.segments(), 0);
  // 3 * 0.3 / 1.7 segments a round until it is back at 20, then one a round.
  for (int i = 0; i < 10; ++i) {
    sender.round();
  }
  DOUBLES_EQUAL(14 + 10 * 0.529, sender.segments(), 0.4);
  int rounds = 10;
  while (sender.segments() < 20) {
    sender.round();
    ++rounds;
  }
  DOUBLES_EQUAL(6 / 0.529, rounds, 2);
  const double before = sender.segments();
  for (int i = 0; i < 20; ++i) {
    sender.round();
  }
  DOUBLES_EQUAL(before + 20, sender.segments(), 1.5);
}

TEST(Cubic, GrowsByHalfInARoundAtMost) {
  Sender sender;
  sender.lose_at(10);
  sender.rtt = 30s;
  double before = sender.segments();
  for (int i = 0; i < 10; ++i) {
    sender.round();
    CHECK(sender.segments() <= before * std::exp(0.5) + 1);
    before = sender.segments();
  }
}

TEST(Cubic, TimeInWhichTheApplicationIsTheLimitDoesNotCount) {
  Sender busy;
  Sender paused;
  busy.lose_at(1000);
  paused.lose_at(1000);
  for (int i = 0; i < 20; ++i) {
    busy.round();
    paused.round();
  }
  paused.full = false;
  for (int i = 0; i < 100; ++i) {
    paused.round(600 * kSegment);
  }
  const MonotonicTime end = paused.now;
  CHECK(paused.cubic.window_bytes() == busy.cubic.window_bytes());
  paused.now = end + 60s;
  paused.cubic.on_idle_restart(60s, paused.now);
  paused.full = true;
  for (int i = 0; i < 5; ++i) {
    busy.round();
    paused.round();
  }
  DOUBLES_EQUAL(busy.segments(), paused.segments(), 3);
}

TEST(Cubic, TheWindowOfAnApplicationThatDoesNotFillItDoesNotGrow) {
  Sender sender;
  sender.round();
  sender.round();  // 40 segments
  sender.full = false;
  sender.now += 2s;
  for (int i = 0; i < 50; ++i) {
    sender.round(10 * kSegment);
  }
  DOUBLES_EQUAL(40, sender.segments(), 0);
  sender.round(30 * kSegment);  // more than half of it: doubling goes on, as far as it is used
  CHECK(sender.segments() > 40);
  CHECK(sender.segments() <= 61);
}

TEST(Cubic, EcnIsAnsweredAsLossIs) {
  Sender sender;
  sender.lose_at(100);
  sender.cubic.on_congestion(CongestionSignal::echo, 70 * kSegment, sender.now);
  DOUBLES_EQUAL(49, sender.segments(), 0.01);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 49'000);
}

// RFC 9406 4.2: the delay of rounds that did not fill the window is what the next is compared with.
TEST(Cubic, HyStartCountsRoundsInWhichTheWindowDoesNotGrow) {
  Sender sender;
  for (int i = 0; i < 3; ++i) {
    sender.round();
  }
  sender.full = false;
  sender.rtt = 100ms;
  for (int i = 0; i < 30; ++i) {
    sender.round(10 * kSegment);
  }
  sender.full = true;
  sender.rtt = 150ms;
  const double before = sender.segments();
  CHECK(before >= 80);
  sender.round();
  CHECK(sender.segments() < 1.5 * before);  // a quarter of doubling
}

// RFC 9438 4.6: as long as echoes come, down to one segment; losses leave two.
TEST(Cubic, PersistentEchoesLeaveOneSegment) {
  Sender sender;
  sender.lose_at(10);
  for (int i = 0; i < 12; ++i) {
    sender.cubic.on_congestion(CongestionSignal::echo, sender.cubic.window_bytes(), sender.now);
  }
  CHECK(sender.cubic.window_bytes() == kSegment);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 2 * kSegment);
  sender.cubic.on_recovery_end(sender.now);  // of a loss answered with the echo
  CHECK(sender.cubic.window_bytes() == kSegment);
  sender.lose();
  CHECK(sender.cubic.window_bytes() == 2 * kSegment);
}

TEST(Cubic, ATimeoutLeavesOneSegmentAndSlowStartToTheThreshold) {
  Sender sender;
  for (int i = 0; i < 3; ++i) {
    sender.round();  // 80
  }
  sender.cubic.on_congestion(CongestionSignal::timeout, 80 * kSegment, sender.now);
  DOUBLES_EQUAL(1, sender.segments(), 0);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 56 * kSegment);
  sender.cubic.on_recovery_end(sender.now);
  DOUBLES_EQUAL(1, sender.segments(), 0);
  // An acknowledgment of all that had arrived before is no licence for a burst.
  sender.acknowledge(70 * kSegment, true);
  DOUBLES_EQUAL(2, sender.segments(), 0);
  for (const double expected : {4, 8, 16, 32, 56}) {
    sender.round();
    DOUBLES_EQUAL(expected, sender.segments(), 0.1);  // the last round ends on the curve
  }
  CHECK(!sender.cubic.in_slow_start());
  // RFC 9438 4.8: from here with K = 0 and W_max = the window at the stage's beginning.
  sender.round();
  CHECK(sender.segments() > 56);
  CHECK(sender.segments() < 58);
}

TEST(Cubic, NoLossMakesItLessThanTwoSegments) {
  Sender sender;
  for (int i = 0; i < 20; ++i) {
    sender.lose();
  }
  DOUBLES_EQUAL(2, sender.segments(), 0);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 2 * kSegment);
  for (int i = 0; i < 10; ++i) {
    sender.round();
  }
  CHECK(sender.segments() > 2);
}

TEST(Cubic, UndoTakesTheLastSignalBack) {
  for (const auto signal :
       {CongestionSignal::loss, CongestionSignal::echo, CongestionSignal::timeout}) {
    Sender sender;
    Sender spared;
    sender.lose_at(500);
    spared.lose_at(500);
    for (int i = 0; i < 10; ++i) {
      sender.round();
      spared.round();
    }
    const std::uint64_t window = sender.cubic.window_bytes();
    const std::uint64_t threshold = sender.cubic.slow_start_threshold_bytes();
    sender.cubic.on_congestion(signal, window, sender.now);
    CHECK(sender.cubic.window_bytes() < window);
    sender.cubic.undo(sender.now);
    CHECK(sender.cubic.window_bytes() == window);
    CHECK(sender.cubic.slow_start_threshold_bytes() == threshold);
    sender.cubic.on_recovery_end(sender.now);  // of the recovery that was needless
    CHECK(sender.cubic.window_bytes() == window);
    for (int i = 0; i < 10; ++i) {
      sender.round();
      spared.round();
    }
    CHECK(sender.cubic.window_bytes() == spared.cubic.window_bytes());
    sender.cubic.undo(sender.now);  // nothing left to take back
    CHECK(sender.cubic.window_bytes() == spared.cubic.window_bytes());
  }
}

TEST(Cubic, AnUndoThatComesAfterTheWindowHasGrownBackChangesNothing) {  // RFC 9438 4.9.2
  Sender sender;
  sender.lose_at(100);
  Sender spared = sender;
  while (sender.segments() <= 101) {
    sender.round();
    spared.round();
  }
  const std::uint64_t threshold = sender.cubic.slow_start_threshold_bytes();
  sender.cubic.undo(sender.now);
  CHECK(sender.cubic.slow_start_threshold_bytes() == threshold);
  for (int i = 0; i < 10; ++i) {
    sender.round();
    spared.round();
    CHECK(sender.cubic.window_bytes() == spared.cubic.window_bytes());
  }
}

TEST(Cubic, UndoInTheFirstSlowStartGoesOnWithIt) {
  Sender sender;
  sender.round();
  sender.lose();
  CHECK(!sender.cubic.in_slow_start());
  sender.cubic.undo(sender.now);
  CHECK(sender.cubic.in_slow_start());
  sender.round();
  DOUBLES_EQUAL(40, sender.segments(), 0);
}

TEST(Cubic, TheWindowOutlivesAPauseAndIsHalvedEveryFiveMinutesAfter) {
  Sender sender;
  for (int i = 0; i < 4; ++i) {
    sender.round();  // 160
  }
  const MonotonicTime end = sender.now;
  sender.cubic.on_idle_restart(4min, end + 4min);
  DOUBLES_EQUAL(160, sender.segments(), 0);
  sender.cubic.on_idle_restart(6min, end + 6min);
  DOUBLES_EQUAL(80, sender.segments(), 0);
  sender.cubic.on_idle_restart(11min, end + 11min);
  DOUBLES_EQUAL(40, sender.segments(), 0);
  sender.cubic.on_idle_restart(10h, end + 10h);
  DOUBLES_EQUAL(10, sender.segments(), 0);
}

TEST(Cubic, AfterTheNonValidatedPeriodSlowStartLeadsToThreeQuarters) {
  Sender sender;
  sender.lose_at(200);  // threshold and window 140
  sender.round();
  const double window = sender.segments();
  sender.cubic.on_idle_restart(6min, sender.now + 6min);
  DOUBLES_EQUAL(window / 2, sender.segments(), 0.01);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 140 * kSegment);  // above three quarters
  CHECK(sender.cubic.in_slow_start());
}

// Once the window jumped back to what Reno had reached before the pause.
TEST(Cubic, AWindowHalvedForDisuseDoesNotJumpBack) {
  Sender sender;
  sender.rtt = 5ms;
  sender.lose_at(100);  // 70
  for (int i = 0; i < 300; ++i) {
    sender.round();
  }
  const double window = sender.segments();
  sender.cubic.on_idle_restart(21min, sender.now + 21min);
  sender.now += 21min;
  CHECK(sender.segments() <= window / 8);
  const double halved = sender.segments();
  sender.acknowledge(kSegment, false);
  CHECK(sender.segments() <= halved + 1);
}

TEST(Cubic, ALossInTheNonValidatedPhaseIsAnsweredFromWhatWasCarried) {
  Sender sender;
  for (int i = 0; i < 4; ++i) {
    sender.round();  // 160
  }
  sender.full = false;
  sender.now += 2s;
  sender.round(30 * kSegment);
  sender.cubic.on_congestion(CongestionSignal::loss, 20 * kSegment, sender.now);
  DOUBLES_EQUAL(15, sender.segments(), 0.01);  // max(pipeACK 30, flight 20) / 2
  sender.cubic.on_recovery_end(sender.now);
  DOUBLES_EQUAL(15, sender.segments(), 0.01);
}

TEST(Cubic, BeforeAnyMeasurementOnlyWhatIsInFlightCounts) {
  Sender sender;
  sender.cubic.on_congestion(CongestionSignal::timeout, 5 * kSegment, sender.now);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 3500);
}

TEST(Cubic, NothingGrowsInARecovery) {
  Sender sender;
  sender.round();
  sender.cubic.on_congestion(CongestionSignal::loss, 20 * kSegment, sender.now);
  for (int i = 0; i < 50; ++i) {
    sender.now += 1ms;
    sender.cubic.on_acknowledgment({.now = sender.now,
                                    .delivered_bytes = kSegment,
                                    .window_limited = true,
                                    .in_recovery = true,
                                    .smoothed_round_trip = 50ms});
  }
  DOUBLES_EQUAL(14, sender.segments(), 0);
}

TEST(Cubic, AnotherSegmentSizeKeepsTheBytes) {
  Sender sender;
  sender.lose_at(100);
  sender.round();
  const std::uint64_t window = sender.cubic.window_bytes();
  sender.cubic.set_segment_bytes(500);
  CHECK(sender.cubic.window_bytes() == window);
  sender.cubic.set_segment_bytes(9000);
  CHECK(sender.cubic.window_bytes() == window);
  sender.cubic.set_segment_bytes(1'000'000);
  CHECK(sender.cubic.window_bytes() == 1'000'000);
  CHECK(sender.cubic.slow_start_threshold_bytes() == 2'000'000);
}

// Any sequence of events, sane or not: bounds hold, and the same events give the same windows.
TEST(Cubic, WhateverItIsToldItStaysWithinItsBounds) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    std::mt19937_64 random(seed);
    std::uint32_t segment = 1 + random() % 9000;
    Cubic cubic(segment, random() % 2 == 0);
    Cubic twin = cubic;
    MonotonicTime now = kStart;
    const auto absurd = [&random] { return random() >> (random() % 64); };
    for (int i = 0; i < 1000; ++i) {
      now += Duration{static_cast<std::int64_t>(absurd() >> 20)};
      if (random() % 50 == 0) {
        now -= 1ms;
      }
      const std::uint64_t kind = random() % 100;
      const std::uint64_t before = cubic.window_bytes();
      const std::uint64_t in_flight = absurd();
      const auto duration = Duration{static_cast<std::int64_t>(absurd() >> 1)};
      AcknowledgmentEvent event{.now = now,
                                .delivered_bytes = absurd(),
                                .in_flight_bytes = in_flight,
                                .window_limited = random() % 2 == 0,
                                .in_recovery = random() % 8 == 0,
                                .round_ended = random() % 4 == 0,
                                .round_trip_time = duration,
                                .minimum_round_trip = duration,
                                .smoothed_round_trip = duration};
      for (Cubic* one : {&cubic, &twin}) {
        if (kind < 80) {
          one->on_acknowledgment(event);
          CHECK(one->window_bytes() <= 2 * before + 1 || before < segment);
        } else if (kind < 85) {
          one->on_congestion(static_cast<CongestionSignal>(kind % 3), in_flight, now);
          CHECK(one->window_bytes() <= std::max<std::uint64_t>(before, 2ull * segment));
        } else if (kind < 90) {
          one->undo(now);
          CHECK(one->window_bytes() >= before);
        } else if (kind < 95) {
          one->on_recovery_end(now);
        } else if (kind < 98) {
          one->on_idle_restart(duration, now);
          CHECK(one->window_bytes() <= before);
        } else {
          if (one == &cubic) {
            segment = 1 + random() % 9000;
          }
          one->set_segment_bytes(segment);
        }
        CHECK(one->window_bytes() >= segment);
        CHECK(one->window_bytes() <= Cubic::kMaximumWindowBytes);
        CHECK(one->slow_start_threshold_bytes() >= 2ull * segment);
      }
      CHECK(cubic.window_bytes() == twin.window_bytes());
      CHECK(cubic.slow_start_threshold_bytes() == twin.slow_start_threshold_bytes());
    }
  }
}
