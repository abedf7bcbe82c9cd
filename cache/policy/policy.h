// EvictionPolicy: which entry a full cache lets go next. The whole decision lives here; the RAM
// tier and `cachesim` run the same loop around it, so that what is measured is what ships:
//
//     if (!policy.admits(size)) stream_through();
//     while (policy.used_bytes() + size > policy.capacity_bytes()) {
//       PolicyEntry* victim = policy.evict();
//       if (victim == nullptr) stream_through();     // everything left is pinned
//       forget(*victim);
//     }
//     policy.insert(entry);
//
// An entry is embedded in the cached object and owned by the caller; the policy only links it. It
// must stay where it is from insert() until remove() or until evict() returned it.
//
// Invariant: used_bytes() is the sum of size_bytes over the entries held, pinned ones included.
// The awkward part: pinned entries leave the policy's queues altogether (set_pinned), so that
// evict() never walks over them and its work stays bounded however many there are.
//
// Threads: none. One policy is used under its store's lock. Policies read no clock and draw no
// random number: the same calls give the same victims. Nothing is allocated after construction.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "cache/base/assert.h"
#include "cache/base/error.h"
#include "cache/policy/entry.h"
#include "cache/policy/entry_queue.h"

namespace nearfield::cache {

// What a policy is made for. Its tables are sized from max_entries once, at construction.
struct PolicyLimits {
  // Bytes of the cache the entries share; set_capacity() may change it later.
  std::uint64_t capacity_bytes = 0;
  // The most entries that can be held at once (for the RAM tier: capacity over the extent size).
  // Holding more is allowed and only makes what is remembered about the departed shorter. At least
  // 1, at most kMaxPolicyEntries.
  std::uint64_t max_entries = 0;
  // The largest entry admitted, as a share of the capacity: above 0, at most 1. Without it the
  // node's rule holds, node_largest_entry_bytes().
  std::optional<double> largest_entry_share{};
};

// The node's rule for what may be kept: an eighth of the cache, so that one object never sweeps out
// the rest. A cache below 32 MiB takes up to 4 MiB (a hi-res or spatial segment) as long as two
// fit.
constexpr std::uint64_t node_largest_entry_bytes(std::uint64_t capacity_bytes) {
  constexpr std::uint64_t kSegmentBytes = std::uint64_t{4} << 20;
  return std::max(capacity_bytes / 8, std::min(capacity_bytes / 2, kSegmentBytes));
}

inline constexpr std::uint64_t kMaxPolicyEntries = std::uint64_t{1} << 28;

class EvictionPolicy {
 public:
  explicit EvictionPolicy(const PolicyLimits& limits) : limits_(limits) { set_largest_entry(); }
  virtual ~EvictionPolicy() = default;
  EvictionPolicy(const EvictionPolicy&) = delete;
  EvictionPolicy& operator=(const EvictionPolicy&) = delete;

  // The name make_policy() knows it by.
  virtual std::string_view name() const = 0;

  // Whether an entry of this size may be kept at all; what may not streams through.
  bool admits(std::uint64_t size_bytes) const { return size_bytes <= largest_entry_bytes_; }
  std::uint64_t largest_entry_bytes() const { return largest_entry_bytes_; }

  // A hint that `name_hash` is about to be inserted or hit: fetches what the policy will look at
  // into the core's cache.
  virtual void prefetch(std::uint64_t /*name_hash*/) const {}

  // Takes an entry that is not held; name_hash, size_bytes and pinned are set by the caller, the
  // rest is overwritten. Counts as its first use. Does not make room: that is the caller's loop
  // above.
  void insert(PolicyEntry& entry) {
    NEARFIELD_ASSERT(entry.queue == PolicyEntry::kNoQueue);
    used_bytes_ += entry.size_bytes;
    ++entries_;
    entry.hits = 0;
    if (entry.pinned) {
      push_pinned(entry);
    } else {
      on_insert(entry);
    }
  }

  // A held entry was asked for again.
  void hit(PolicyEntry& entry) {
    if (!entry.pinned) on_hit(entry);
  }

  // Lets go of a held entry for a reason of the caller's (purged, replaced, failed). It leaves no
  // trace: a later insert() of the same name is that of a new one.
  void remove(PolicyEntry& entry) {
    if (entry.pinned) {
      pop_pinned(entry);
    } else {
      on_remove(entry);
    }
    detach(entry);
  }

  // Lets go of the entry worth least and returns it; nullptr when nothing but pinned entries is
  // left. Looks at a bounded number of entries per call.
  PolicyEntry* evict() {
    PolicyEntry* victim = choose_victim();
    if (victim != nullptr) detach(*victim);
    return victim;
  }

  // Changes the size of a held entry (a body whose length was not known beforehand).
  void resize(PolicyEntry& entry, std::uint64_t size_bytes);

  // Pins or unpins a held entry. A pinned one stays until it is unpinned or removed; unpinning
  // makes it the newest.
  void set_pinned(PolicyEntry& entry, bool pinned);

  // A new capacity in bytes. Shrinking evicts nothing by itself: run the loop above with a size of
  // 0.
  void set_capacity(std::uint64_t capacity_bytes) {
    limits_.capacity_bytes = capacity_bytes;
    set_largest_entry();
    on_capacity();
  }

  std::uint64_t capacity_bytes() const { return limits_.capacity_bytes; }
  std::uint64_t used_bytes() const { return used_bytes_; }
  std::uint64_t pinned_bytes() const { return pinned_.bytes(); }
  std::uint64_t entries() const { return entries_; }

  // Bytes of the policy's own tables, fixed at construction. Beside them an entry costs
  // sizeof(PolicyEntry).
  virtual std::uint64_t table_bytes() const { return 0; }

 protected:
  // Link, note a use, unlink; bytes and entries are counted already. choose_victim() unlinks what
  // it returns; it must return an entry as long as any unpinned one is held.
  virtual void on_insert(PolicyEntry& entry) = 0;
  virtual void on_hit(PolicyEntry& entry) = 0;
  virtual void on_remove(PolicyEntry& entry) { queue_of(entry).unlink(entry); }
  virtual PolicyEntry* choose_victim() = 0;
  // The queue an unpinned entry is linked in.
  virtual EntryQueue& queue_of(const PolicyEntry& entry) = 0;
  // Capacity or pinned bytes changed.
  virtual void on_capacity() {}

  const PolicyLimits& limits() const { return limits_; }
  // What the queues share: pinned bytes are out of the policy's hands.
  std::uint64_t queue_capacity_bytes() const {
    const std::uint64_t pinned = pinned_.bytes();
    return pinned < limits_.capacity_bytes ? limits_.capacity_bytes - pinned : 0;
  }

 private:
  void push_pinned(PolicyEntry& entry);
  void pop_pinned(PolicyEntry& entry);
  void set_largest_entry();

  void detach(PolicyEntry& entry) {
    used_bytes_ -= entry.size_bytes;
    --entries_;
    entry.queue = PolicyEntry::kNoQueue;
  }

  PolicyLimits limits_;
  std::uint64_t largest_entry_bytes_ = 0;
  EntryQueue pinned_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t entries_ = 0;
};

// Makes a policy by name (policy_names()); fails on an unknown name and on limits out of range.
Result<std::unique_ptr<EvictionPolicy>> make_policy(std::string_view name,
                                                    const PolicyLimits& limits);

// All names make_policy() knows, the default first.
std::span<const std::string_view> policy_names();

// What a node uses when its configuration names none; docs/cache-policies.md has the measurements
// behind the choice.
inline constexpr std::string_view kDefaultPolicy = "s3tinylfu";

}  // namespace nearfield::cache
