// ResidentTable: which entry holds a name, for the simulator. Open addressing with linear probing
// and backward-shift deletion, at most half full, so that a look-up is one cache line nearly always
// and can be fetched ahead.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "cache/policy/entry.h"
#include "cache/policy/huge_page_allocator.h"

namespace nearfield::cache::sim {

class ResidentTable {
 public:
  // Begins with room for `entries`; grows when more come.
  explicit ResidentTable(std::uint64_t entries = 0)
      : cells_(std::max(kLeastCells, std::bit_ceil(2 * entries))), mask_(cells_.size() - 1) {}

  PolicyEntry* find(std::uint64_t name_hash) const {
    for (std::uint64_t i = name_hash & mask_; cells_[i].entry != nullptr; i = (i + 1) & mask_) {
      if (cells_[i].name_hash == name_hash) return cells_[i].entry;
    }
    return nullptr;
  }

  // The name must not be in the table.
  void insert(PolicyEntry& entry) {
    if (2 * (size_ + 1) > cells_.size()) grow();
    place(entry);
    ++size_;
  }

  // The name must be in the table.
  void erase(std::uint64_t name_hash) {
    std::uint64_t hole = name_hash & mask_;
    while (cells_[hole].name_hash != name_hash || cells_[hole].entry == nullptr)
      hole = (hole + 1) & mask_;
    for (std::uint64_t i = (hole + 1) & mask_; cells_[i].entry != nullptr; i = (i + 1) & mask_) {
      const std::uint64_t home = cells_[i].name_hash & mask_;
      if (((i - home) & mask_) < ((i - hole) & mask_)) continue;  // is not before its home if moved
      cells_[hole] = cells_[i];
      hole = i;
    }
    cells_[hole] = {};
    --size_;
  }

  void prefetch(std::uint64_t name_hash) const { __builtin_prefetch(&cells_[name_hash & mask_]); }
  // After prefetch(): fetches the entry too if it is at its home or next to it.
  void prefetch_entry(std::uint64_t name_hash) const {
    for (std::uint64_t i = name_hash; i != name_hash + 2; ++i) {
      const Cell& cell = cells_[i & mask_];
      if (cell.name_hash == name_hash) __builtin_prefetch(cell.entry, 1);
    }
  }

  std::uint64_t size() const { return size_; }

 private:
  static constexpr std::uint64_t kLeastCells = 1024;
  struct Cell {
    std::uint64_t name_hash = 0;
    PolicyEntry* entry = nullptr;
  };
  using Cells = std::vector<Cell, HugePageAllocator<Cell>>;

  void place(PolicyEntry& entry) {
    std::uint64_t i = entry.name_hash & mask_;
    while (cells_[i].entry != nullptr) i = (i + 1) & mask_;
    cells_[i] = {entry.name_hash, &entry};
  }

  void grow() {
    Cells old(cells_.size() * 2);
    old.swap(cells_);
    mask_ = cells_.size() - 1;
    for (const Cell& cell : old) {
      if (cell.entry != nullptr) place(*cell.entry);
    }
  }

  Cells cells_;
  std::uint64_t mask_;
  std::uint64_t size_ = 0;
};

}  // namespace nearfield::cache::sim
