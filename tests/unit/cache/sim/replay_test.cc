// Replay: hits, misses and evictions are counted right, by requests and by bytes.
#include "cache/sim/replay.h"

#include "cache/sim/random.h"
#include "tests/unit/cache/sim/sim_test_support.h"

using namespace nearfield::cache;
using namespace nearfield::cache::sim;

namespace {

Replay lru_of(std::uint64_t capacity_bytes, double largest_share = 1) {
  return Replay(*make_policy("lru", {.capacity_bytes = capacity_bytes,
                                     .max_entries = 100,
                                     .largest_entry_share = largest_share}));
}

}  // namespace

TEST_GROUP(Replay){};

TEST(Replay, counts_an_lru_by_hand) {
  Replay replay = lru_of(20);
  replay.run(requests_of({1, 2, 1, 3, 2, 1, 3}, 10));
  // misses: 1, 2, 3 (evicts 2), 2 (evicts 1), 1 (evicts 3), 3 (evicts 2); the one hit is the
  // second 1.
  UNSIGNED_LONGLONGS_EQUAL(7, replay.counts().requests);
  UNSIGNED_LONGLONGS_EQUAL(6, replay.counts().misses);
  UNSIGNED_LONGLONGS_EQUAL(60, replay.counts().miss_bytes);
  UNSIGNED_LONGLONGS_EQUAL(70, replay.counts().request_bytes);
  UNSIGNED_LONGLONGS_EQUAL(4, replay.counts().evictions);
  UNSIGNED_LONGLONGS_EQUAL(2, replay.counts().most_entries);
}

TEST(Replay, streams_through_what_is_too_large) {
  Replay replay = lru_of(100, 0.5);
  replay.run(requests_of({1, 1}, 51));
  UNSIGNED_LONGLONGS_EQUAL(2, replay.counts().misses);
  UNSIGNED_LONGLONGS_EQUAL(2, replay.counts().too_large);
  UNSIGNED_LONGLONGS_EQUAL(0, replay.policy().entries());
}

TEST(Replay, takes_another_size_for_another_object) {
  Replay replay = lru_of(100);
  replay.run(std::vector<Request>{{1, 10, 0}, {1, 20, 1}, {1, 20, 2}, {1, 10, 3}});
  UNSIGNED_LONGLONGS_EQUAL(3, replay.counts().misses);
  UNSIGNED_LONGLONGS_EQUAL(1, replay.policy().entries());
  UNSIGNED_LONGLONGS_EQUAL(10, replay.policy().used_bytes());
}

TEST(Replay, counts_the_same_in_pieces_as_at_once) {
  std::vector<Request> requests;
  Random random(3);
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    const std::uint64_t id = random.below(60) * random.below(60);
    requests.push_back({id, static_cast<std::uint32_t>(1 + id % 9), i});
  }
  for (std::string_view name : policy_names()) {
    const PolicyLimits limits{.capacity_bytes = 2000, .max_entries = 1000};
    Replay whole(*make_policy(name, limits));
    Replay pieces(*make_policy(name, limits));
    whole.run(requests);
    for (std::size_t at = 0; at < requests.size(); at += 77) {
      pieces.run(std::span(requests).subspan(at, std::min<std::size_t>(77, requests.size() - at)));
    }
    UNSIGNED_LONGLONGS_EQUAL(whole.counts().miss_bytes, pieces.counts().miss_bytes);
    UNSIGNED_LONGLONGS_EQUAL(whole.counts().evictions, pieces.counts().evictions);
    CHECK_TRUE(whole.counts().misses < requests.size());
  }
}

// The table's own look-ups against a plain model: a name evicted a moment ago must miss.
TEST(Replay, agrees_with_a_plain_model_of_lru) {
  std::vector<Request> requests;
  Random random(9);
  for (std::uint32_t i = 0; i < 20'000; ++i) requests.push_back({random.below(40), 1, i});
  std::vector<std::uint64_t> model;  // newest last
  std::uint64_t misses = 0;
  for (const Request& request : requests) {
    const auto found = std::find(model.begin(), model.end(), request.id);
    if (found != model.end()) {
      model.erase(found);
    } else {
      ++misses;
      if (model.size() == 30) model.erase(model.begin());
    }
    model.push_back(request.id);
  }
  Replay replay = lru_of(30);
  replay.run(requests);
  UNSIGNED_LONGLONGS_EQUAL(misses, replay.counts().misses);
}
