// GhostTable: remembers fingerprints of entries that left, for as long as the caller's window says.
//
// A bucketed hash table of 32-bit fingerprints with the time they left, in the caller's units
// (entries departed, or bytes). A fingerprint counts as remembered while it is younger than the
// window given at the look-up, so forgetting costs nothing and the window may change from call to
// call. One cache line a look-up, no allocation after construction.
//
// The awkward part: a full bucket forgets its oldest fingerprint early, and 2^-32 fingerprints
// collide. Both only make a decision a little worse. Clock units wrap after 2^32; a fingerprint
// that old is taken for a new one if nothing overwrote it.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache/policy/huge_page_allocator.h"

namespace nearfield::cache {

class GhostTable {
 public:
  // Room for `entries` fingerprints at about two thirds load.
  explicit GhostTable(std::uint64_t entries)
      : buckets_(std::bit_ceil(entries * 3 / (2 * kSlots) + 1)), mask_(buckets_.size() - 1) {}

  // Notes that `name_hash` left at `now`.
  void put(std::uint64_t name_hash, std::uint32_t now) {
    Bucket& bucket = buckets_[name_hash & mask_];
    const std::uint32_t fingerprint = fingerprint_of(name_hash);
    Slot* oldest = bucket.data();
    for (Slot& slot : bucket) {
      if (slot.fingerprint == fingerprint || slot.fingerprint == kEmpty) {
        oldest = &slot;
        break;
      }
      if (now - slot.left_at > now - oldest->left_at) oldest = &slot;
    }
    *oldest = {fingerprint, now};
  }

  // Forgets `name_hash`; true if it was there and left less than `window` units before `now`.
  bool take(std::uint64_t name_hash, std::uint32_t now, std::uint64_t window) {
    const std::uint32_t fingerprint = fingerprint_of(name_hash);
    for (Slot& slot : buckets_[name_hash & mask_]) {
      if (slot.fingerprint != fingerprint) continue;
      const bool young = now - slot.left_at < window;
      slot = {};
      return young;
    }
    return false;
  }

  void prefetch(std::uint64_t name_hash) const {
    __builtin_prefetch(&buckets_[name_hash & mask_], 1);
  }

  std::uint64_t bytes() const { return buckets_.size() * sizeof(Bucket); }

 private:
  static constexpr std::uint32_t kEmpty = 0;
  static constexpr std::size_t kSlots = 8;
  struct Slot {
    std::uint32_t fingerprint = kEmpty;
    std::uint32_t left_at = 0;
  };
  struct alignas(64) Bucket : std::array<Slot, kSlots> {};

  static std::uint32_t fingerprint_of(std::uint64_t name_hash) {
    const auto high = static_cast<std::uint32_t>(name_hash >> 32);
    return high == kEmpty ? 1 : high;
  }

  std::vector<Bucket, HugePageAllocator<Bucket>> buckets_;
  std::uint64_t mask_;
};

}  // namespace nearfield::cache
