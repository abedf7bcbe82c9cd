// ExtentList: where in the arena the bytes of one blob lie, in the order of their offsets.
//
// Extents begin and end on page boundaries of the blob, never overlap, and may have holes between
// them while the blob grows. Sixteen bytes an extent: 0.02 % of what a 64 KiB one holds. The
// awkward part is how large the next one should be: see next_cell(). No threads: the blob locks, or
// has become immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "cache/arena.h"

namespace nearfield::cache {

class ExtentList {
 public:
  // No blob reaches beyond: 16 TiB, 32-bit page numbers.
  static constexpr std::uint64_t kMaximumBytes = (std::uint64_t{UINT32_MAX} + 1 - 16) * kPageBytes;

  struct Piece {
    std::uint64_t begin;  // offset in the blob
    Extent extent;
    std::uint64_t end() const { return begin + extent.bytes; }
  };
  struct Cell {
    std::uint64_t begin;
    std::uint64_t end;
  };

  // The index of the extent that holds `offset`.
  std::optional<std::size_t> find(std::uint64_t offset) const;
  Piece piece(std::size_t index) const;
  std::size_t size() const { return entries_.size(); }

  // What to get for `offset`, which no extent holds: its 64 KiB of the blob, less what neighbours
  // hold and what lies beyond `total_bytes`. Of a blob of unknown length the first 64 KiB come as
  // 4, 4, 8, 16 and 32 KiB: a short one costs a page.
  Cell next_cell(std::uint64_t offset, std::optional<std::uint64_t> total_bytes) const;
  // Puts an extent at `begin`, a page boundary where it overlaps nothing.
  void add(std::uint64_t begin, Extent extent);
  // Takes out the extents [first, first + count).
  void erase(std::size_t first, std::size_t count);
  // Shortens an extent to `bytes` (whole pages, not all of them) and returns the pages cut off.
  Extent trim(std::size_t index, std::uint32_t bytes);

  void shrink_to_fit() { entries_.shrink_to_fit(); }
  std::uint64_t memory_bytes() const { return entries_.capacity() * sizeof(Entry); }

 private:
  struct Entry {
    std::byte* data;
    std::uint32_t first_page;
    std::uint32_t pages;
  };
  static_assert(sizeof(Entry) == 16);

  // The index of the first extent that begins behind the page of `offset`.
  std::size_t after(std::uint64_t offset) const;

  std::vector<Entry> entries_;
};

}  // namespace nearfield::cache
