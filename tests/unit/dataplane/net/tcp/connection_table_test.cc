// Whose segment is it: against a model, full, and with equal hashes.
#include "dataplane/net/tcp/connection_table.h"

#include <map>
#include <random>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net::tcp;

TEST_GROUP(ConnectionTable){static Flow flow(std::uint32_t number){
    return number % 2 == 0 ? flow_v4(number / 2) : flow_v6(number / 2);
}
}
;

TEST(ConnectionTable, FindsWhatWasInsertedUntilItIsErased) {
  ConnectionTable table(2, SipHashKey{1, 2});
  LONGS_EQUAL(ConnectionTable::kNone, table.find(flow(1)));
  CHECK_TRUE(table.insert(flow(1), 1));
  LONGS_EQUAL(1, table.find(flow(1)));
  LONGS_EQUAL(ConnectionTable::kNone, table.find(flow(2)));
  CHECK_FALSE(table.insert(flow(1), 0));
  LONGS_EQUAL(1, table.find(flow(1)));
  table.erase(flow(1));
  table.erase(flow(1));
  LONGS_EQUAL(ConnectionTable::kNone, table.find(flow(1)));
  LONGS_EQUAL(0, table.size());
}

TEST(ConnectionTable, TheEndsOfAFlowAreNotInterchangeable) {
  ConnectionTable table(2, SipHashKey{1, 2});
  CHECK_TRUE(table.insert(flow(1), 0));
  LONGS_EQUAL(ConnectionTable::kNone, table.find(Flow{flow(1).peer, flow(1).local}));
}

TEST(ConnectionTable, FlowsOfTheSameTagAreToldApart) {
  const SipHashKey key{1, 2};
  const auto [one, two] = colliding_flows(derive_key(key, "connection table"));
  ConnectionTable table(2, key);
  CHECK_TRUE(table.insert(one, 0));
  LONGS_EQUAL(ConnectionTable::kNone, table.find(two));
  table.erase(two);
  CHECK_TRUE(table.insert(two, 1));
  LONGS_EQUAL(0, table.find(one));
  LONGS_EQUAL(1, table.find(two));
  table.erase(one);
  LONGS_EQUAL(ConnectionTable::kNone, table.find(one));
  LONGS_EQUAL(1, table.find(two));
}

TEST(ConnectionTable, BehavesLikeAMapWhileConnectionsComeAndGo) {
  constexpr std::uint32_t kCapacity = 1000;
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    ConnectionTable table(kCapacity, SipHashKey{seed, 2});
    std::map<std::uint32_t, std::uint32_t> model;  // flow number -> connection
    std::vector<std::uint32_t> free;
    for (std::uint32_t index = 0; index < kCapacity; ++index) free.push_back(index);
    bool was_full = false;  // the load was the highest there is
    std::mt19937_64 random(seed);
    for (int operation = 0; operation < 100'000; ++operation) {
      const auto number = static_cast<std::uint32_t>(random() % 3000);
      const auto known = model.find(number);
      LONGS_EQUAL(known == model.end() ? ConnectionTable::kNone : known->second,
                  table.find(flow(number)));
      if (known != model.end() && random() % 4 == 0) {
        table.erase(flow(number));
        free.push_back(known->second);
        model.erase(known);
      } else if (known == model.end() && !free.empty()) {
        CHECK_TRUE(table.insert(flow(number), free.back()));
        model[number] = free.back();
        free.pop_back();
      }
      LONGS_EQUAL(model.size(), table.size());
      was_full = was_full || free.empty();
    }
    CHECK_TRUE(was_full);
  }
}
