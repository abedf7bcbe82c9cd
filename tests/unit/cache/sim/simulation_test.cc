// Simulation: a trace is measured right, rows come in order, and the default policy is worth being
// the default.
#include "cache/sim/simulation.h"

#include "cache/sim/listening_week.h"
#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache;
using namespace nearfield::cache::sim;

namespace {

void no_progress(const char*, std::uint64_t, std::uint64_t) {}

std::vector<SizeOption> sizes_of(std::initializer_list<const char*> texts) {
  std::vector<SizeOption> sizes;
  for (const char* text : texts) sizes.push_back(parse_size(text).value());
  return sizes;
}

}  // namespace

TEST_GROUP(Simulation){};

TEST(Simulation, measures_a_trace) {
  MemoryTrace trace({{1, 10, 5}, {0, 100, 6}, {1, 10, 7}, {1, 30, 9}});
  const auto facts = measure_trace(trace, no_progress);
  UNSIGNED_LONGLONGS_EQUAL(4, facts->requests);
  UNSIGNED_LONGLONGS_EQUAL(150, facts->request_bytes);
  UNSIGNED_LONGLONGS_EQUAL(2, facts->objects);
  UNSIGNED_LONGLONGS_EQUAL(110, facts->footprint_bytes);
  UNSIGNED_LONGS_EQUAL(5, facts->first_second);
  UNSIGNED_LONGS_EQUAL(9, facts->last_second);
}

TEST(Simulation, counts_every_identifier_once) {
  std::vector<Request> requests;
  for (std::uint64_t i = 0; i < 10'000; ++i) requests.push_back({i * i % 7919, 1, 0});
  MemoryTrace trace(requests);
  UNSIGNED_LONGLONGS_EQUAL(
      3960, measure_trace(trace, no_progress)->objects);  // squares mod a prime: (p+1)/2
}

TEST(Simulation, gives_a_row_for_every_policy_and_size_in_order) {
  MemoryTrace trace(requests_of({1, 2, 3, 1, 2, 3, 4, 1}));
  const auto result = simulate(
      trace, {.policies = {"lru", "sieve"}, .sizes = sizes_of({"2", "50%"}), .belady = true},
      no_progress);
  CHECK_TRUE(result.has_value());
  std::string order;
  for (const SimulationRow& row : result->rows) order += row.policy + row.size.text + " ";
  STRCMP_EQUAL("lru2 sieve2 belady2 lru50% sieve50% belady50% ", order.c_str());
  for (const SimulationRow& row : result->rows) UNSIGNED_LONGLONGS_EQUAL(8, row.counts.requests);
}

TEST(Simulation, refuses_an_unknown_policy_and_an_empty_trace) {
  MemoryTrace trace(requests_of({1}));
  CHECK_FALSE(
      simulate(trace, {.policies = {"what"}, .sizes = sizes_of({"1"})}, no_progress).has_value());
  MemoryTrace empty({});
  CHECK_FALSE(
      simulate(empty, {.policies = {"lru"}, .sizes = sizes_of({"1"})}, no_progress).has_value());
}

// The reason for the default, small enough to run always: on a generated week it misses clearly
// fewer bytes than LRU, and at most 1 % more than the best of all policies.
TEST(Simulation, default_policy_is_within_one_percent_of_the_best_and_below_lru) {
  auto week = ListeningWeek::create({.seed = 2, .listeners = 120});
  SimulationOptions options{.policies = {policy_names().begin(), policy_names().end()},
                            .sizes = sizes_of({"1%", "3%", "10%", "30%"})};
  const auto result = simulate(**week, options, no_progress);
  CHECK_TRUE(result.has_value());
  std::uint64_t chosen_bytes = 0;
  std::uint64_t lru_bytes = 0;
  const std::size_t policies = options.policies.size();
  for (std::size_t size = 0; size < 4; ++size) {
    const auto rows = std::span(result->rows).subspan(size * policies, policies);
    const SimulationRow* chosen = nullptr;
    const SimulationRow* lru = nullptr;
    const SimulationRow* best = &rows[0];
    for (const SimulationRow& row : rows) {
      if (row.policy == kDefaultPolicy) chosen = &row;
      if (row.policy == "lru") lru = &row;
      if (row.counts.miss_bytes < best->counts.miss_bytes) best = &row;
    }
    CHECK_TRUE(chosen->byte_miss_ratio() < 1.01 * best->byte_miss_ratio());
    CHECK_TRUE(chosen->byte_miss_ratio() < lru->byte_miss_ratio());
    chosen_bytes += chosen->counts.miss_bytes;
    lru_bytes += lru->counts.miss_bytes;
  }
  CHECK_TRUE(static_cast<double>(chosen_bytes) < 0.992 * static_cast<double>(lru_bytes));
}
