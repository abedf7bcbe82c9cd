// ReaderTable: where the attached readers of one growing blob are, and which is slowest.
// The slowest is remembered and looked for again only when it was the one that moved or left: a
// thousand readers of one window of 1 MiB cause some sixteen scans each. No threads: the blob
// locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/base/assert.h"

namespace nearfield::cache {

class ReaderTable {
 public:
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
    slowest_ = std::min(slowest_, offset);
    return slot;
  }

  // True when the slowest offset changed.
  bool move(std::uint32_t slot, std::uint64_t offset) {
    const std::uint64_t before = offsets_[slot];
    NEARFIELD_ASSERT(before <= offset && before != kFree);
    offsets_[slot] = offset;
    return before == slowest_ && find_slowest();
  }

  // True when the slowest offset changed or the last reader left.
  bool detach(std::uint32_t slot) {
    const std::uint64_t before = offsets_[slot];
    NEARFIELD_ASSERT(before != kFree);
    offsets_[slot] = kFree;
    free_.push_back(slot);
    return before == slowest_ && find_slowest();
  }

  bool empty() const { return free_.size() == offsets_.size(); }
  // Nothing when there is no reader.
  std::optional<std::uint64_t> slowest() const {
    if (empty()) return std::nullopt;
    return slowest_;
  }
  std::uint64_t memory_bytes() const {
    return offsets_.capacity() * sizeof(std::uint64_t) + free_.capacity() * sizeof(std::uint32_t);
  }

 private:
  static constexpr std::uint64_t kFree = UINT64_MAX;

  bool find_slowest() {
    const std::uint64_t before = slowest_;
    slowest_ = kFree;
    for (const std::uint64_t offset : offsets_) slowest_ = std::min(slowest_, offset);
    return slowest_ != before;
  }

  std::vector<std::uint64_t> offsets_;  // by slot; kFree: nobody
  std::vector<std::uint32_t> free_;
  std::uint64_t slowest_ = kFree;
};

}  // namespace nearfield::cache
