// TimeFloor: the time by a clock that is trusted, kept from running backwards. A clock that is set
// back, by mistake or by somebody who answers for its time server, would make expired tokens good
// again.
//
// Once a trusted clock has said a time, the time is at least that and what the monotonic clock
// counted since. A clock that says less is not followed until it has done so, trusted, for an hour:
// then what was ahead is taken as the mistake, so that one wrong answer of a time server does not
// close a node for good. Nothing of it outlives the process.
#pragma once

#include <chrono>
#include <optional>

#include "cache/base/clock.h"

namespace nearfield::access {

class TimeFloor {
 public:
  static constexpr std::chrono::hours kBelievedAfter{1};

  // `now` by a clock that is trusted. Returns the time to judge by: `now`, or the floor when that
  // is later.
  WallTime heed(WallTime now, MonotonicTime monotonic_now);
  // To be called when the clock is not trusted: what it said until then counts for nothing.
  void distrust() { behind_since_.reset(); }
  // The time is at least this; the epoch when no clock was trusted yet.
  WallTime at(MonotonicTime monotonic_now) const;

 private:
  WallTime floor_{};
  MonotonicTime floor_at_{};
  std::optional<MonotonicTime> behind_since_;
};

}  // namespace nearfield::access
