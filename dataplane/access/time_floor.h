// TimeFloor: the time by a clock that is trusted, kept from running backwards. A clock that is set
// back, by mistake or by somebody who answers for its time server, would make expired tokens good
// again. One for all workers of a process, so that every listener hears the same.
//
// Once a trusted clock has said a time, the time is at least that and what the monotonic clock
// counted since. A clock that says less is not followed until it has done so, trusted, for an hour:
// then what was ahead is taken as the mistake, so that one wrong answer of a time server does not
// close a node for good. The hour begins anew when it is set back further: one small step must not
// buy a large one. Less than two seconds back is a clock that is slewed, and followed at once.
// Nothing of it outlives the process.
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
  // To be called when the clock is not trusted: the hour begins anew, the floor stays.
  void distrust();
  // The time is at least this; the epoch when no clock was trusted yet.
  WallTime at(MonotonicTime monotonic_now) const;

 private:
  // Wall time less monotonic time, in microseconds: nanoseconds would end in the year 2262.
  using Offset = std::int64_t;
  static constexpr Offset kNone = std::numeric_limits<Offset>::min();

  // By more than slewing and rounding explain; `known` may be kNone.
  static bool is_behind(Offset reading, Offset known);
  bool is_believed(Offset reading, MonotonicTime monotonic_now) const;

  std::mutex mutex_;  // of those who write
  std::atomic<Offset> offset_{kNone};
  // While the clock is behind: since when (monotonic microseconds), and the lowest it said since. A
  // lower one is stored after its time, so that nobody sees it with the time of the one before.
  std::atomic<std::int64_t> behind_since_{kNone};
  std::atomic<Offset> lowest_{kNone};
};

}  // namespace nearfield::access
