// Half-open connections: bounded in number and in time, whatever strangers do.
#include "dataplane/net/tcp/syn_cache.h"

#include <map>
#include <optional>
#include <random>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

namespace {

const auto kIgnore = [](SynCache::Entry&) {};

}  // namespace

TEST_GROUP(SynCache) {
  const SipHashKey key{1, 2};
  const MonotonicTime start{100s};
};

// What an entry costs beside 16 to 32 bytes of index; the cache holds one and 32 bytes of links.
static_assert(sizeof(SynCache::Entry) <= 96);

TEST(SynCache, FindsWhatWasInsertedUntilItIsErased) {
  SynCache cache(2, key);
  CHECK_TRUE(cache.find(flow_v4(1)) == nullptr);
  SynCache::Entry* entry = cache.insert(flow_v4(1), start);
  entry->initial = {7};
  entry->listener = 3;
  POINTERS_EQUAL(entry, cache.find(flow_v4(1)));
  CHECK_TRUE(entry->flow == flow_v4(1));
  CHECK_TRUE(entry->sent_at == start);
  CHECK_TRUE(cache.find(flow_v6(1)) == nullptr);
  cache.erase(*entry);
  CHECK_TRUE(cache.find(flow_v4(1)) == nullptr);
  CHECK_FALSE(cache.next_deadline().has_value());
  // What comes next into the slot begins afresh.
  entry = cache.insert(flow_v4(2), start);
  LONGS_EQUAL(0, entry->initial.value);
  LONGS_EQUAL(0, entry->listener);
}

TEST(SynCache, TheSynAckIsSentAgainAfterOneTwoAndFourSecondsAndExpiresAfterEightMore) {
  SynCache cache(4, key);
  cache.insert(flow_v4(1), start);
  std::vector<Duration> sent;
  std::vector<Duration> expired;
  for (Duration passed{}; passed <= 20s; passed += 100ms) {
    const auto next = cache.next_deadline();
    const std::size_t done = cache.advance(
        start + passed, 10,
        [&](SynCache::Entry& entry) {
          LONGS_EQUAL(sent.size(), entry.retransmissions);
          sent.push_back(passed);
        },
        [&](SynCache::Entry& entry) {
          CHECK_TRUE(entry.flow == flow_v4(1));
          expired.push_back(passed);
        });
    CHECK_EQUAL(done != 0, next.has_value() && *next <= start + passed);
  }
  CHECK_TRUE((sent == std::vector<Duration>{1s, 3s, 7s}));
  CHECK_TRUE((expired == std::vector<Duration>{15s}));
  LONGS_EQUAL(0, cache.size());
}

TEST(SynCache, ASynRepeatedInTheLastWaitKeepsTheEntryForItsAnswer) {
  SynCache cache(1, key);
  cache.insert(flow_v4(1), start);
  for (Duration passed{}; passed < 15s; passed += 100ms) {
    cache.advance(start + passed, 10, kIgnore, kIgnore);
  }
  SynCache::Entry* entry = cache.find(flow_v4(1));
  CHECK_TRUE(entry != nullptr);
  cache.resent(*entry, start + 14900ms);
  cache.advance(start + 15s, 10, kIgnore, kIgnore);
  CHECK_TRUE(cache.find(flow_v4(1)) != nullptr);
  cache.advance(start + 14900ms + 8s, 10, kIgnore, kIgnore);
  LONGS_EQUAL(0, cache.size());
}

TEST(SynCache, RetransmissionsAreCountedWithoutWrapping) {
  SynCache cache(1, key);
  SynCache::Entry* entry = cache.insert(flow_v4(1), start);
  for (int round = 0; round < 1000; ++round) cache.resent(*entry, start);
  LONGS_EQUAL(255, entry->retransmissions);
}

TEST(SynCache, FlowsOfTheSameTagAreToldApart) {
  const auto [one, two] = colliding_flows(derive_key(key, "syn cache"));
  SynCache cache(2, key);
  SynCache::Entry* first = cache.insert(one, start);
  CHECK_TRUE(cache.find(two) == nullptr);
  SynCache::Entry* second = cache.insert(two, start);
  POINTERS_EQUAL(first, cache.find(one));
  POINTERS_EQUAL(second, cache.find(two));
  cache.erase(*first);
  CHECK_TRUE(cache.find(one) == nullptr);
  POINTERS_EQUAL(second, cache.find(two));
}

TEST(SynCache, AFloodFillsItAndNoMore) {
  constexpr std::size_t kCapacity = 1000;
  SynCache cache(kCapacity, key);
  for (std::uint32_t number = 0; number < 10 * kCapacity; ++number) {
    CHECK_EQUAL(number < kCapacity, cache.insert(flow_v6(number), start) != nullptr);
  }
  LONGS_EQUAL(kCapacity, cache.size());
  for (std::uint32_t number = 0; number < kCapacity; ++number) {
    CHECK_TRUE(cache.find(flow_v6(number)) != nullptr);
  }
  // Fifteen seconds later there is room again.
  for (const Duration passed : {1s, 3s, 7s, 15s}) {
    LONGS_EQUAL(kCapacity, cache.advance(start + passed, 2 * kCapacity, kIgnore, kIgnore));
  }
  LONGS_EQUAL(0, cache.size());
  CHECK_TRUE(cache.insert(flow_v4(1), start + 16s) != nullptr);
}

TEST(SynCache, WorkIsBoundedByTheBudget) {
  SynCache cache(100, key);
  for (std::uint32_t number = 0; number < 100; ++number) cache.insert(flow_v4(number), start);
  std::size_t sent = 0;
  const auto count = [&](SynCache::Entry&) { ++sent; };
  LONGS_EQUAL(30, cache.advance(start + 1s, 30, count, kIgnore));
  LONGS_EQUAL(30, sent);
  LONGS_EQUAL(70, cache.advance(start + 1s, 1000, count, kIgnore));
  LONGS_EQUAL(0, cache.advance(start + 1s, 1000, count, kIgnore));
  LONGS_EQUAL(0, cache.advance(start + 100s, 0, count, kIgnore));
}

TEST(SynCache, AfterALongPauseNothingIsSentTwiceAtOnce) {
  SynCache cache(10, key);
  cache.insert(flow_v4(1), start);
  std::size_t sent = 0;
  const auto count = [&](SynCache::Entry&) { ++sent; };
  LONGS_EQUAL(1, cache.advance(start + 100s, 1000, count, kIgnore));
  LONGS_EQUAL(1, sent);
  CHECK_TRUE(*cache.next_deadline() == start + 102s);
}

TEST(SynCache, BehavesLikeAMapOfDeadlines) {
  struct Model {
    MonotonicTime deadline;
    std::size_t level = 0;
  };
  constexpr std::size_t kCapacity = 200;
  for (const std::uint64_t seed : {1u, 2u}) {
    SynCache cache(kCapacity, SipHashKey{seed, 9});
    std::map<std::uint32_t, Model> model;
    std::mt19937_64 random(seed);
    MonotonicTime now = start;
    const auto resend = [&](std::uint32_t number) {
      Model& entry = model.at(number);
      if (entry.level + 1 < SynCache::kWaits.size()) ++entry.level;
      entry.deadline = now + SynCache::kWaits[entry.level];
    };
    for (int operation = 0; operation < 100'000; ++operation) {
      const auto number = static_cast<std::uint32_t>(random() % 400);
      SynCache::Entry* entry = cache.find(flow_v4(number));
      CHECK_EQUAL(model.contains(number), entry != nullptr);
      switch (random() % 8) {
        case 0:
          if (entry != nullptr) {
            cache.erase(*entry);
            model.erase(number);
          }
          break;
        case 1:
          if (entry != nullptr) {
            cache.resent(*entry, now);
            resend(number);
          }
          break;
        case 2: {
          now += std::chrono::milliseconds(random() % 200);
          std::size_t due = 0;
          for (const auto& [each, state] : model) due += state.deadline <= now;
          LONGS_EQUAL(due, cache.advance(
                               now, kCapacity,
                               [&](SynCache::Entry& again) { resend(again.flow.peer.port); },
                               [&](SynCache::Entry& gone) {
                                 LONGS_EQUAL(3, model.at(gone.flow.peer.port).level);
                                 LONGS_EQUAL(1, model.erase(gone.flow.peer.port));
                               }));
          break;
        }
        default:
          if (entry == nullptr) {
            entry = cache.insert(flow_v4(number), now);
            CHECK_EQUAL(model.size() < kCapacity, entry != nullptr);
            if (entry != nullptr) model[number] = {now + 1s, 0};
          }
      }
      LONGS_EQUAL(model.size(), cache.size());
      if (operation % 16 != 0) continue;
      std::optional<MonotonicTime> next;
      for (const auto& [each, state] : model) {
        if (!next || state.deadline < *next) next = state.deadline;
      }
      CHECK_TRUE(next == cache.next_deadline());
    }
  }
}
