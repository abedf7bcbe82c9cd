// See staging.h. Positions count on for ever and are taken modulo the memory's size; a piece that
// would run over the memory's end begins at its beginning, and the rest before it belongs to it.
#include "dataplane/net/staging.h"

#include <algorithm>
#include <limits>

#include "cache/base/assert.h"

namespace nearfield::net {
namespace {

constexpr std::uint64_t kUnsettled = std::numeric_limits<std::uint64_t>::max();

}  // namespace

Staging::Staging(std::span<std::byte> memory)
    : memory_(memory),
      entries_(std::make_unique<Entry[]>(kMaximumPieces)),
      renewed_(std::make_unique<std::uint64_t[]>(kMaximumRenewed)) {
  NEARFIELD_ASSERT(!memory.empty());
}

Staging::Piece Staging::take(std::size_t bytes) {
  NEARFIELD_ASSERT(bytes > 0 && bytes <= memory_.size() / 2);
  if (next_ - first_ == kMaximumPieces) return {};
  std::size_t start = end_;
  const std::size_t to_end = memory_.size() - start % memory_.size();
  if (to_end < bytes) start += to_end;
  if (start + bytes - begin_ > memory_.size()) return {};
  end_ = start + bytes;
  entry(next_) = {.end = end_, .use = kUnsettled};
  return {.number = next_++, .bytes = memory_.subspan(start % memory_.size(), bytes)};
}

bool Staging::renew(std::uint64_t number) {
  if (number < first_ || number >= next_) return false;
  if (entry(number).use == kUnsettled) return true;
  if (renewed_count_ == kMaximumRenewed) return false;
  renewed_[renewed_count_++] = number;
  entry(number).use = kUnsettled;
  return true;
}

void Staging::settle(std::uint64_t use) {
  for (; unsettled_ < next_; ++unsettled_) entry(unsettled_).use = use;
  for (; renewed_count_ > 0; --renewed_count_) entry(renewed_[renewed_count_ - 1]).use = use;
}

void Staging::retire(std::uint64_t use) {
  while (first_ < next_ && entry(first_).use <= use) begin_ = entry(first_++).end;
  // Empty: from the front again, so that a worker with little to do stays within few cache lines.
  if (first_ == next_ && begin_ != 0) begin_ = end_ = 0;
}

}  // namespace nearfield::net
