// EntryQueue: an intrusive doubly linked list of policy entries from newest to oldest that knows
// its bytes and its length. Every operation is O(1) and allocates nothing. An entry is in at most
// one queue.
#pragma once

#include <cstdint>

#include "cache/policy/entry.h"

namespace nearfield::cache {

class EntryQueue {
 public:
  PolicyEntry* newest() const { return newest_; }
  PolicyEntry* oldest() const { return oldest_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t size() const { return size_; }
  bool empty() const { return oldest_ == nullptr; }

  void push_newest(PolicyEntry& entry) {
    entry.newer = nullptr;
    entry.older = newest_;
    (newest_ != nullptr ? newest_->newer : oldest_) = &entry;
    newest_ = &entry;
    bytes_ += entry.size_bytes;
    ++size_;
  }

  void push_oldest(PolicyEntry& entry) {
    entry.older = nullptr;
    entry.newer = oldest_;
    (oldest_ != nullptr ? oldest_->older : newest_) = &entry;
    oldest_ = &entry;
    bytes_ += entry.size_bytes;
    ++size_;
  }

  void unlink(PolicyEntry& entry) {
    (entry.newer != nullptr ? entry.newer->older : newest_) = entry.older;
    (entry.older != nullptr ? entry.older->newer : oldest_) = entry.newer;
    entry.newer = nullptr;
    entry.older = nullptr;
    bytes_ -= entry.size_bytes;
    --size_;
  }

  void move_to_newest(PolicyEntry& entry) {
    if (newest_ == &entry) return;
    unlink(entry);
    push_newest(entry);
  }

  // Fetches the third oldest entry into the core's cache: what is evicted next but one has not
  // been touched for long.
  void prefetch_oldest() const {
    if (oldest_ != nullptr && oldest_->newer != nullptr)
      __builtin_prefetch(oldest_->newer->newer, 1);
  }

  void resize(PolicyEntry& entry, std::uint64_t size_bytes) {
    bytes_ += size_bytes - entry.size_bytes;
    entry.size_bytes = size_bytes;
  }

 private:
  PolicyEntry* newest_ = nullptr;
  PolicyEntry* oldest_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace nearfield::cache
