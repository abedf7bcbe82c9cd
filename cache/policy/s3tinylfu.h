// S3-TinyLFU: S3-FIFO with a second door into main. What leaves the small queue without enough hits
// is, instead of being dropped at once, compared with what main would lose next: the one a
// frequency sketch has seen more often stays. The default policy; docs/cache-policies.md has the
// measurements behind it.
//
// Why: S3-FIFO forgets how often a name came unless it comes twice within a small queue or a
// ghost's life. Music repeats over days: a track of the long tail comes back too late for both, yet
// often enough to be worth more than the coldest part of main. TinyLFU's sketch remembers that.
// TinyLFU alone in turn bars what became popular yesterday from a main full of old fame; S3-FIFO's
// two ways in (hits in small, a ghost's return) stay open without a contest. Each covers the
// other's weak spot.
//
// small    FIFO, 10 % of the bytes; kPromoteHits hits promote.
// main     FIFO with second chances, hits counted to kMostHits.
// ghost    fingerprints of what left small, 3/4 as many as main holds; a return goes straight to
// main. sketch   uses of every name of the last kUsesPerEntry uses an entry held, halved after
// that.
//
// The awkward part: the contest needs main's next victim while main's oldest may still have second
// chances; they are given then and there, at most kLongestLook of them.
#pragma once

#include "cache/policy/frequency_sketch.h"
#include "cache/policy/ghost_table.h"
#include "cache/policy/policy.h"

namespace nearfield::cache {

class S3TinyLfuPolicy final : public EvictionPolicy {
 public:
  static constexpr std::string_view kName = "s3tinylfu";

  explicit S3TinyLfuPolicy(const PolicyLimits& limits);
  std::string_view name() const override { return kName; }
  std::uint64_t table_bytes() const override { return ghost_.bytes() + sketch_.bytes(); }
  void prefetch(std::uint64_t name_hash) const override {
    ghost_.prefetch(name_hash);
    sketch_.prefetch(name_hash);
  }

 private:
  enum Queue : std::uint8_t { kSmall = 1, kMain = 2 };
  static constexpr std::uint8_t kMostHits = 2;
  static constexpr std::uint8_t kPromoteHits = 2;
  static constexpr std::uint64_t kUsesPerEntry = 20;
  static constexpr int kLongestLook = 16;
  static constexpr int kLongestWalk = 1024;

  void on_insert(PolicyEntry& entry) override;
  void on_hit(PolicyEntry& entry) override;
  PolicyEntry* choose_victim() override;
  EntryQueue& queue_of(const PolicyEntry& entry) override {
    return entry.queue == kSmall ? small_ : main_;
  }

  std::uint64_t small_share_bytes() const { return queue_capacity_bytes() / 10; }
  PolicyEntry* find_victim();
  void count_use(const PolicyEntry& entry);
  void push(PolicyEntry& entry, Queue queue);
  void move_to_main(PolicyEntry& entry);
  void prefetch_oldest() const;
  PolicyEntry* leave_small(PolicyEntry& entry);
  bool give_second_chance(PolicyEntry& entry);
  PolicyEntry* next_of_main();

  EntryQueue small_;
  EntryQueue main_;
  GhostTable ghost_;
  FrequencySketch sketch_;
  std::uint32_t departed_ = 0;  // entries sent to the ghost queue so far: its clock
  bool was_full_ = false;
};

}  // namespace nearfield::cache
