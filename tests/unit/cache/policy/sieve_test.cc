// SIEVE: the hand passes over what was used and sifts out what was not; nothing moves.
#include "cache/policy/sieve.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(Sieve){};

TEST(Sieve, spares_what_was_used_once_per_pass) {
  SmallCache cache("sieve", 3);
  cache.ask(1);
  cache.ask(2);
  cache.ask(3);
  cache.ask(1);
  cache.ask(4);  // the hand clears 1 and takes 2
  cache.ask(5);  // and goes on: takes 3
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{2, 3}));
}

TEST(Sieve, starts_again_at_the_oldest_after_the_newest) {
  SmallCache cache("sieve", 3);
  for (std::uint64_t id : {1, 2, 3, 1, 2, 3}) cache.ask(id);
  cache.ask(4);  // clears all three, comes round, takes 1
  UNSIGNED_LONGLONGS_EQUAL(1, cache.evicted.at(0));
}

TEST(Sieve, survives_the_removal_of_what_the_hand_points_at) {
  SmallCache cache("sieve", 4);
  for (std::uint64_t id : {1, 2, 3, 4}) cache.ask(id);
  UNSIGNED_LONGLONGS_EQUAL(1, cache.evict_one().value());  // the hand is at 2 now
  cache.remove(2);
  UNSIGNED_LONGLONGS_EQUAL(3, cache.evict_one().value());
  cache.remove(4);
  CHECK_FALSE(cache.evict_one().has_value());
  cache.ask(5);
  UNSIGNED_LONGLONGS_EQUAL(5, cache.evict_one().value());
}

TEST(Sieve, takes_one_even_if_a_long_queue_was_used_throughout) {
  SmallCache cache("sieve", 5000);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t id = 0; id < 5000; ++id) cache.ask(id);
  }
  CHECK_TRUE(cache.evict_one().has_value());
}
