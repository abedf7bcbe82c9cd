// The estimate and the time-out against numbers worked out from RFC 6298 and RFC 7323 appendix G;
// the minimum against a plain search over the window.
#include "dataplane/net/tcp/round_trip.h"

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

constexpr MonotonicTime at(Duration since) { return MonotonicTime{since}; }

}  // namespace

TEST_GROUP(RoundTrip){};

TEST(RoundTrip, BeforeASampleTheTimeoutIsASecond) {
  RoundTrip path;
  CHECK(!path.has_sample());
  CHECK(path.timeout() == 1s);
  CHECK(path.minimum() == 0ns);
  path.add_sample(-1ns, at(1s), 1);
  CHECK(!path.has_sample());
}

TEST(RoundTrip, AfterASlowHandshakeItIsThreeSecondsUntilTheFirstSample) {
  RoundTrip path;
  path.handshake_was_slow();
  CHECK(path.timeout() == 3s);
  path.add_sample(100ms, at(1s), 1);
  CHECK(path.timeout() == 300ms);  // 100 + 4 * 50
}

TEST(RoundTrip, FollowsTheFormulasOfRfc6298) {
  RoundTrip path;
  path.add_sample(100ms, at(1s), 1);
  CHECK(path.smoothed() == 100ms);
  CHECK(path.variation() == 50ms);
  path.add_sample(200ms, at(2s), 1);  // RTTVAR 3/4*50 + 1/4*100, SRTT 7/8*100 + 1/8*200
  CHECK(path.variation() == 62500us);
  CHECK(path.smoothed() == 112500us);
  CHECK(path.timeout() == 362500us);
  path.add_sample(112500us, at(3s), 1);  // no error: 3/4*62.5
  CHECK(path.variation() == 46875us);
  CHECK(path.smoothed() == 112500us);
  CHECK(path.latest() == 112500us);
}

TEST(RoundTrip, ManySamplesARoundWeighLess) {
  RoundTrip path;
  path.add_sample(100ms, at(1s), 10);
  path.add_sample(180ms, at(2s), 10);  // SRTT + 80/80, RTTVAR + (80-50)/40
  CHECK(path.smoothed() == 101ms);
  CHECK(path.variation() == 50750us);
  path.add_sample(101ms, at(2s), 0);  // counts as 1
  CHECK(path.smoothed() == 101ms);
}

TEST(RoundTrip, EvenTheSmallestWeightsConverge) {
  RoundTrip path;
  path.add_sample(100ms, at(0s), 1);
  for (int i = 0; i < 600'000; ++i) {
    path.add_sample(100ms + 10us, at(1s), 5'000);
  }
  CHECK(path.smoothed() > 100ms + 9990ns);
}

TEST(RoundTrip, TheTimeoutStaysWithinItsBounds) {
  RoundTrip fast;
  for (int i = 0; i < 100; ++i) {
    fast.add_sample(50us, at(1s), 1);
  }
  CHECK(fast.timeout() == fast.smoothed() + RoundTrip::kMinimumMargin);
  RoundTrip none;
  none.add_sample(0ns, at(1s), 1);
  CHECK(none.has_sample());
  CHECK(none.timeout() == none.smoothed() + RoundTrip::kMinimumMargin);
  RoundTrip slow;
  slow.add_sample(Duration::max(), at(1s), UINT32_MAX);
  CHECK(slow.latest() == 60s);
  CHECK(slow.timeout() == RoundTrip::kMaximumTimeout);
  slow.add_sample(Duration::max(), at(1s), 1);
  CHECK(slow.timeout() == RoundTrip::kMaximumTimeout);
}

TEST(RoundTrip, AConstantPathKeepsAMarginForDelayedAcknowledgments) {
  RoundTrip path;
  for (int i = 0; i < 1000; ++i) {
    path.add_sample(500ms, at(1s), 1);
  }
  CHECK(path.timeout() >= 699ms);
  CHECK(path.timeout() <= 700ms);
}

TEST(RoundTrip, TheMinimumIsForgottenAfterItsWindow) {
  RoundTrip path;
  MonotonicTime now = at(1s);
  path.add_sample(10ms, now, 1);
  for (; now < at(1s) + RoundTrip::kMinimumWindow; now += 1s) {
    path.add_sample(30ms, now, 1);
    CHECK(path.minimum() == 10ms);
  }
  path.add_sample(30ms, now + 2s, 1);
  CHECK(path.minimum() == 30ms);
}

// Which of the window's samples it is, three buckets can only say roughly; that it is one of them
// and not more than the latest always holds.
TEST(RoundTrip, TheMinimumIsASampleOfTheWindowAndNeverAboveTheLatest) {
  for (unsigned seed = 1; seed <= 10; ++seed) {
    std::mt19937 random(seed);
    RoundTrip path;
    std::vector<std::pair<MonotonicTime, Duration>> all;
    MonotonicTime now = at(1s);
    for (int i = 0; i < 1000; ++i) {
      now += std::chrono::milliseconds(random() % (random() % 200 == 0 ? 400'000 : 2'000));
      const Duration rtt = std::chrono::microseconds(1000 + random() % 50'000);
      path.add_sample(rtt, now, 1);
      all.emplace_back(now, rtt);
      CHECK(path.minimum() <= rtt);
      CHECK(std::any_of(all.rbegin(), all.rend(), [&](const auto& one) {
        return one.second == path.minimum() && now - one.first <= RoundTrip::kMinimumWindow + 1ms;
      }));
    }
  }
}
