// ChainTable: a hash table of fixed size whose entries carry their own chain link. It never grows,
// so no lookup ever waits for a rehash, and a walk over its buckets may pause between them. Sized
// for the most entries its owner's bound allows, from memory that is not faulted in before its use.
//
// T has `std::uint64_t chain_hash() const` and `T* next_in_chain`. Hashes must be keyed
// (cache/base/siphash.h). No threads: the owner locks. Owns nothing.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "cache/base/assert.h"

namespace nearfield::cache {

template <typename T>
class ChainTable {
 public:
  explicit ChainTable(std::uint64_t entries)
      : buckets_(std::bit_ceil(std::max<std::uint64_t>(entries, 64))),
        heads_(static_cast<T**>(std::calloc(buckets_, sizeof(T*)))) {
    NEARFIELD_ASSERT(heads_ != nullptr);
  }

  std::uint64_t buckets() const { return buckets_; }
  T* first_in_bucket(std::uint64_t bucket) const { return heads_[bucket]; }
  T* first(std::uint64_t hash) const { return heads_[hash & (buckets_ - 1)]; }

  // In front of its chain: what came last is found first.
  void link(T& entry) {
    T*& head = heads_[entry.chain_hash() & (buckets_ - 1)];
    entry.next_in_chain = head;
    head = &entry;
  }

  void unlink(T& entry) {
    T** link = &heads_[entry.chain_hash() & (buckets_ - 1)];
    while (*link != &entry) {
      NEARFIELD_ASSERT(*link != nullptr);
      link = &(*link)->next_in_chain;
    }
    *link = entry.next_in_chain;
    entry.next_in_chain = nullptr;
  }

  std::uint64_t table_bytes() const { return buckets_ * sizeof(T*); }

 private:
  struct Free {
    void operator()(T** heads) const { std::free(heads); }
  };

  std::uint64_t buckets_;
  std::unique_ptr<T*[], Free> heads_;
};

}  // namespace nearfield::cache
