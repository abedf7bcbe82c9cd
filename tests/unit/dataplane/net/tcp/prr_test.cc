// The two examples of RFC 6937 (section 4), which RFC 9937 keeps, and what must hold for any
// sequence of acknowledgments.
#include "dataplane/net/tcp/prr.h"

#include <algorithm>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

namespace {

constexpr std::uint32_t kSegment = 1000;

// Sends whole segments as long as it may; how many.
int send_segments(ProportionalRateReduction& prr, std::uint64_t& in_flight) {
  int sent = 0;
  for (; prr.allowance() >= kSegment; ++sent) {
    prr.on_sent(kSegment);
    in_flight += kSegment;
  }
  return sent;
}

}  // namespace

TEST_GROUP(ProportionalRateReduction){};

TEST(ProportionalRateReduction, InactiveAllowsNothing) {
  ProportionalRateReduction prr;
  prr.on_acknowledgment(1000, 0, true, false);
  prr.on_sent(1000);
  CHECK(!prr.active());
  CHECK(prr.allowance() == 0);
}

TEST(ProportionalRateReduction, TheFastRetransmitMayLeaveAtOnce) {
  ProportionalRateReduction prr;
  prr.begin(20 * kSegment, 10 * kSegment, kSegment);
  CHECK(prr.allowance() == kSegment);
  prr.on_acknowledgment(0, 19 * kSegment, false, false);  // delivers nothing, changes nothing
  CHECK(prr.allowance() == kSegment);
  prr.on_acknowledgment(1, 30 * kSegment, false, true);
  CHECK(prr.allowance() == kSegment);
  prr.on_sent(kSegment);
  CHECK(prr.allowance() == 0);
  prr.end();
  CHECK(!prr.active());
}

// One of 20 segments is lost; the threshold is 10: one segment for every two that arrive, the first
// at once, until 10 are in flight (the lost one left early, so that is three before the end); then
// one for one.
TEST(ProportionalRateReduction, OneLossIsSpreadEvenly) {
  ProportionalRateReduction prr;
  std::uint64_t in_flight = 20 * kSegment;
  prr.begin(in_flight, 10 * kSegment, kSegment);
  in_flight -= kSegment;  // the lost one
  int sent = 0;
  for (int i = 1; i <= 19; ++i) {
    in_flight -= kSegment;
    prr.on_acknowledgment(kSegment, in_flight, false, false);
    sent += send_segments(prr, in_flight);
    CHECK_EQUAL(i <= 16 ? std::clamp(i / 2, 1, 7) : i - 9, sent);
  }
  CHECK(in_flight == 10 * kSegment);
}

// The first 15 of 20 are lost and only 5 arrive: far below the threshold, and no acknowledgment
// moves SND.UNA: exactly what arrives is sent.
TEST(ProportionalRateReduction, WithHeavyLossItConserves) {
  ProportionalRateReduction prr;
  std::uint64_t in_flight = 5 * kSegment;
  prr.begin(20 * kSegment, 10 * kSegment, kSegment);
  for (int i = 0; i < 5; ++i) {
    in_flight -= kSegment;
    prr.on_acknowledgment(kSegment, in_flight, false, true);
    CHECK_EQUAL(1, send_segments(prr, in_flight));
  }
  // And when they make progress without further loss, two for one, up to the threshold.
  for (int i = 0; i < 5; ++i) {
    in_flight -= kSegment;
    prr.on_acknowledgment(kSegment, in_flight, true, false);
    CHECK_EQUAL(2, send_segments(prr, in_flight));
  }
  in_flight -= kSegment;
  prr.on_acknowledgment(kSegment, in_flight, true, false);
  CHECK_EQUAL(1, send_segments(prr, in_flight));
  CHECK(in_flight == 10 * kSegment);
}

TEST(ProportionalRateReduction, ProgressWithNewLossIsNotSafe) {
  ProportionalRateReduction prr;
  prr.begin(20 * kSegment, 10 * kSegment, kSegment);
  prr.on_sent(kSegment);
  prr.on_acknowledgment(2 * kSegment, 3 * kSegment, true, true);
  CHECK(prr.allowance() == 2 * kSegment);
  prr.on_acknowledgment(kSegment, 3 * kSegment, true, false);
  CHECK(prr.allowance() == 3 * kSegment);  // 3 delivered, 1 sent, 1 for progress
}

TEST(ProportionalRateReduction, NeverSendsMoreThanArrivedWithoutProgress) {
  for (unsigned seed = 1; seed <= 500; ++seed) {
    std::mt19937_64 random(seed);
    ProportionalRateReduction prr;
    const std::uint64_t flight = 1 + random() % 1'000'000;
    const std::uint64_t threshold = random() % 1'500'000;
    prr.begin(flight, threshold, kSegment);
    std::uint64_t delivered = 0;
    std::uint64_t sent = 0;
    std::uint64_t in_flight = random() % (flight + 1);
    for (int i = 0; i < 300; ++i) {
      const std::uint64_t arrived = random() % 5000;
      delivered += arrived;
      in_flight -= std::min(in_flight, arrived);
      prr.on_acknowledgment(arrived, in_flight, random() % 2 == 0, true);
      if (sent > 0 && arrived > 0 && in_flight <= threshold) {
        CHECK(in_flight + prr.allowance() <= threshold);
      }
      const std::uint64_t piece = random() % (prr.allowance() + 1);
      prr.on_sent(piece);
      sent += piece;
      in_flight += piece;
      // The threshold bounds the proportion: at most what arrived when it is not above the flight.
      if (threshold <= flight) {
        CHECK(sent <= delivered + kSegment);
      }
    }
  }
}

TEST(ProportionalRateReduction, AbsurdNumbersStayNumbers) {
  ProportionalRateReduction prr;
  prr.begin(UINT64_MAX, UINT64_MAX, UINT32_MAX);
  prr.on_acknowledgment(UINT64_MAX, UINT64_MAX, true, false);
  prr.on_sent(UINT64_MAX);
  prr.begin(0, UINT64_MAX, kSegment);
  for (int i = 0; i < 100; ++i) {
    prr.on_acknowledgment(UINT64_MAX, UINT64_MAX, true, false);
    prr.on_acknowledgment(UINT64_MAX, 0, true, false);
    CHECK(prr.allowance() <= UINT32_MAX);
  }
}
