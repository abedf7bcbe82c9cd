#include "dataplane/access/time_floor.h"

#include <algorithm>

namespace nearfield::access {
namespace {

using std::chrono::microseconds;

// WallTime counts whole seconds: the clock said its second and up to one more.
constexpr std::int64_t kSecond = 1'000'000;

std::int64_t count(MonotonicTime time) {
  return std::chrono::floor<microseconds>(time.time_since_epoch()).count();
}

std::int64_t offset_of(WallTime now, MonotonicTime monotonic_now) {
  return microseconds(now.time_since_epoch()).count() - count(monotonic_now);
}

WallTime wall_time_at(std::int64_t offset, MonotonicTime monotonic_now) {
  const microseconds since_epoch(offset + count(monotonic_now));
  return WallTime(std::chrono::floor<std::chrono::seconds>(since_epoch));
}

}  // namespace

bool TimeFloor::is_behind(Offset reading, Offset known) {
  return known != kNone && known - reading >= 2 * kSecond;
}

bool TimeFloor::is_believed(Offset reading, MonotonicTime monotonic_now) const {
  const bool is_lower = is_behind(reading, lowest_.load(std::memory_order_acquire));
  const std::int64_t since = behind_since_.load(std::memory_order_relaxed);
  return !is_lower && since != kNone &&
         count(monotonic_now) - since >= microseconds(kBelievedAfter).count();
}

WallTime TimeFloor::at(MonotonicTime monotonic_now) const {
  const Offset known = offset_.load(std::memory_order_relaxed);
  return known == kNone ? WallTime() : wall_time_at(known, monotonic_now);
}

WallTime TimeFloor::look(WallTime now, MonotonicTime monotonic_now) const {
  const Offset known = offset_.load(std::memory_order_relaxed);
  const Offset reading = offset_of(now, monotonic_now);
  if (!is_behind(reading, known) || is_believed(reading, monotonic_now)) return now;
  return wall_time_at(known, monotonic_now);
}

WallTime TimeFloor::heed(WallTime now, MonotonicTime monotonic_now) {
  const Offset reading = offset_of(now, monotonic_now);
  const auto begins_hour = [&] {
    return behind_since_.load(std::memory_order_relaxed) == kNone ||
           is_behind(reading, lowest_.load(std::memory_order_relaxed));
  };
  const auto has_news = [&] {
    const Offset known = offset_.load(std::memory_order_relaxed);
    if (is_behind(reading, known)) return begins_hour() || is_believed(reading, monotonic_now);
    return behind_since_.load(std::memory_order_relaxed) != kNone || known < reading ||
           known >= reading + kSecond;
  };
  if (has_news()) {
    const std::scoped_lock lock(mutex_);
    const Offset known = offset_.load(std::memory_order_relaxed);
    if (!is_behind(reading, known)) {
      offset_.store(std::clamp(known, reading, reading + kSecond - 1), std::memory_order_relaxed);
      behind_since_.store(kNone, std::memory_order_relaxed);
    } else if (begins_hour()) {
      behind_since_.store(count(monotonic_now), std::memory_order_relaxed);
      lowest_.store(reading, std::memory_order_release);
    } else if (is_believed(reading, monotonic_now)) {
      offset_.store(reading, std::memory_order_relaxed);
      behind_since_.store(kNone, std::memory_order_relaxed);
    }
  }
  return look(now, monotonic_now);
}

void TimeFloor::distrust() {
  if (behind_since_.load(std::memory_order_relaxed) == kNone) return;
  const std::scoped_lock lock(mutex_);
  behind_since_.store(kNone, std::memory_order_relaxed);
}

}  // namespace nearfield::access
