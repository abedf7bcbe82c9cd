// The open addressing under every table: against a model, with hashes as bad as they can be.
#include "dataplane/net/tcp/index_table.h"

#include <map>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

TEST_GROUP(IndexTable){
    // A key's hash is chosen by the test; equal hashes are told apart by the index alone.
    static std::uint32_t find(const IndexTable& table, std::uint64_t hash, std::uint32_t index){
        return table.find(hash, [&](std::uint32_t candidate) { return candidate == index; });
}

// Random insertions, searches and removals of keys whose hashes are `hash_of` their number.
template <typename HashOf>
static void compare_with_a_model(std::size_t capacity, int operations, HashOf hash_of) {
  IndexTable table(capacity);
  std::map<std::uint32_t, std::uint64_t> model;
  std::mt19937 random(static_cast<std::uint32_t>(capacity));
  for (int operation = 0; operation < operations; ++operation) {
    const auto index = static_cast<std::uint32_t>(random() % (2 * capacity));
    const std::uint64_t hash = hash_of(index);
    const bool is_there = model.contains(index);
    LONGS_EQUAL(is_there ? index : IndexTable::kNone, find(table, hash, index));
    if (is_there && random() % 2 == 0) {
      table.remove(hash, index);
      model.erase(index);
    } else if (!is_there && model.size() < capacity) {
      table.insert(hash, index);
      model[index] = hash;
    }
    LONGS_EQUAL(model.size(), table.size());
    if (operation % 1000 == 0) {
      for (const auto& [each, its_hash] : model) LONGS_EQUAL(each, find(table, its_hash, each));
    }
  }
  while (!model.empty()) {
    table.remove(model.begin()->second, model.begin()->first);
    model.erase(model.begin());
    for (const auto& [each, its_hash] : model) LONGS_EQUAL(each, find(table, its_hash, each));
  }
}
}
;

TEST(IndexTable, BehavesLikeAMap) {
  compare_with_a_model(256, 100'000, [](std::uint64_t key) { return key * 0x9e3779b97f4a7c15; });
}

TEST(IndexTable, EveryKeyOfTheSameTag) {
  compare_with_a_model(32, 20'000, [](std::uint64_t) { return 0x1234567800000000; });
}

TEST(IndexTable, EveryHomeAtTheEndOfTheTableWraps) {
  compare_with_a_model(64, 50'000, [](std::uint64_t key) { return 124 + key % 4; });
}

TEST(IndexTable, ClustersOfDifferentHomesMoveBackNoFartherThanHome) {
  compare_with_a_model(64, 100'000, [](std::uint64_t key) { return key / 3; });
}

TEST(IndexTable, OfOneEntry) {
  compare_with_a_model(1, 2'000, [](std::uint64_t key) { return key * 7; });
}
