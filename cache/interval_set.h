// IntervalSet: which bytes of a growing blob have been published, as disjoint runs in order.
// Runs that touch are joined, so a blob filled from its beginning has one. No threads: the blob
// locks.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace nearfield::cache {

class IntervalSet {
 public:
  struct Interval {
    std::uint64_t begin;
    std::uint64_t end;  // past the last byte
  };

  // The run that holds `offset`.
  std::optional<Interval> containing(std::uint64_t offset) const;
  // Whether adding bytes at `offset` would extend a run rather than begin one.
  bool extends_at(std::uint64_t offset) const;
  // Where the first run behind `offset` begins.
  std::optional<std::uint64_t> next_begin(std::uint64_t offset) const;
  bool overlaps(std::uint64_t begin, std::uint64_t end) const;
  // Adds [begin, end), which overlaps nothing; returns the run it is now part of.
  Interval add(std::uint64_t begin, std::uint64_t end);

  std::size_t size() const { return intervals_.size(); }
  bool empty() const { return intervals_.empty(); }
  std::uint64_t end() const { return intervals_.empty() ? 0 : intervals_.back().end; }
  void clear() { std::vector<Interval>().swap(intervals_); }

 private:
  std::vector<Interval>::const_iterator after(std::uint64_t offset) const;

  std::vector<Interval> intervals_;
};

}  // namespace nearfield::cache
