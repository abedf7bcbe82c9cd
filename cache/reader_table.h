// ReaderTable: where the attached readers of one growing blob are, which is slowest, and which were
// cut loose.
//
// A reader that was cut (or has all it wants) no longer holds the window, but what it has not read
// of [its place, the end at the time of the cut) stays, because a send plan may point there. Those
// that were cut together share that end: they are a group. The slowest of each group is remembered
// and looked for again only when it was the one that moved or left: a thousand readers of one
// window of 1 MiB cause some sixteen scans each. No threads: the blob locks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "cache/base/assert.h"

namespace nearfield::cache {

class ReaderTable {
 public:
  // Groups of cut readers at a time; each can hold a window of memory.
  static constexpr std::size_t kMaximumCuts = 16;

  struct Held {
    std::uint64_t begin;
    std::uint64_t end;
  };

  // A slot for a reader at `offset`.
  std::uint32_t attach(std::uint64_t offset) {
    std::uint32_t slot;
    if (free_.empty()) {
      slot = static_cast<std::uint32_t>(offsets_.size());
      offsets_.push_back(offset);
    } else {
      slot = free_.back();
      free_.pop_back();
      offsets_[slot] = offset;
    }
    ++attached_;
    slowest_ = std::min(slowest_, offset);
    return slot;
  }

  // True when the slowest offset of its kind (attached, or cut together) changed.
  bool move(std::uint32_t slot, std::uint64_t offset) {
    const std::uint64_t before = offsets_[slot];
    NEARFIELD_ASSERT(before <= offset && before != kFree);
    offsets_[slot] = offset;
    return slowest_changed(group_of(slot), before);
  }

  // True when the slowest offset of its kind changed or its last reader left.
  bool detach(std::uint32_t slot) {
    const std::uint64_t before = offsets_[slot];
    NEARFIELD_ASSERT(before != kFree);
    const std::size_t group = group_of(slot);
    offsets_[slot] = kFree;
    free_.push_back(slot);
    if (group == kAttached) {
      --attached_;
    } else {
      cuts_->groups[slot] = kAttached;
    }
    return slowest_changed(group, before);
  }

  // Cuts loose every attached reader before `before`; what they may still read ends at `end`.
  // Returns how many; none while there are kMaximumCuts groups.
  std::size_t cut(std::uint64_t before, std::uint64_t end) {
    return cut_if(end, [&](std::size_t slot) { return offsets_[slot] < before; });
  }

  // The same for one reader.
  bool cut_one(std::uint32_t slot, std::uint64_t end) {
    return cut_if(end, [&](std::size_t each) { return each == slot; }) > 0;
  }

  // Where a cut reader's bytes end; nothing for one that is attached.
  std::optional<std::uint64_t> cut_end(std::uint32_t slot) const {
    const std::size_t group = group_of(slot);
    if (group == kAttached) return std::nullopt;
    return cuts_->held[group - 1].end;
  }

  // What cut readers keep of [begin, end): the stretch of one that overlaps it.
  std::optional<Held> held_in(std::uint64_t begin, std::uint64_t end) const {
    if (!cuts_) return std::nullopt;
    for (const Held& held : cuts_->held) {
      if (held.begin < end && begin < held.end && held.begin < held.end) return held;
    }
    return std::nullopt;
  }

  // Attached ones only:
  bool empty() const { return attached_ == 0; }
  std::size_t size() const { return attached_; }
  // Nothing when there is no reader.
  std::optional<std::uint64_t> slowest() const {
    if (empty()) return std::nullopt;
    return slowest_;
  }
  std::optional<std::uint64_t> fastest() const {
    std::optional<std::uint64_t> fastest;
    for (std::uint32_t slot = 0; slot < offsets_.size(); ++slot) {
      if (offsets_[slot] == kFree || group_of(slot) != kAttached) continue;
      fastest = std::max(fastest.value_or(0), offsets_[slot]);
    }
    return fastest;
  }
  std::uint64_t memory_bytes() const {
    return offsets_.capacity() * sizeof(std::uint64_t) + free_.capacity() * sizeof(std::uint32_t) +
           (cuts_ ? sizeof(Cuts) + cuts_->groups.capacity() : 0);
  }

 private:
  template <typename Which>
  std::size_t cut_if(std::uint64_t end, Which which) {
    if (!cuts_) cuts_ = std::make_unique<Cuts>();
    cuts_->groups.resize(offsets_.size(), kAttached);
    const auto unused =
        std::ranges::find_if(cuts_->held, [](const Held& held) { return held.begin == kFree; });
    if (unused == cuts_->held.end()) return 0;
    const auto group = static_cast<std::uint8_t>(unused - cuts_->held.begin() + 1);
    std::size_t count = 0;
    for (std::size_t slot = 0; slot < offsets_.size(); ++slot) {
      if (offsets_[slot] == kFree || cuts_->groups[slot] != kAttached || !which(slot)) continue;
      cuts_->groups[slot] = group;
      unused->begin = std::min(unused->begin, offsets_[slot]);
      ++count;
    }
    if (count == 0) return 0;
    unused->end = end;
    attached_ -= count;
    find_slowest(kAttached);
    return count;
  }

  static constexpr std::uint64_t kFree = UINT64_MAX;
  static constexpr std::uint8_t kAttached = 0;

  struct Cuts {
    Cuts() { held.fill({kFree, 0}); }
    std::vector<std::uint8_t> groups;     // by slot; those beyond its end are attached
    std::array<Held, kMaximumCuts> held;  // of group 1 and on; begin is kFree when unused
  };

  std::size_t group_of(std::uint32_t slot) const {
    return cuts_ && slot < cuts_->groups.size() ? cuts_->groups[slot] : kAttached;
  }
  std::uint64_t& slowest_of(std::size_t group) {
    return group == kAttached ? slowest_ : cuts_->held[group - 1].begin;
  }
  bool slowest_changed(std::size_t group, std::uint64_t moved_from) {
    return moved_from == slowest_of(group) && find_slowest(group);
  }
  bool find_slowest(std::size_t group) {
    std::uint64_t& slowest = slowest_of(group);
    const std::uint64_t before = slowest;
    slowest = kFree;
    for (std::uint32_t slot = 0; slot < offsets_.size(); ++slot) {
      if (group_of(slot) == group) slowest = std::min(slowest, offsets_[slot]);
    }
    return slowest != before;
  }

  std::vector<std::uint64_t> offsets_;  // by slot; kFree: nobody
  std::vector<std::uint32_t> free_;
  std::size_t attached_ = 0;
  std::uint64_t slowest_ = kFree;  // of the attached
  std::unique_ptr<Cuts> cuts_;     // made at the first cut: nearly no blob needs them
};

}  // namespace nearfield::cache
