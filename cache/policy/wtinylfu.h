// W-TinyLFU (Einziger, Friedman, Manes, ACM ToS 2017), static window: newcomers live in a small LRU
// window; what leaves the window is compared, by how often it was asked for lately, with what the
// main part would lose, and the rarer of the two goes. Main is a segmented LRU: probation, and
// protected (80 % of main) for what was hit there.
//
// Parameters as published: window 1 % of the bytes, sample of ten uses per entry held. Bytes
// instead of entries: one candidate is compared with one victim, and further room is taken from
// main without a contest.
#pragma once

#include "cache/policy/frequency_sketch.h"
#include "cache/policy/policy.h"

namespace nearfield::cache {

class WTinyLfuPolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "wtinylfu";

  explicit WTinyLfuPolicy(const PolicyLimits& limits);
  std::string_view name() const override { return kName; }
  std::uint64_t table_bytes() const override { return sketch_.bytes(); }
  void prefetch(std::uint64_t name_hash) const override { sketch_.prefetch(name_hash); }

 private:
  enum Queue : std::uint8_t { kWindow = 1, kProbation = 2, kProtected = 3 };

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override;
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry& entry) override { return queues_[entry.queue - 1]; }

  std::uint64_t window_share_bytes() const { return queue_capacity_bytes() / 100; }
  std::uint64_t protected_share_bytes() const {
    return (queue_capacity_bytes() - window_share_bytes()) / 10 * 8;
  }
  EntryQueue& window() { return queues_[0]; }
  EntryQueue& probation() { return queues_[1]; }
  EntryQueue& protected_part() { return queues_[2]; }
  void count_use(const PolicyEntry& entry);
  void move(PolicyEntry& entry, Queue queue);

  EntryQueue queues_[3];
  FrequencySketch sketch_;
  bool was_full_ = false;
};

}  // namespace nearfield::cache
