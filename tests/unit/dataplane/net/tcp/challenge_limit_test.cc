// The limit of challenge ACKs is about what was asked for, and cannot be read.
#include "dataplane/net/tcp/challenge_limit.h"

#include <algorithm>
#include <set>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

TEST_GROUP(ChallengeAckLimit) {
  const MonotonicTime start{100s};
  template <typename Limit>
  static std::uint64_t allowed(Limit & limit, MonotonicTime now, int tries) {
    std::uint64_t count = 0;
    for (int each = 0; each < tries; ++each) count += limit.allow(now);
    return count;
  }
};

TEST(ChallengeAckLimit, ChallengesPerSecondAreAboutTheRateButNeverTheSame) {
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

TEST(ChallengeAckLimit, AnotherKeyGivesOtherAllowancesAtOtherMoments) {
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

TEST(ChallengeAckLimit, ChallengesCanBeSwitchedOff) {
  ChallengeAckLimit limit(0, SipHashKey{1, 2});
  for (int second = 0; second < 100; ++second) {
    LONGS_EQUAL(0, allowed(limit, MonotonicTime{} + second * 1s, 10));
  }
}
