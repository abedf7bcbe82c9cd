// S3-FIFO (Yang et al., SOSP 2023): a small FIFO queue sifts out what is asked for once, a main
// FIFO queue with second chances keeps the rest, and a ghost queue of fingerprints lets what was
// sifted out too early straight into main the next time.
//
// Parameters as published: small is 10 % of the bytes, the ghost remembers as many entries as main
// holds, two hits in small promote, main counts to three. Until the cache is full for the first
// time, what does not fit in small goes to main (as the authors' own simulator does).
//
// The awkward part: main may hold only entries with hits left; after kLongestWalk second chances in
// one call the oldest goes anyway.
#pragma once

#include "cache/policy/ghost_table.h"
#include "cache/policy/policy.h"

namespace nearfield::cache {

class S3FifoPolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "s3fifo";

  explicit S3FifoPolicy(const PolicyLimits& limits);
  std::string_view name() const override { return kName; }
  std::uint64_t table_bytes() const override { return ghost_.bytes(); }
  void prefetch(std::uint64_t name_hash) const override { ghost_.prefetch(name_hash); }

 private:
  enum Queue : std::uint8_t { kSmall = 1, kMain = 2 };
  static constexpr std::uint8_t kMostHits = 3;
  static constexpr std::uint8_t kPromoteHits = 2;
  static constexpr int kLongestWalk = 1024;

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override {
    if (entry.hits < kMostHits) ++entry.hits;
  }
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry& entry) override {
    return entry.queue == kSmall ? small_ : main_;
  }

  std::uint64_t small_share_bytes() const { return queue_capacity_bytes() / 10; }
  void push(PolicyEntry& entry, Queue queue);

  EntryQueue small_;
  EntryQueue main_;
  GhostTable ghost_;
  std::uint32_t departed_ = 0;  // entries sent to the ghost queue so far: its clock
  bool was_full_ = false;
};

}  // namespace nearfield::cache
