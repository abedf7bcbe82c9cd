// How often strangers are answered, and that the limit of challenge ACKs cannot be read.
#include "dataplane/net/tcp/rate_limit.h"

#include <algorithm>
#include <set>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

TEST_GROUP(RateLimit) {
  const MonotonicTime start{100s};
  template <typename Limit>
  static std::uint64_t allowed(Limit & limit, MonotonicTime now, int tries) {
    std::uint64_t count = 0;
    for (int each = 0; each < tries; ++each) count += limit.allow(now);
    return count;
  }
};

TEST(RateLimit, ABurstThenTheRate) {
  RateLimit limit(10, 5);
  LONGS_EQUAL(5, allowed(limit, start, 100));
  LONGS_EQUAL(95, limit.refused());
  LONGS_EQUAL(0, allowed(limit, start + 100ms - 1ns, 100));
  LONGS_EQUAL(1, allowed(limit, start + 100ms, 100));
  LONGS_EQUAL(2, allowed(limit, start + 300ms, 100));
}

TEST(RateLimit, SavesUpNoMoreThanABurst) {
  RateLimit limit(1000, 7);
  LONGS_EQUAL(7, allowed(limit, start, 100));
  LONGS_EQUAL(7, allowed(limit, start + 24h * 365 * 100, 100));
}

TEST(RateLimit, LosesNothingToRounding) {
  // Asked each 700 ns for a second, at a rate whose interval is no whole number of nanoseconds. A
  // burst of two, so that what is earned beyond a token is kept until the next question.
  RateLimit limit(30'011, 2);
  std::uint64_t count = 0;
  for (Duration passed{}; passed <= 1s; passed += 700ns) count += limit.allow(start + passed);
  LONGS_EQUAL(2 + 30'010, count);  // the last is due at the end of the second, not asked for
}

TEST(RateLimit, ExtremesNeitherOverflowNorDivideByZero) {
  RateLimit none(0, 100);
  LONGS_EQUAL(0, allowed(none, start + 24h, 10));
  RateLimit no_burst(100, 0);
  LONGS_EQUAL(0, allowed(no_burst, start + 24h, 10));
  RateLimit most(0xffffffff, 0xffffffff);
  LONGS_EQUAL(1000, allowed(most, start, 1000));
  LONGS_EQUAL(1000, allowed(most, start + 24h * 365 * 200, 1000));
}

TEST(RateLimit, TimeThatStandsStillOrStepsBackEarnsNothing) {
  RateLimit limit(1, 1);
  LONGS_EQUAL(1, allowed(limit, start, 10));
  LONGS_EQUAL(0, allowed(limit, start - 10s, 10));
  LONGS_EQUAL(0, allowed(limit, start, 10));
  LONGS_EQUAL(1, allowed(limit, start + 1s, 10));
}

TEST(RateLimit, ChallengesPerSecondAreAboutTheRateButNeverTheSame) {
  ChallengeAckLimit limit(1000, SipHashKey{1, 2});
  std::set<std::uint64_t> seen;
  std::uint64_t total = 0;
  for (int second = 0; second < 500; ++second) {
    const std::uint64_t count = allowed(limit, start + second * 1s, 2000);
    CHECK_TRUE(count >= 500 && count <= 1500);
    seen.insert(count);
    total += count;
  }
  CHECK_TRUE(seen.size() > 300);
  CHECK_TRUE(total > 475'000 && total < 525'000);
  LONGS_EQUAL(500 * 2000 - total, limit.refused());
}

TEST(RateLimit, AnotherKeyGivesOtherAllowancesAtOtherMoments) {
  ChallengeAckLimit one(1000, SipHashKey{1, 2});
  ChallengeAckLimit two(1000, SipHashKey{1, 3});
  int equal = 0;
  for (int second = 0; second < 100; ++second) {
    equal += allowed(one, start + second * 1s, 2000) == allowed(two, start + second * 1s, 2000);
  }
  CHECK_TRUE(equal < 5);
  // When a second ends: look for the moment at which an exhausted limit allows again.
  const auto renewal = [&](const SipHashKey& key) {
    ChallengeAckLimit limit(1000, key);
    allowed(limit, start, 2000);
    Duration passed{};
    while (!limit.allow(start + passed)) passed += 1ms;
    CHECK_TRUE(passed <= 1s);
    return passed;
  };
  CHECK_TRUE(renewal({1, 2}) != renewal({1, 3}));
}

TEST(RateLimit, ChallengesCanBeSwitchedOff) {
  ChallengeAckLimit limit(0, SipHashKey{1, 2});
  for (int second = 0; second < 100; ++second) {
    LONGS_EQUAL(0, allowed(limit, MonotonicTime{} + second * 1s, 10));
  }
}
