// Runs of free pages are found with shifts: `mask & mask >> 1` keeps a bit where two neighbours are
// free, and so on.
#include "cache/page_map.h"

#include <algorithm>
#include <bit>

#include "cache/base/assert.h"

namespace nearfield::cache {
namespace {

std::uint32_t longest_run(std::uint32_t mask) {
  std::uint32_t length = 0;
  for (; mask != 0; ++length) mask &= mask >> 1;
  return length;
}

std::uint32_t first_run(std::uint32_t mask, std::uint32_t pages) {
  std::uint32_t starts = mask;
  for (std::uint32_t i = 1; i < pages; ++i) starts &= mask >> i;
  return static_cast<std::uint32_t>(std::countr_zero(starts));
}

std::uint16_t mask_of(std::uint32_t first_page, std::uint32_t pages) {
  return static_cast<std::uint16_t>(((1u << pages) - 1) << first_page);
}

}  // namespace

PageMap::PageMap(std::uint32_t blocks)
    // calloc, because it gives large tables as memory that is not faulted in before its first use.
    : blocks_(blocks), table_(static_cast<Block*>(std::calloc(blocks, sizeof(Block)))) {
  lists_.fill(kNone);
}

std::optional<PageMap::Run> PageMap::take(std::uint32_t pages) {
  NEARFIELD_ASSERT(pages >= 1 && pages <= kPagesPerBlock);
  for (std::uint32_t length = pages; length <= kPagesPerBlock; ++length) {
    if (lists_[length] != kNone) {
      const std::uint32_t block = lists_[length];
      unlink(block);
      return take_from(block, pages);
    }
  }
  if (watermark_ == blocks_) return std::nullopt;
  const std::uint32_t block = watermark_++;
  table_[block].free_pages = kAllFree;
  return take_from(block, pages);
}

std::optional<PageMap::Run> PageMap::take_up_to(std::uint32_t pages) {
  for (std::uint32_t length = pages; length >= 1; --length) {
    if (auto run = take(length)) return run;
  }
  return std::nullopt;
}

// `block` is in no list and has a run that long.
PageMap::Run PageMap::take_from(std::uint32_t block, std::uint32_t pages) {
  Block& entry = table_[block];
  const std::uint32_t first = first_run(entry.free_pages, pages);
  entry.free_pages &= static_cast<std::uint16_t>(~mask_of(first, pages));
  used_pages_ += pages;
  link(block);
  return {block, first, pages};
}

void PageMap::give(const Run& run) {
  NEARFIELD_ASSERT(run.block < watermark_ && run.pages >= 1 &&
                   run.first_page + run.pages <= kPagesPerBlock);
  Block& entry = table_[run.block];
  const std::uint16_t mask = mask_of(run.first_page, run.pages);
  NEARFIELD_ASSERT((entry.free_pages & mask) == 0);  // else given back twice
  unlink(run.block);
  entry.free_pages |= mask;
  used_pages_ -= run.pages;
  link(run.block);
}

void PageMap::link(std::uint32_t block) {
  Block& entry = table_[block];
  const std::uint32_t length = longest_run(entry.free_pages);
  if (length == 0) return;
  entry.previous = kNone;
  entry.next = lists_[length];
  if (entry.next != kNone) table_[entry.next].previous = block;
  lists_[length] = block;
}

void PageMap::unlink(std::uint32_t block) {
  Block& entry = table_[block];
  const std::uint32_t length = longest_run(entry.free_pages);
  if (length == 0) return;
  if (entry.next != kNone) table_[entry.next].previous = entry.previous;
  (entry.previous != kNone ? table_[entry.previous].next : lists_[length]) = entry.next;
}

}  // namespace nearfield::cache
