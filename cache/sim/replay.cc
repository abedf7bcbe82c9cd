// See replay.h.
#include "cache/sim/replay.h"

#include <algorithm>

#include "cache/sim/mix.h"

namespace nearfield::cache::sim {

namespace {

constexpr std::size_t kEntriesPerChunk = 65536;

}  // namespace

Replay::Replay(std::unique_ptr<EvictionPolicy> policy, std::uint64_t expected_entries)
    : policy_(std::move(policy)), resident_(expected_entries) {
  while (chunks_.size() * kEntriesPerChunk < expected_entries)
    chunks_.emplace_back(kEntriesPerChunk);
}

void Replay::run(std::span<const Request> requests) {
  // Memory is fetched ahead in two steps, the cell of the table and then the entry it names; a node
  // spends that time on the socket.
  constexpr std::size_t kCellAhead = 32;
  constexpr std::size_t kEntryAhead = 16;
  hashes_.resize(requests.size() + kCellAhead);
  for (std::size_t i = 0; i < requests.size(); ++i) hashes_[i] = mix64(requests[i].id);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    resident_.prefetch(hashes_[i + kCellAhead]);
    policy_->prefetch(hashes_[i + kEntryAhead]);
    resident_.prefetch_entry(hashes_[i + kEntryAhead]);
    request(hashes_[i], requests[i].size_bytes);
  }
}

void Replay::request(std::uint64_t name_hash, std::uint64_t size_bytes) {
  ++counts_.requests;
  counts_.request_bytes += size_bytes;
  PolicyEntry* entry = resident_.find(name_hash);
  if (entry != nullptr && entry->queue == PolicyEntry::kNoQueue) {
    finish_forgetting(0);  // it is one of those leaving
    entry = nullptr;
  }
  if (entry != nullptr && entry->size_bytes == size_bytes) {
    policy_->hit(*entry);
    return;
  }
  if (entry != nullptr) {
    policy_->remove(*entry);
    forget(*entry);
    finish_forgetting(0);
  }
  miss(name_hash, size_bytes);
}

void Replay::miss(std::uint64_t name_hash, std::uint64_t size_bytes) {
  ++counts_.misses;
  counts_.miss_bytes += size_bytes;
  if (!policy_->admits(size_bytes)) {
    ++counts_.too_large;
    return;
  }
  while (policy_->used_bytes() + size_bytes > policy_->capacity_bytes()) {
    PolicyEntry* victim = policy_->evict();
    if (victim == nullptr) return;
    ++counts_.evictions;
    forget(*victim);
  }
  PolicyEntry& entry = new_entry();
  entry.name_hash = name_hash;
  entry.size_bytes = size_bytes;
  policy_->insert(entry);
  resident_.insert(entry);
  counts_.most_entries = std::max(counts_.most_entries, policy_->entries());
}

void Replay::forget(PolicyEntry& entry) {
  resident_.prefetch(entry.name_hash);
  leaving_[(leaving_begin_ + leaving_count_++) % leaving_.size()] = &entry;
  finish_forgetting(leaving_.size() - 1);
}

void Replay::finish_forgetting(std::size_t at_most_left) {
  for (; leaving_count_ > at_most_left; --leaving_count_) {
    PolicyEntry& entry = *leaving_[leaving_begin_];
    leaving_begin_ = (leaving_begin_ + 1) % leaving_.size();
    resident_.erase(entry.name_hash);
    entry.older = free_;
    free_ = &entry;
  }
}

PolicyEntry& Replay::new_entry() {
  if (free_ != nullptr) {
    PolicyEntry& entry = *free_;
    free_ = entry.older;
    entry = PolicyEntry{};
    return entry;
  }
  if (used_chunks_ == 0 || used_in_chunk_ == kEntriesPerChunk) {
    if (++used_chunks_ > chunks_.size()) chunks_.emplace_back(kEntriesPerChunk);
    used_in_chunk_ = 0;
  }
  return chunks_[used_chunks_ - 1][used_in_chunk_++];
}

}  // namespace nearfield::cache::sim
