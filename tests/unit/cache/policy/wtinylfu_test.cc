// W-TinyLFU: a window, a contest at its end, and a segmented main part.
#include "cache/policy/wtinylfu.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(WTinyLfu){};

TEST(WTinyLfu, turns_away_a_newcomer_used_no_more_than_what_it_would_replace) {
  SmallCache cache("wtinylfu", 100);
  for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
  for (std::uint64_t id = 1000; id < 1020; ++id) cache.ask(id);
  CHECK_FALSE(cache.holds(0));  // the window was not above its share yet
  CHECK_TRUE(cache.holds(1));
  CHECK_FALSE(cache.holds(1000));
}

TEST(WTinyLfu, lets_in_a_newcomer_used_more_often) {
  SmallCache cache("wtinylfu", 100);
  for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
  for (int use = 0; use < 3; ++use) {
    cache.ask(5000);
    for (std::uint64_t id = 0; id < 3; ++id)
      cache.ask(1000 + static_cast<std::uint64_t>(use) * 10 + id);
  }
  CHECK_TRUE(cache.holds(5000));
}

TEST(WTinyLfu, protects_what_was_hit_in_probation) {
  SmallCache cache("wtinylfu", 100);
  for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
  cache.ask(0);  // to protected
  while (cache.policy->entries() > 50) cache.evict_one();
  CHECK_TRUE(cache.holds(0));
}

TEST(WTinyLfu, empties_probation_and_protected_when_the_window_is_empty) {
  SmallCache cache("wtinylfu", 100);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
  }
  int gone = 0;
  while (cache.evict_one()) ++gone;
  LONGS_EQUAL(100, gone);
}
