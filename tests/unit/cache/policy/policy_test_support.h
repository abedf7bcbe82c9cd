// A small cache around a policy, as the RAM tier and the simulator build one: the tests' way to
// speak to policies by name.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "cache/policy/policy.h"
#include "cache/sim/mix.h"

namespace nearfield::cache {

class SmallCache {
 public:
  explicit SmallCache(std::string_view policy_name, std::uint64_t capacity_bytes,
                      std::uint64_t max_entries = 1000) {
    auto made = make_policy(
        policy_name,
        {.capacity_bytes = capacity_bytes, .max_entries = max_entries, .largest_entry_share = 1.0});
    CHECK_TRUE(made.has_value());
    policy = std::move(*made);
  }

  // Asks for an object; true when it was held. A missing one is inserted after room was made.
  bool ask(std::uint64_t id, std::uint64_t size_bytes = 1) {
    if (auto found = entries.find(id); found != entries.end()) {
      policy->hit(*found->second);
      return true;
    }
    if (!make_room(size_bytes)) return false;
    insert(id, size_bytes);
    return false;
  }

  void insert(std::uint64_t id, std::uint64_t size_bytes, bool pinned = false) {
    auto entry = std::make_unique<PolicyEntry>();
    entry->name_hash = sim::mix64(id);
    entry->size_bytes = size_bytes;
    entry->pinned = pinned;
    policy->insert(*entry);
    entries[id] = std::move(entry);
  }

  bool make_room(std::uint64_t size_bytes) {
    while (policy->used_bytes() + size_bytes > policy->capacity_bytes()) {
      if (!evict_one()) return false;
    }
    return true;
  }

  // The identifier of what went.
  std::optional<std::uint64_t> evict_one() {
    PolicyEntry* victim = policy->evict();
    if (victim == nullptr) return std::nullopt;
    for (auto& [id, entry] : entries) {
      if (entry.get() != victim) continue;
      const std::uint64_t gone = id;
      evicted.push_back(gone);
      entries.erase(id);
      return gone;
    }
    FAIL("the policy evicted an entry that is not held");
    return std::nullopt;
  }

  void remove(std::uint64_t id) {
    policy->remove(*entries.at(id));
    entries.erase(id);
  }

  bool holds(std::uint64_t id) const { return entries.contains(id); }

  std::unique_ptr<EvictionPolicy> policy;
  std::map<std::uint64_t, std::unique_ptr<PolicyEntry>> entries;
  std::vector<std::uint64_t> evicted;
};

}  // namespace nearfield::cache
