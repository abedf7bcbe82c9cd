// ARC: two lists, two ghosts, and a target that follows the ghost hits.
#include "cache/policy/arc.h"

#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield::cache;

TEST_GROUP(Arc){};

TEST(Arc, gives_up_what_was_asked_for_once_first) {
  SmallCache cache("arc", 4);
  cache.ask(1);
  cache.ask(1);
  for (std::uint64_t id : {2, 3, 4, 5, 6}) cache.ask(id);
  CHECK_TRUE(cache.holds(1));
  CHECK_TRUE((cache.evicted == std::vector<std::uint64_t>{2, 3}));
}

TEST(Arc, gives_the_recent_list_room_after_hits_in_its_ghosts) {
  SmallCache cache("arc", 10);
  for (int round = 0; round < 2; ++round) {
    for (std::uint64_t id = 0; id < 5; ++id) cache.ask(id);  // frequent
  }
  // A loop over seven more names: at first the recent list is too small for it; each return moves
  // the target.
  int hits = 0;
  for (std::uint64_t step = 0; step < 700; ++step) hits += cache.ask(100 + step % 7);
  CHECK_TRUE(hits > 600);
}

TEST(Arc, resists_a_scan) {
  SmallCache cache("arc", 100);
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t id = 0; id < 80; ++id) cache.ask(id);
  }
  for (std::uint64_t id = 1000; id < 3000; ++id) cache.ask(id);
  int kept = 0;
  for (std::uint64_t id = 0; id < 80; ++id) kept += cache.holds(id);
  LONGS_EQUAL(80, kept);
}
