// How often strangers are answered.
#include "dataplane/net/rate_limit.h"

#include <algorithm>
#include <set>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net;
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
