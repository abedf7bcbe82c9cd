// When slow start ends by delay: series of round trip times against the rules of RFC 9406.
#include "dataplane/net/tcp/hystart.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

// A round of `samples` acknowledgments that took `rtt`; whether slow start ended.
bool round_of(HyStart& hystart, Duration rtt, int samples = 10) {
  bool ended = false;
  for (int i = 1; i <= samples; ++i) {
    ended = hystart.on_acknowledgment(rtt, i == samples) || ended;
  }
  return ended;
}

}  // namespace

TEST_GROUP(HyStart){};

TEST(HyStart, ASteadyPathStaysInSlowStart) {
  HyStart hystart;
  for (int i = 0; i < 100; ++i) {
    CHECK(!round_of(hystart, 50ms));
    CHECK(hystart.phase() == HyStart::Phase::slow_start);
  }
}

TEST(HyStart, TheThresholdIsAnEighthWithinFourAndSixteenMilliseconds) {
  const struct {
    Duration before;
    Duration rise;
  } rows[] = {{10ms, 4ms}, {32ms, 4ms}, {80ms, 10ms}, {128ms, 16ms}, {400ms, 16ms}};
  for (const auto& row : rows) {
    HyStart below;
    round_of(below, row.before);
    round_of(below, row.before + row.rise - 1us);
    CHECK(below.phase() == HyStart::Phase::slow_start);
    HyStart above;
    round_of(above, row.before);
    round_of(above, row.before + row.rise);
    CHECK(above.phase() == HyStart::Phase::conservative);
  }
}

TEST(HyStart, SevenSamplesDecideNothingTheEighthDoes) {
  HyStart hystart;
  round_of(hystart, 20ms);
  for (int i = 0; i < 7; ++i) {
    hystart.on_acknowledgment(50ms, false);
  }
  hystart.on_acknowledgment(-1ns, false);  // not a sample
  CHECK(hystart.phase() == HyStart::Phase::slow_start);
  hystart.on_acknowledgment(50ms, false);
  CHECK(hystart.phase() == HyStart::Phase::conservative);
}

TEST(HyStart, ConservativeLastsFiveRoundsTheBrokenOneIncluded) {
  HyStart hystart;
  round_of(hystart, 20ms);
  CHECK(!round_of(hystart, 30ms));  // entered at its eighth sample: the first
  CHECK(!round_of(hystart, 30ms));
  CHECK(!round_of(hystart, 31ms));
  CHECK(!round_of(hystart, 32ms));
  CHECK(hystart.phase() == HyStart::Phase::conservative);
  CHECK(round_of(hystart, 30ms));
  CHECK(hystart.phase() == HyStart::Phase::done);
  CHECK(!round_of(hystart, 90ms));
}

TEST(HyStart, ARiseThatGoesAwayResumesSlowStart) {
  HyStart hystart;
  round_of(hystart, 20ms);
  round_of(hystart, 30ms);
  CHECK(hystart.phase() == HyStart::Phase::conservative);
  round_of(hystart, 29ms);
  CHECK(hystart.phase() == HyStart::Phase::slow_start);
  CHECK(!round_of(hystart, 29ms));
  round_of(hystart, 34ms);  // and rises again: five rounds anew
  CHECK(hystart.phase() == HyStart::Phase::conservative);
  for (int i = 0; i < 3; ++i) {
    CHECK(!round_of(hystart, 34ms));
  }
  CHECK(round_of(hystart, 34ms));
}

TEST(HyStart, SmallRoundsInBetweenHideNoRise) {
  HyStart hystart;
  round_of(hystart, 20ms, 3);  // too few to decide, but remembered
  round_of(hystart, 30ms);
  CHECK(hystart.phase() == HyStart::Phase::conservative);
}

TEST(HyStart, GrowthIsQuarteredAndWithoutPacingLimited) {
  HyStart hystart;
  CHECK(hystart.growth_bytes(100'000, 1000, true) == 100'000);
  CHECK(hystart.growth_bytes(100'000, 1000, false) == 8'000);
  CHECK(hystart.growth_bytes(3'000, 1000, false) == 3'000);
  round_of(hystart, 20ms);
  round_of(hystart, 30ms);
  CHECK(hystart.growth_bytes(100'000, 1000, true) == 25'000);
  CHECK(hystart.growth_bytes(100'000, 1000, false) == 2'000);
  hystart.finish();
  CHECK(hystart.growth_bytes(100'000, 1000, true) == 100'000);
}

TEST(HyStart, AbsurdTimesDecideNothing) {
  HyStart hystart;
  round_of(hystart, Duration::max());
  round_of(hystart, Duration::max());
  CHECK(hystart.phase() == HyStart::Phase::slow_start);
  round_of(hystart, 0ns);
  round_of(hystart, 4ms);
  CHECK(hystart.phase() == HyStart::Phase::conservative);
}
