// IntervalSet: which positions of a stream are there, as disjoint half-open ranges.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

namespace nearfield::sim::tcp {

class IntervalSet {
 public:
  using Range = std::pair<std::uint64_t, std::uint64_t>;

  void insert(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin() && std::prev(next)->second >= begin) {
      --next;
      begin = next->first;
    }
    while (next != ranges_.end() && next->first <= end) {
      end = std::max(end, next->second);
      next = ranges_.erase(next);
    }
    ranges_.emplace(begin, end);
  }
  // The whole range `position` lies in.
  std::optional<Range> around(std::uint64_t position) const {
    auto next = ranges_.upper_bound(position);
    if (next == ranges_.begin() || (--next)->second <= position) return std::nullopt;
    return *next;
  }
  bool contains(std::uint64_t begin, std::uint64_t end) const {
    const auto range = around(begin);
    return begin >= end || (range && range->second >= end);
  }
  // Where what is there without a gap from `position` on ends.
  std::uint64_t end_of_run(std::uint64_t position) const {
    const auto range = around(position);
    return range ? range->second : position;
  }
  // The first range that has something in [begin, end), cut to it.
  std::optional<Range> overlap(std::uint64_t begin, std::uint64_t end) const {
    auto next = ranges_.upper_bound(begin);
    if (next != ranges_.begin() && std::prev(next)->second > begin) --next;
    if (next == ranges_.end() || next->first >= end) return std::nullopt;
    return Range{std::max(begin, next->first), std::min(end, next->second)};
  }
  void erase_below(std::uint64_t position) {
    while (!ranges_.empty() && ranges_.begin()->first < position) {
      const std::uint64_t end = ranges_.begin()->second;
      ranges_.erase(ranges_.begin());
      if (end > position) ranges_.emplace(position, end);
    }
  }
  void clear() { ranges_.clear(); }
  bool empty() const { return ranges_.empty(); }
  std::size_t size() const { return ranges_.size(); }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;
};

}  // namespace nearfield::sim::tcp
