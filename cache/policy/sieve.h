// SIEVE (Zhang et al., NSDI 2024): one FIFO queue, one bit per entry, and a hand that walks from
// the oldest to the newest. The hand evicts the first entry whose bit is clear, clearing the bits
// it passes; entries never move, so newcomers that are not asked for again are sifted out quickly
// while what survived a pass stays behind the hand.
//
// The awkward part: the hand may point at an entry that leaves by itself, and a pass over a queue
// in which all bits are set has the length of the queue; after kLongestWalk entries the hand takes
// the one it stands at.
#pragma once

#include "cache/policy/policy.h"

namespace nearfield::cache {

class SievePolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "sieve";

  explicit SievePolicy(const PolicyLimits& limits) : EvictionPolicy(limits) {}
  std::string_view name() const override { return kName; }

 private:
  static constexpr std::uint8_t kQueue = 1;
  static constexpr int kLongestWalk = 1024;

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override { entry.hits = 1; }
  void on_remove(PolicyEntry& entry) override;
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry&) override { return queue_; }

  EntryQueue queue_;
  PolicyEntry* hand_ = nullptr;  // the next entry to look at; nullptr: the oldest
};

}  // namespace nearfield::cache
