// GhostTable: remembers for a window, forgets the oldest of a full bucket first.
#include "cache/policy/ghost_table.h"

#include "CppUTest/TestHarness.h"
#include "cache/sim/mix.h"

using namespace nearfield::cache;
using nearfield::cache::sim::mix64;

TEST_GROUP(GhostTable){};

TEST(GhostTable, remembers_within_the_window_only) {
  GhostTable table(100);
  table.put(mix64(1), 10);
  table.put(mix64(2), 10);
  CHECK_TRUE(table.take(mix64(1), 19, 10));
  CHECK_FALSE(table.take(mix64(2), 20, 10));
}

TEST(GhostTable, forgets_what_was_taken) {
  GhostTable table(100);
  table.put(mix64(1), 0);
  CHECK_TRUE(table.take(mix64(1), 1, 10));
  CHECK_FALSE(table.take(mix64(1), 1, 10));
}

TEST(GhostTable, does_not_know_what_never_left) {
  GhostTable table(1000);
  for (std::uint32_t i = 0; i < 1000; ++i) table.put(mix64(i), i);
  for (std::uint32_t i = 1000; i < 3000; ++i) CHECK_FALSE(table.take(mix64(i), 1000, 1000));
}

TEST(GhostTable, holds_nearly_all_it_was_made_for) {
  GhostTable table(10'000);
  for (std::uint32_t i = 0; i < 50'000; ++i) table.put(mix64(i), i);
  int remembered = 0;
  for (std::uint32_t i = 40'000; i < 50'000; ++i)
    remembered += table.take(mix64(i), 50'000, 10'000);
  CHECK_TRUE(remembered > 9'600);
}

TEST(GhostTable, survives_the_wrap_of_its_clock) {
  GhostTable table(100);
  table.put(mix64(1), 0xffffffff);
  CHECK_TRUE(table.take(mix64(1), 3, 10));
}

TEST(GhostTable, remembers_a_name_whose_fingerprint_is_zero) {
  GhostTable table(100);
  table.put(0x5, 1);  // the upper half, the fingerprint, is 0
  CHECK_TRUE(table.take(0x5, 2, 10));
}
