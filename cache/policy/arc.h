// ARC (Megiddo, Modha, FAST 2003): two LRU lists, of what was asked for once (recent) and more
// often (frequent), and two ghost lists of what each of them lost. A ghost hit says which list
// should have been larger and moves the target between them.
//
// Adapted to sizes in bytes: lists, ghosts and target are counted in bytes, and a ghost hit moves
// the target by the size of the entry times the ratio of the ghosts. As published: recent and its
// ghost never exceed the capacity, all four never twice the capacity. Here room is made before the
// entry is known to be a ghost, so that the target moves one insertion later.
#pragma once

#include "cache/policy/ghost_list.h"
#include "cache/policy/policy.h"

namespace nearfield::cache {

class ArcPolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "arc";

  explicit ArcPolicy(const PolicyLimits& limits);
  std::string_view name() const override { return kName; }
  std::uint64_t table_bytes() const override { return ghosts_.table_bytes(); }
  void prefetch(std::uint64_t name_hash) const override { ghosts_.prefetch(name_hash); }

 private:
  enum Queue : std::uint8_t { kRecent = 1, kFrequent = 2 };
  static constexpr unsigned kRecentGhosts = 0;
  static constexpr unsigned kFrequentGhosts = 1;

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override;
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry& entry) override {
    return entry.queue == kRecent ? recent_ : frequent_;
  }
  void on_capacity() override;
  void trim_ghosts();

  EntryQueue recent_;
  EntryQueue frequent_;
  GhostList ghosts_;
  std::uint64_t recent_target_bytes_ = 0;
};

}  // namespace nearfield::cache
