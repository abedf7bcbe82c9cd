// PageMap: which of the arena's blocks and pages are free. Pure bookkeeping over numbers: it never
// touches the memory itself.
//
// Invariant: a block is in exactly one place: untouched (at or above the watermark), in the list of
// whole free blocks, in the list of split blocks whose longest run of free pages is n (1 to 15), or
// in none because all of it is handed out. So a request for n pages looks at sixteen list heads at
// most and takes the tightest fit. The awkward part is the watermark: the table of a large arena
// would be megabytes of page faults at start if blocks had to be put in a list first.
//
// No threads: its owner locks.
#pragma once

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>

#include "cache/arena.h"

namespace nearfield::cache {

class PageMap {
 public:
  static constexpr std::uint32_t kPagesPerBlock = kBlockBytes / kPageBytes;
  static_assert(kPagesPerBlock == 16, "masks of pages are 16 bits");

  struct Run {
    std::uint32_t block;
    std::uint32_t first_page;  // within the block
    std::uint32_t pages;
  };

  // Null table when the memory for it is not to be had.
  explicit PageMap(std::uint32_t blocks);
  bool valid() const { return table_ != nullptr; }

  // A run of exactly `pages` (1 to 16) neighbours.
  std::optional<Run> take(std::uint32_t pages);
  // The longest run there is, at most `pages`. Nothing only when every page is handed out.
  std::optional<Run> take_up_to(std::uint32_t pages);
  // Any part of what was taken. Asserts that it was.
  void give(const Run& run);

  std::uint64_t used_pages() const { return used_pages_; }
  std::uint64_t table_bytes() const { return std::uint64_t{blocks_} * sizeof(Block); }

 private:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint16_t kAllFree = 0xffff;

  struct Block {
    std::uint32_t next;
    std::uint32_t previous;
    std::uint16_t free_pages;  // bit i: page i is free
  };
  struct Free {
    void operator()(Block* table) const { std::free(table); }
  };

  Run take_from(std::uint32_t block, std::uint32_t pages);
  void link(std::uint32_t block);
  void unlink(std::uint32_t block);

  std::uint32_t blocks_;
  std::uint32_t watermark_ = 0;  // blocks at or above were never handed out
  std::uint64_t used_pages_ = 0;
  std::unique_ptr<Block[], Free> table_;
  std::array<std::uint32_t, kPagesPerBlock + 1> lists_;  // by longest free run; [16]: whole blocks
};

}  // namespace nearfield::cache
