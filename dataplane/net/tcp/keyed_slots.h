// KeyedSlots: a fixed number of slots, found by a keyed hash and linked into queues by age: what
// the SYN cache, the TIME-WAIT table and the path MTU cache have in common.
//
// Invariant: a slot is free, or it is indexed and in at most one queue. As every queue has one
// waiting time, its front is always the next that is due, so no timers are needed and everything is
// O(1). A pointer to a slot stays good until the slot is removed. Allocates in the constructor
// only. Not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/net/tcp/index_table.h"

namespace nearfield::net::tcp {

// What a slot derives from.
struct SlotLinks {
  std::uint32_t previous = IndexTable::kNone;
  std::uint32_t next = IndexTable::kNone;
  std::uint32_t tag = 0;  // the half of the hash that the index needs to find the slot again
};

struct SlotQueue {
  std::uint32_t first = IndexTable::kNone;
  std::uint32_t last = IndexTable::kNone;
};

template <typename Slot>
class KeyedSlots {
 public:
  // 1 to 2^30 slots.
  explicit KeyedSlots(std::size_t capacity) : index_(capacity), slots_(capacity) {
    for (std::size_t at = 0; at < capacity; ++at) {
      slots_[at].next = at + 1 < capacity ? static_cast<std::uint32_t>(at + 1) : IndexTable::kNone;
    }
    free_ = 0;
  }

  template <typename IsWanted>
  Slot* find(std::uint64_t hash, IsWanted&& is_wanted) {
    const std::uint32_t at =
        index_.find(hash, [&](std::uint32_t index) { return is_wanted(slots_[index]); });
    return at == IndexTable::kNone ? nullptr : &slots_[at];
  }

  // A fresh slot under `hash`, in no queue; null: full.
  Slot* add(std::uint64_t hash) {
    if (free_ == IndexTable::kNone) return nullptr;
    const std::uint32_t at = free_;
    free_ = slots_[at].next;
    slots_[at] = Slot{};
    slots_[at].tag = static_cast<std::uint32_t>(hash);
    index_.insert(hash, at);
    return &slots_[at];
  }

  // `slot` must be in no queue.
  void remove(Slot& slot) {
    const std::uint32_t at = number(slot);
    index_.remove(slot.tag, at);
    slot.next = free_;
    free_ = at;
  }

  void push_back(SlotQueue& queue, Slot& slot) {
    const std::uint32_t at = number(slot);
    slot.previous = queue.last;
    slot.next = IndexTable::kNone;
    (queue.last == IndexTable::kNone ? queue.first : slots_[queue.last].next) = at;
    queue.last = at;
  }

  void unlink(SlotQueue& queue, Slot& slot) {
    (slot.previous == IndexTable::kNone ? queue.first : slots_[slot.previous].next) = slot.next;
    (slot.next == IndexTable::kNone ? queue.last : slots_[slot.next].previous) = slot.previous;
  }

  Slot* front(const SlotQueue& queue) {
    return queue.first == IndexTable::kNone ? nullptr : &slots_[queue.first];
  }
  const Slot* front(const SlotQueue& queue) const {
    return queue.first == IndexTable::kNone ? nullptr : &slots_[queue.first];
  }

  std::size_t size() const { return index_.size(); }
  std::size_t capacity() const { return index_.capacity(); }

 private:
  std::uint32_t number(const Slot& slot) const {
    return static_cast<std::uint32_t>(&slot - slots_.data());
  }

  IndexTable index_;
  std::vector<Slot> slots_;
  std::uint32_t free_ = IndexTable::kNone;  // linked by `next`
};

}  // namespace nearfield::net::tcp
