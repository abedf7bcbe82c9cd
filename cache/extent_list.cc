// Bisection over the first pages; additions are nearly always at the end, removals nearly always at
// the beginning.
#include "cache/extent_list.h"

#include <algorithm>
#include <bit>

#include "cache/base/assert.h"

namespace nearfield::cache {
namespace {

std::uint64_t round_up_to_page(std::uint64_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

std::size_t ExtentList::after(std::uint64_t offset) const {
  const std::uint64_t page = offset / kPageBytes;
  const auto next = std::upper_bound(
      entries_.begin(), entries_.end(), page,
      [](std::uint64_t value, const Entry& entry) { return value < entry.first_page; });
  return static_cast<std::size_t>(next - entries_.begin());
}

std::optional<std::size_t> ExtentList::find(std::uint64_t offset) const {
  const std::size_t next = after(offset);
  if (next == 0 || offset >= piece(next - 1).end()) return std::nullopt;
  return next - 1;
}

ExtentList::Piece ExtentList::piece(std::size_t index) const {
  const Entry& entry = entries_[index];
  return {std::uint64_t{entry.first_page} * kPageBytes,
          {entry.data, static_cast<std::uint32_t>(entry.pages * kPageBytes)}};
}

ExtentList::Cell ExtentList::next_cell(std::uint64_t offset,
                                       std::optional<std::uint64_t> total_bytes) const {
  Cell cell;
  if (total_bytes || offset >= kBlockBytes) {
    cell.begin = offset / kBlockBytes * kBlockBytes;
    cell.end = cell.begin + kBlockBytes;
    if (total_bytes) cell.end = std::min(cell.end, round_up_to_page(*total_bytes));
  } else {
    cell.begin = offset < kPageBytes ? 0 : std::bit_floor(offset);
    cell.end = std::max<std::uint64_t>(kPageBytes, 2 * cell.begin);
  }
  const std::size_t next = after(offset);
  if (next > 0) cell.begin = std::max(cell.begin, piece(next - 1).end());
  if (next < entries_.size()) cell.end = std::min(cell.end, piece(next).begin);
  return cell;
}

void ExtentList::add(std::uint64_t begin, Extent extent) {
  NEARFIELD_ASSERT(begin % kPageBytes == 0 && begin + extent.bytes <= kMaximumBytes);
  const std::size_t next = after(begin);
  NEARFIELD_ASSERT(next == 0 || piece(next - 1).end() <= begin);
  NEARFIELD_ASSERT(next == entries_.size() || begin + extent.bytes <= piece(next).begin);
  entries_.insert(entries_.begin() + static_cast<std::ptrdiff_t>(next),
                  {extent.data, static_cast<std::uint32_t>(begin / kPageBytes),
                   static_cast<std::uint32_t>(extent.bytes / kPageBytes)});
}

void ExtentList::erase(std::size_t first, std::size_t count) {
  const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first);
  entries_.erase(begin, begin + static_cast<std::ptrdiff_t>(count));
}

Extent ExtentList::trim(std::size_t index, std::uint32_t bytes) {
  Entry& entry = entries_[index];
  const auto keep = static_cast<std::uint32_t>(bytes / kPageBytes);
  NEARFIELD_ASSERT(bytes % kPageBytes == 0 && keep > 0 && keep < entry.pages);
  const Extent rest{entry.data + bytes,
                    static_cast<std::uint32_t>((entry.pages - keep) * kPageBytes)};
  entry.pages = keep;
  return rest;
}

}  // namespace nearfield::cache
