// The part of every policy that is the same: pinned entries wait in a list of their own, and sizes
// may change while held.
#include "cache/policy/policy.h"

namespace nearfield::cache {

void EvictionPolicy::set_largest_entry() {
  const std::uint64_t capacity = limits_.capacity_bytes;
  largest_entry_bytes_ =
      limits_.largest_entry_share.has_value()
          ? static_cast<std::uint64_t>(static_cast<double>(capacity) * *limits_.largest_entry_share)
          : node_largest_entry_bytes(capacity);
}

void EvictionPolicy::push_pinned(PolicyEntry& entry) {
  entry.queue = PolicyEntry::kPinnedQueue;
  pinned_.push_newest(entry);
  on_capacity();
}

void EvictionPolicy::pop_pinned(PolicyEntry& entry) {
  NEARFIELD_ASSERT(entry.queue == PolicyEntry::kPinnedQueue);
  pinned_.unlink(entry);
  entry.queue = PolicyEntry::kNoQueue;
  on_capacity();
}

void EvictionPolicy::set_pinned(PolicyEntry& entry, bool pinned) {
  NEARFIELD_ASSERT(entry.queue != PolicyEntry::kNoQueue);
  if (entry.pinned == pinned) return;
  if (pinned) {
    on_remove(entry);
    entry.pinned = true;
    push_pinned(entry);
  } else {
    pop_pinned(entry);
    entry.pinned = false;
    entry.hits = 0;
    on_insert(entry);
  }
}

void EvictionPolicy::resize(PolicyEntry& entry, std::uint64_t size_bytes) {
  NEARFIELD_ASSERT(entry.queue != PolicyEntry::kNoQueue);
  used_bytes_ += size_bytes - entry.size_bytes;
  EntryQueue& queue = entry.pinned ? pinned_ : queue_of(entry);
  queue.resize(entry, size_bytes);
  if (entry.pinned) on_capacity();
}

}  // namespace nearfield::cache
