// Belady: the textbook cases, and never worse than a policy that cannot see the future.
#include "cache/sim/belady.h"

#include "cache/sim/random.h"
#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache;
using namespace nearfield::cache::sim;

TEST_GROUP(Belady){};

TEST(Belady, gives_up_what_is_wanted_last) {
  // With two places: 3 is wanted later than 1 and 2, so it does not get one until they are done.
  const auto counts = run_belady(requests_of({1, 2, 3, 1, 2, 1, 2, 3}), 2, 2);
  UNSIGNED_LONGLONGS_EQUAL(4, counts.misses);
}

TEST(Belady, keeps_nothing_that_is_not_wanted_again) {
  const auto counts = run_belady(requests_of({1, 2, 3, 4, 5, 1}), 1, 1);
  UNSIGNED_LONGLONGS_EQUAL(5, counts.misses);
  UNSIGNED_LONGLONGS_EQUAL(1, counts.most_entries);
  UNSIGNED_LONGLONGS_EQUAL(0, counts.evictions);
}

TEST(Belady, streams_through_what_is_too_large) {
  const auto counts = run_belady(requests_of({1, 1}, 10), 100, 9);
  UNSIGNED_LONGLONGS_EQUAL(2, counts.misses);
  UNSIGNED_LONGLONGS_EQUAL(2, counts.too_large);
}

TEST(Belady, misses_no_more_than_any_policy) {
  std::vector<Request> requests;
  Random random(4);
  for (std::uint32_t i = 0; i < 20'000; ++i)
    requests.push_back({random.below(30) * random.below(30), 1, i});
  const auto best = run_belady(requests, 50, 50);
  for (std::string_view name : policy_names()) {
    Replay replay(
        *make_policy(name, {.capacity_bytes = 50, .max_entries = 100, .largest_entry_share = 1.0}));
    replay.run(requests);
    CHECK_TRUE(best.misses < replay.counts().misses);
  }
}
