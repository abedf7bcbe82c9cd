// LRU: what was used longest ago goes first.
#include "cache/policy/lru.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(Lru){};

TEST(Lru, evicts_what_was_used_longest_ago) {
  SmallCache cache("lru", 3);
  cache.ask(1);
  cache.ask(2);
  cache.ask(3);
  cache.ask(1);
  cache.ask(4);
  cache.ask(5);
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{2, 3}));
}

TEST(Lru, evicts_several_for_a_large_one) {
  SmallCache cache("lru", 10);
  for (std::uint64_t id = 0; id < 10; ++id) cache.ask(id);
  cache.ask(100, 4);
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{0, 1, 2, 3}));
}

TEST(Lru, puts_an_unpinned_entry_last_in_line) {
  SmallCache cache("lru", 10);
  cache.ask(1);
  cache.ask(2);
  cache.policy->set_pinned(*cache.entries.at(1), true);
  cache.policy->set_pinned(*cache.entries.at(1), false);
  UNSIGNED_LONGLONGS_EQUAL(2, cache.evict_one().value());
}
