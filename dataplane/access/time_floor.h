// TimeFloor: the time by a clock that is trusted, kept from running backwards. A clock that is set
// back, by mistake or by somebody who answers for its time server, would make expired tokens good
// again. One for all workers of a process, so that every listener hears the same.
//
// Once a trusted clock has said a time, the time is at least that and what the monotonic clock
// counted since. A clock that says less is not followed until it has done so, trusted, for an hour:
// then what was ahead is taken as the mistake, so that one wrong answer of a time server does not
// close a node for good. Less than two seconds back is a clock that is slewed, and followed at
// once. Nothing of it outlives the process.
//
// Any thread. Readings that say nothing new, nearly all, write nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <mutex>

#include "cache/base/clock.h"

namespace nearfield::access {

class TimeFloor {
 public:
  static constexpr std::chrono::hours kBelievedAfter{1};

  // `now` by a clock that is trusted, read at `monotonic_now` (of one clock for all callers).
  // Returns the time to judge by: `now`, or the floor when the clock is behind it.
  WallTime heed(WallTime now, MonotonicTime monotonic_now);
  // What heed() would return, with nothing remembered.
  WallTime look(WallTime now, MonotonicTime monotonic_now) const;
  // To be called when the clock is not trusted: what it said until then counts for nothing.
  void distrust();
  // The time is at least this; the epoch when no clock was trusted yet.
  WallTime at(MonotonicTime monotonic_now) const;

 private:
  // Wall time less monotonic time, in microseconds: nanoseconds would end in the year 2262.
  using Offset = std::int64_t;
  static constexpr Offset kNone = std::numeric_limits<Offset>::min();

  bool is_behind(Offset reading, Offset known) const;
  bool is_believed(MonotonicTime monotonic_now, std::int64_t behind_since) const;

  std::mutex mutex_;  // of those who write
  std::atomic<Offset> offset_{kNone};
  std::atomic<std::int64_t> behind_since_{kNone};  // monotonic microseconds
};

}  // namespace nearfield::access
