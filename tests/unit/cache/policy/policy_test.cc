// What every policy promises, whatever it decides: the bytes add up, pinned entries stay,
// everything else can go, and the same calls give the same victims. Each test runs over all
// policies.
#include "cache/policy/policy.h"

#include "cache/sim/random.h"
#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;

TEST_GROUP(Policy){};

namespace {

// Random requests, removals, pins, resizes and capacity changes from a seed; after each step the
// books must balance.
std::vector<std::uint64_t> live_randomly(std::string_view name, std::uint64_t seed, int steps) {
  SmallCache cache(name, 1000);
  sim::Random random(seed);
  for (int step = 0; step < steps; ++step) {
    const std::uint64_t id = random.below(20) * random.below(20);
    const bool held = cache.holds(id);
    switch (random.below(20)) {
      case 0:
        if (held) cache.remove(id);
        break;
      case 1:
        if (held) cache.policy->set_pinned(*cache.entries.at(id), random.chance(0.3));
        break;
      case 2:
        if (held) cache.policy->resize(*cache.entries.at(id), 1 + random.below(40));
        break;
      case 3:
        cache.policy->set_capacity(800 + random.below(400));
        cache.make_room(0);
        break;
      default:
        cache.ask(id, 1 + id % 40);
    }
    std::uint64_t bytes = 0;
    std::uint64_t pinned = 0;
    for (const auto& [key, entry] : cache.entries) {
      bytes += entry->size_bytes;
      if (entry->pinned) pinned += entry->size_bytes;
      CHECK_TRUE(entry->queue != PolicyEntry::kNoQueue);
    }
    UNSIGNED_LONGLONGS_EQUAL(bytes, cache.policy->used_bytes());
    UNSIGNED_LONGLONGS_EQUAL(pinned, cache.policy->pinned_bytes());
    UNSIGNED_LONGLONGS_EQUAL(cache.entries.size(), cache.policy->entries());
  }
  while (cache.evict_one()) {
  }
  for (const auto& [key, entry] : cache.entries) CHECK_TRUE(entry->pinned);
  return cache.evicted;
}

}  // namespace

TEST(Policy, balances_its_books_through_a_random_life) {
  for (std::string_view name : policy_names()) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) live_randomly(name, seed, 3000);
  }
}

TEST(Policy, gives_the_same_victims_for_the_same_calls) {
  for (std::string_view name : policy_names()) {
    CHECK_TRUE(live_randomly(name, 42, 2000) == live_randomly(name, 42, 2000));
  }
}

TEST(Policy, lets_everything_go_but_what_is_pinned) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 100);
    cache.insert(1, 10, true);
    for (std::uint64_t id = 2; id < 500; ++id) cache.ask(id);
    CHECK_TRUE(cache.holds(1));
    int gone = 0;
    while (cache.evict_one()) ++gone;
    LONGS_EQUAL(90, gone);
    CHECK_TRUE(cache.holds(1));
    cache.policy->set_pinned(*cache.entries.at(1), false);
    UNSIGNED_LONGLONGS_EQUAL(1, cache.evict_one().value());
    CHECK_FALSE(cache.evict_one().has_value());
    UNSIGNED_LONGLONGS_EQUAL(0, cache.policy->used_bytes());
  }
}

TEST(Policy, keeps_a_pinned_entry_through_hits_and_removes_it_when_told) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 100);
    cache.ask(1);
    cache.policy->set_pinned(*cache.entries.at(1), true);
    CHECK_TRUE(cache.ask(1));
    UNSIGNED_LONGLONGS_EQUAL(1, cache.policy->pinned_bytes());
    cache.remove(1);
    UNSIGNED_LONGLONGS_EQUAL(0, cache.policy->pinned_bytes());
    UNSIGNED_LONGLONGS_EQUAL(0, cache.policy->entries());
  }
}

TEST(Policy, gives_nothing_when_pins_fill_the_cache) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 10);
    cache.insert(1, 10, true);
    CHECK_FALSE(cache.ask(2));
    CHECK_FALSE(cache.holds(2));
  }
}

TEST(Policy, shrinks_to_a_smaller_capacity) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 1000);
    for (std::uint64_t id = 0; id < 1000; ++id) cache.ask(id);
    cache.policy->set_capacity(10);
    CHECK_TRUE(cache.make_room(0));
    UNSIGNED_LONGLONGS_EQUAL(10, cache.policy->used_bytes());
  }
}

TEST(Policy, keeps_what_is_asked_for_all_the_time) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 100);
    int missed = 0;
    for (std::uint64_t step = 0; step < 10000; ++step) {
      cache.ask(1'000'000 + step);                        // never again
      if (!cache.ask(step % 5) && step > 1000) ++missed;  // five names in turn
    }
    LONGS_EQUAL(0, missed);
  }
}

TEST(Policy, holds_more_entries_than_it_was_made_for) {
  for (std::string_view name : policy_names()) {
    SmallCache cache(name, 1000, 1);
    for (std::uint64_t id = 0; id < 5000; ++id) cache.ask(id % 1500);
    UNSIGNED_LONGLONGS_EQUAL(1000, cache.policy->used_bytes());
  }
}

TEST(Policy, admits_an_eighth_of_the_cache) {
  UNSIGNED_LONGLONGS_EQUAL(32u << 20, node_largest_entry_bytes(256u << 20));
}

TEST(Policy, admits_a_segment_into_a_small_cache_when_two_fit) {
  UNSIGNED_LONGLONGS_EQUAL(4u << 20, node_largest_entry_bytes(16u << 20));
  UNSIGNED_LONGLONGS_EQUAL(1u << 20, node_largest_entry_bytes(2u << 20));
}

TEST(Policy, admits_by_the_current_capacity) {
  for (std::string_view name : policy_names()) {
    auto policy = make_policy(name, {.capacity_bytes = std::uint64_t{1} << 30, .max_entries = 10});
    CHECK_TRUE((*policy)->admits(128u << 20));
    CHECK_FALSE((*policy)->admits((128u << 20) + 1));
    (*policy)->set_capacity(256u << 20);
    CHECK_TRUE((*policy)->admits(3'000'000));
    CHECK_FALSE((*policy)->admits(128u << 20));
  }
}
