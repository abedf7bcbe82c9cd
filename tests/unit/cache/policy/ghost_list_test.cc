// GhostList: exact, ordered, bounded.
#include "cache/policy/ghost_list.h"

#include "CppUTest/TestHarness.h"
#include "cache/sim/mix.h"

using namespace nearfield::cache;
using nearfield::cache::sim::mix64;

TEST_GROUP(GhostList){};

TEST(GhostList, says_which_list_a_name_was_in) {
  GhostList ghosts(10);
  ghosts.push_newest(0, 1, 100);
  ghosts.push_newest(1, 2, 10);
  LONGS_EQUAL(0, ghosts.take(1).value());
  LONGS_EQUAL(1, ghosts.take(2).value());
  CHECK_FALSE(ghosts.take(3).has_value());
  UNSIGNED_LONGLONGS_EQUAL(0, ghosts.bytes_of(0) + ghosts.bytes_of(1));
}

TEST(GhostList, drops_the_oldest) {
  GhostList ghosts(10);
  for (std::uint64_t name = 1; name <= 3; ++name) ghosts.push_newest(0, name, name);
  ghosts.drop_oldest(0);
  UNSIGNED_LONGLONGS_EQUAL(5, ghosts.bytes_of(0));
  CHECK_FALSE(ghosts.take(1).has_value());
}

TEST(GhostList, moves_a_name_that_comes_again) {
  GhostList ghosts(10);
  ghosts.push_newest(0, 1, 100);
  ghosts.push_newest(1, 1, 7);
  UNSIGNED_LONGLONGS_EQUAL(0, ghosts.size_of(0));
  UNSIGNED_LONGLONGS_EQUAL(7, ghosts.bytes_of(1));
}

TEST(GhostList, makes_room_from_the_longer_list_when_full) {
  GhostList ghosts(4);
  for (std::uint64_t name = 1; name <= 3; ++name) ghosts.push_newest(0, name, 1);
  ghosts.push_newest(1, 10, 1);
  ghosts.push_newest(1, 11, 1);
  UNSIGNED_LONGLONGS_EQUAL(2, ghosts.size_of(0));
  UNSIGNED_LONGLONGS_EQUAL(2, ghosts.size_of(1));
  CHECK_FALSE(ghosts.take(1).has_value());
}

TEST(GhostList, stays_whole_through_many_changes) {
  GhostList ghosts(100);
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    ghosts.push_newest(mix64(i) & 1, mix64(i % 300), i % 7);
    if (i % 3 == 0) ghosts.take(mix64((i * 7) % 300));
    CHECK_TRUE(ghosts.size_of(0) + ghosts.size_of(1) <= 100);
  }
  while (ghosts.size_of(0) > 0) ghosts.drop_oldest(0);
  while (ghosts.size_of(1) > 0) ghosts.drop_oldest(1);
  UNSIGNED_LONGLONGS_EQUAL(0, ghosts.bytes_of(0) + ghosts.bytes_of(1));
}
