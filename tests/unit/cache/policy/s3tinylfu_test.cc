// S3-TinyLFU: S3-FIFO's queues, and the contest at the exit of the small one.
#include "cache/policy/s3tinylfu.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(S3TinyLfu) {
  SmallCache cache{"s3tinylfu", 100};
  void fill() {
    for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
    for (std::uint64_t id = 1000; id < 1011; ++id) cache.ask(id);
    cache.evicted.clear();
  }
};

TEST(S3TinyLfu, sifts_newcomers_out_in_order) {
  fill();
  for (std::uint64_t id = 2000; id < 2005; ++id) cache.ask(id);
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{1000, 1001, 1002, 1003, 1004}));
}

TEST(S3TinyLfu, promotes_at_two_hits) {
  fill();
  cache.ask(1001);
  cache.ask(1001);
  for (std::uint64_t id = 2000; id < 2030; ++id) cache.ask(id);
  CHECK_TRUE(cache.holds(1001));
}

TEST(S3TinyLfu, lets_what_was_used_more_often_take_the_place_of_mains_next) {
  fill();
  cache.ask(1000);  // used twice; everything in main once
  cache.ask(2000);  // 1000 leaves small with a single hit: main's oldest goes instead
  CHECK_TRUE(cache.holds(1000));
  UNSIGNED_LONGLONGS_EQUAL(11, cache.evicted.at(0));
}

TEST(S3TinyLfu, keeps_main_against_what_was_used_less_often) {
  fill();
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t id = 11; id < 100; ++id) cache.ask(id);
  }
  cache.ask(1000);
  for (std::uint64_t id = 2000; id < 2030; ++id) cache.ask(id);
  CHECK_FALSE(cache.holds(1000));
}

TEST(S3TinyLfu, lets_a_ghost_into_main_without_a_contest) {
  fill();
  for (int round = 0; round < 5; ++round) {
    for (std::uint64_t id = 11; id < 100; ++id) cache.ask(id);
  }
  cache.ask(2000);
  CHECK_FALSE(cache.holds(1000));
  cache.ask(1000);
  CHECK_TRUE(cache.entries.at(1000)->queue == cache.entries.at(50)->queue);
  CHECK_TRUE(cache.entries.at(1000)->queue != cache.entries.at(2000)->queue);
}

TEST(S3TinyLfu, remembers_over_a_gap_longer_than_the_ghosts) {
  // A name that comes every 150 newcomers: gone from the small queue and the ghosts each time.
  fill();
  for (int visit = 0; visit < 3; ++visit) {
    cache.ask(7777);
    for (std::uint64_t id = 0; id < 150; ++id) {
      cache.ask(10'000 + static_cast<std::uint64_t>(visit) * 1000 + id);
    }
  }
  CHECK_TRUE(cache.holds(7777));
}
