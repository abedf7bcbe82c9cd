// make_policy(): every name makes the policy of that name; what cannot be made is refused with what
// to do instead.
#include "tests/unit/cache/policy/policy_test_support.h"

using namespace nearfield;
using namespace nearfield::cache;

TEST_GROUP(Registry){};

TEST(Registry, makes_every_policy_by_its_name) {
  for (std::string_view name : policy_names()) {
    auto policy = make_policy(name, {.capacity_bytes = 1000, .max_entries = 10});
    CHECK_TRUE(policy.has_value());
    CHECK_TRUE((*policy)->name() == name);
    UNSIGNED_LONGLONGS_EQUAL(1000, (*policy)->capacity_bytes());
  }
}

TEST(Registry, names_the_default_first) { CHECK_TRUE(policy_names().front() == kDefaultPolicy); }

TEST(Registry, refuses_an_unknown_name_and_lists_the_known) {
  auto policy = make_policy("fifo", {.capacity_bytes = 1000, .max_entries = 10});
  CHECK_FALSE(policy.has_value());
  STRCMP_CONTAINS("no eviction policy is called 'fifo'", policy.error().message.c_str());
  STRCMP_CONTAINS("sieve", policy.error().message.c_str());
}

TEST(Registry, refuses_limits_out_of_range) {
  CHECK_FALSE(make_policy("lru", {.capacity_bytes = 1000, .max_entries = 0}).has_value());
  CHECK_FALSE(
      make_policy("lru", {.capacity_bytes = 1, .max_entries = kMaxPolicyEntries + 1}).has_value());
  CHECK_FALSE(
      make_policy("lru", {.capacity_bytes = 1, .max_entries = 1, .largest_entry_share = 0.0})
          .has_value());
  CHECK_FALSE(
      make_policy("lru", {.capacity_bytes = 1, .max_entries = 1, .largest_entry_share = 1.5})
          .has_value());
}

TEST(Registry, bounds_the_tables_by_the_entries) {
  for (std::string_view name : policy_names()) {
    auto policy = make_policy(name, {.capacity_bytes = 1u << 30, .max_entries = 100'000});
    CHECK_TRUE((*policy)->table_bytes() <= 100'000 * 48);
  }
}
