// S3-FIFO: three queues, and the ways between them.
#include "cache/policy/s3fifo.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(S3Fifo) {
  // A full cache of 100: first ten in small and the rest in main, then newcomers until small holds
  // nothing else. Small gives only while it is above its share, so it settles one above, and main
  // has lost its oldest, 10.
  SmallCache cache{"s3fifo", 100};
  void fill() {
    for (std::uint64_t id = 0; id < 100; ++id) cache.ask(id);
    for (std::uint64_t id = 1000; id < 1011; ++id) cache.ask(id);
    cache.evicted.clear();
  }
};

TEST(S3Fifo, fills_main_while_the_cache_is_not_full) {
  fill();
  CHECK_FALSE(cache.holds(0));  // was in small, asked for once
  CHECK_TRUE(cache.holds(50));  // in main from the start
}

TEST(S3Fifo, sifts_newcomers_out_in_order) {
  fill();
  for (std::uint64_t id = 2000; id < 2005; ++id) cache.ask(id);
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{1000, 1001, 1002, 1003, 1004}));
}

TEST(S3Fifo, promotes_at_two_hits_but_not_at_one) {
  fill();
  cache.ask(1000);
  cache.ask(1001);
  cache.ask(1001);
  for (std::uint64_t id = 2000; id < 2030; ++id) cache.ask(id);
  CHECK_FALSE(cache.holds(1000));
  CHECK_TRUE(cache.holds(1001));
}

TEST(S3Fifo, lets_a_ghost_into_main) {
  fill();
  cache.ask(2000);  // sends 1000 to the ghosts
  CHECK_FALSE(cache.holds(1000));
  cache.ask(1000);
  for (std::uint64_t id = 3000; id < 3050; ++id) cache.ask(id);
  CHECK_TRUE(cache.holds(1000));
}

TEST(S3Fifo, forgets_ghosts_older_than_main_is_long) {
  fill();
  cache.ask(2000);
  for (std::uint64_t id = 3000; id < 3200; ++id) cache.ask(id);
  cache.ask(1000);
  for (std::uint64_t id = 4000; id < 4050; ++id) cache.ask(id);
  CHECK_FALSE(cache.holds(1000));
}

TEST(S3Fifo, gives_main_second_chances) {
  fill();
  cache.ask(11);  // the oldest of main
  // Ghosts come back, main grows, small is below its share: main must give.
  for (std::uint64_t id = 2000; id < 2005; ++id) cache.ask(id);
  for (std::uint64_t id = 1000; id < 1005; ++id) cache.ask(id);
  CHECK_TRUE(cache.holds(11));
  CHECK_FALSE(cache.holds(12));
}
