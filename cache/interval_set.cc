// Looked up by bisection; joined with both neighbours on the way in.
#include "cache/interval_set.h"

#include <algorithm>

namespace nearfield::cache {

// The first run that begins behind `offset`.
std::vector<IntervalSet::Interval>::const_iterator IntervalSet::after(std::uint64_t offset) const {
  return std::upper_bound(
      intervals_.begin(), intervals_.end(), offset,
      [](std::uint64_t value, const Interval& run) { return value < run.begin; });
}

std::optional<IntervalSet::Interval> IntervalSet::containing(std::uint64_t offset) const {
  const auto next = after(offset);
  if (next == intervals_.begin() || offset >= (next - 1)->end) return std::nullopt;
  return *(next - 1);
}

bool IntervalSet::extends_at(std::uint64_t offset) const {
  const auto next = after(offset);
  return next != intervals_.begin() && (next - 1)->end == offset;
}

std::optional<std::uint64_t> IntervalSet::next_begin(std::uint64_t offset) const {
  const auto next = after(offset);
  if (next == intervals_.end()) return std::nullopt;
  return next->begin;
}

bool IntervalSet::overlaps(std::uint64_t begin, std::uint64_t end) const {
  if (containing(begin)) return true;
  const auto next = next_begin(begin);
  return next && *next < end;
}

IntervalSet::Interval IntervalSet::add(std::uint64_t begin, std::uint64_t end) {
  const auto next = intervals_.begin() + (after(begin) - intervals_.cbegin());
  const bool joins_next = next != intervals_.end() && next->begin == end;
  const bool joins_previous = next != intervals_.begin() && (next - 1)->end == begin;
  if (joins_previous && joins_next) {
    (next - 1)->end = next->end;
    return *(intervals_.erase(next) - 1);
  }
  if (joins_previous) {
    (next - 1)->end = end;
    return *(next - 1);
  }
  if (joins_next) {
    next->begin = begin;
    return *next;
  }
  return *intervals_.insert(next, {begin, end});
}

}  // namespace nearfield::cache
