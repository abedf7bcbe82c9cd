// Published runs: joining, gaps, and random additions against a plain array of flags.
#include "cache/interval_set.h"

#include "tests/unit/cache/cache_test_support.h"

using nearfield::cache::IntervalSet;
using nearfield::cache::test::Random;

TEST_GROUP(IntervalSet){};

TEST(IntervalSet, JoinsRunsThatTouch) {
  IntervalSet set;
  set.add(10, 20);
  set.add(30, 40);
  UNSIGNED_LONGS_EQUAL(2, set.size());
  const auto joined = set.add(20, 30);
  UNSIGNED_LONGS_EQUAL(1, set.size());
  UNSIGNED_LONGS_EQUAL(10, joined.begin);
  UNSIGNED_LONGS_EQUAL(40, joined.end);
  CHECK_TRUE(set.extends_at(40));
  CHECK_FALSE(set.extends_at(41));
}

TEST(IntervalSet, RandomAdditionsMatchAnArrayOfFlags) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Random random(seed);
    constexpr std::uint64_t kEnd = 200;
    std::vector<char> there(kEnd + 1, 0);
    IntervalSet set;
    for (int step = 0; step < 120; ++step) {
      const std::uint64_t begin = random.below(kEnd);
      const std::uint64_t end = std::min(kEnd, begin + 1 + random.below(12));
      bool overlaps = false;
      for (std::uint64_t i = begin; i < end; ++i) overlaps |= there[i] != 0;
      CHECK_TRUE(overlaps == set.overlaps(begin, end));
      if (overlaps) continue;
      set.add(begin, end);
      for (std::uint64_t i = begin; i < end; ++i) there[i] = 1;
      for (std::uint64_t offset = 0; offset < kEnd; ++offset) {
        const auto run = set.containing(offset);
        CHECK_TRUE(run.has_value() == (there[offset] != 0));
        if (run) {
          CHECK_TRUE(run->begin <= offset && there[run->end - 1] && !there[run->end]);
          CHECK_TRUE(run->begin == 0 || !there[run->begin - 1]);
        }
        std::uint64_t next = offset + 1;
        while (next < kEnd && !(there[next] && !there[next - 1])) ++next;
        CHECK_TRUE(set.next_begin(offset).value_or(kEnd) == next);
      }
    }
  }
}
