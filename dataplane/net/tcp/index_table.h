// IndexTable: from a 64-bit keyed hash to the number of a slot somebody else keeps: open addressing
// with linear probing, the core of every table of flows.
//
// Invariant: at most half of the buckets are taken, and between a bucket's home and the bucket
// there is no empty one; so a search ends at the first empty bucket, and no tombstones are needed
// because remove() moves back what follows (Knuth, volume 3, 6.4 algorithm R). A bucket is 8 bytes,
// eight to a cache line: tag (the low half of the hash, also its home) and index. Probes are about
// 1.5 for a hit and 2.5 for a miss at full load, so nearly always one line; a bucket whose tag is
// equal has the caller compare the key itself. The hash must be keyed: with chosen hashes a search
// is as long as the table. Allocates in the constructor only. Not synchronised.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cache/base/assert.h"

namespace nearfield::net::tcp {

class IndexTable {
 public:
  static constexpr std::uint32_t kNone = 0xffffffff;

  // Room for `capacity` entries (1 to 2^30): 16 to 32 bytes each.
  explicit IndexTable(std::size_t capacity) : capacity_(capacity) {
    NEARFIELD_ASSERT(capacity > 0 && capacity <= (std::size_t{1} << 30));
    buckets_.resize(std::bit_ceil(capacity * 2));
    mask_ = static_cast<std::uint32_t>(buckets_.size() - 1);
  }

  // Fetches what find() will look at first.
  void prefetch(std::uint64_t hash) const {
    __builtin_prefetch(&buckets_[static_cast<std::uint32_t>(hash) & mask_]);
  }
  // The index under `hash` for which `is_wanted(index)` holds, or kNone.
  template <typename IsWanted>
  std::uint32_t find(std::uint64_t hash, IsWanted&& is_wanted) const {
    const auto tag = static_cast<std::uint32_t>(hash);
    for (std::uint32_t at = tag & mask_; buckets_[at].index != kNone; at = (at + 1) & mask_) {
      if (buckets_[at].tag == tag && is_wanted(buckets_[at].index)) return buckets_[at].index;
    }
    return kNone;
  }

  // The caller sees to it that size() < capacity() and that the key is not there yet.
  void insert(std::uint64_t hash, std::uint32_t index) {
    NEARFIELD_ASSERT(size_ < capacity_ && index != kNone);
    const auto tag = static_cast<std::uint32_t>(hash);
    std::uint32_t at = tag & mask_;
    while (buckets_[at].index != kNone) at = (at + 1) & mask_;
    buckets_[at] = {tag, index};
    ++size_;
  }

  // `index` must be there under `hash`.
  void remove(std::uint64_t hash, std::uint32_t index) {
    std::uint32_t hole = static_cast<std::uint32_t>(hash) & mask_;
    while (buckets_[hole].index != index) {
      NEARFIELD_ASSERT(buckets_[hole].index != kNone);
      hole = (hole + 1) & mask_;
    }
    for (std::uint32_t at = (hole + 1) & mask_; buckets_[at].index != kNone;
         at = (at + 1) & mask_) {
      // What is as far from its home as from the hole, or farther, may fill the hole.
      if (((at - buckets_[at].tag) & mask_) >= ((at - hole) & mask_)) {
        buckets_[hole] = buckets_[at];
        hole = at;
      }
    }
    buckets_[hole] = {};
    --size_;
  }

  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }

 private:
  struct Bucket {
    std::uint32_t tag = 0;
    std::uint32_t index = kNone;
  };

  std::vector<Bucket> buckets_;
  std::uint32_t mask_ = 0;
  std::size_t size_ = 0;
  std::size_t capacity_;
};

}  // namespace nearfield::net::tcp
