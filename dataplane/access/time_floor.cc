#include "dataplane/access/time_floor.h"

#include <algorithm>

namespace nearfield::access {

WallTime TimeFloor::at(MonotonicTime monotonic_now) const {
  if (floor_ == WallTime()) return floor_;
  const auto passed = std::max(monotonic_now - floor_at_, MonotonicTime::duration(0));
  return floor_ + std::chrono::floor<std::chrono::seconds>(passed);
}

WallTime TimeFloor::heed(WallTime now, MonotonicTime monotonic_now) {
  const WallTime floor = at(monotonic_now);
  if (now < floor) {
    if (!behind_since_) behind_since_ = monotonic_now;
    if (monotonic_now - *behind_since_ < kBelievedAfter) return floor;
  }
  floor_ = now;
  floor_at_ = monotonic_now;
  behind_since_.reset();
  return now;
}

}  // namespace nearfield::access
