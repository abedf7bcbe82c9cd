// LRU: the least recently used entry goes first. The reference the others are measured against.
#pragma once

#include "cache/policy/policy.h"

namespace nearfield::cache {

class LruPolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "lru";

  explicit LruPolicy(const PolicyLimits& limits) : EvictionPolicy(limits) {}
  std::string_view name() const override { return kName; }

 private:
  static constexpr std::uint8_t kQueue = 1;

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override { queue_.move_to_newest(entry); }
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry&) override { return queue_; }

  EntryQueue queue_;
};

}  // namespace nearfield::cache
