// FrequencySketch: about how often a name was asked for lately, in 4 bits, without keeping the
// name.
//
// A count-min sketch with conservative update whose four counters of a name lie in one 64-byte
// block, so that a use or a look-up touches one cache line. When `sample` uses have been counted
// every counter is halved, which ages out what was popular once (Einziger, Friedman, Manes:
// TinyLFU, 2017).
//
// The awkward part: halving touches the whole table. It is done a slice per use instead of all at
// once, so that no call pays more than kSliceBlocks blocks.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cache/policy/huge_page_allocator.h"

namespace nearfield::cache {

class FrequencySketch {
 public:
  static constexpr unsigned kMostCount = 15;

  // 8 bytes (16 counters) per entry that may be held.
  explicit FrequencySketch(std::uint64_t entries);

  // Counts one use; `sample` uses after the last halving the next one begins.
  void use(std::uint64_t name_hash, std::uint64_t sample);
  unsigned count(std::uint64_t name_hash) const;

  void prefetch(std::uint64_t name_hash) const {
    __builtin_prefetch(&blocks_[name_hash & mask_], 1);
  }

  std::uint64_t bytes() const { return blocks_.size() * sizeof(Block); }

 private:
  static constexpr std::uint64_t kSliceBlocks = 16;
  // Eight words of 16 four-bit counters; row i of a name is in word 2i or 2i+1.
  struct alignas(64) Block {
    std::array<std::uint64_t, 8> words{};
  };
  struct Place {
    unsigned word;
    unsigned shift;
  };

  static Place place(std::uint64_t bits, unsigned row) {
    const auto pick = static_cast<unsigned>(bits >> (row * 8));
    return {row * 2 + (pick & 1), ((pick >> 1) & 15) * 4};
  }
  static std::uint64_t remix(std::uint64_t hash) {
    hash *= 0x9e3779b97f4a7c15;
    return hash ^ (hash >> 32);
  }
  void halve_slice();

  std::vector<Block, HugePageAllocator<Block>> blocks_;
  std::uint64_t mask_;
  std::uint64_t uses_ = 0;
  std::uint64_t
      halved_blocks_;  // blocks the halving under way has passed; all of them: none is under way
};

}  // namespace nearfield::cache
