// Idle: how long a worker without work may sleep. A tower box must not burn a core at night, and a
// busy one must not sleep between two packets of a burst.
//
// A worker first looks again kTurnsAwake times, which costs some tens of microseconds and catches
// what follows at once; then it sleeps for a time that doubles up to the longest allowed. Anything
// to do begins that anew. Plain values, no clock.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::dpdk {

class Idle {
 public:
  static constexpr std::uint32_t kTurnsAwake = 64;
  // Shorter ones cost as much as they save: going to sleep and waking up take about 5 us.
  static constexpr Duration kFirstSleep = std::chrono::microseconds(20);

  // `longest`: zero never sleeps.
  explicit Idle(Duration longest) : longest_(longest) {}

  // After a turn: how long the next one may sleep, zero for not at all. `until_due`: when the next
  // timer is due; negative when one is overdue.
  Duration after_turn(bool worked, Duration until_due) {
    if (worked) {
      empty_turns_ = 0;
      sleep_ = kFirstSleep;
      return {};
    }
    if (longest_ <= Duration::zero() || ++empty_turns_ <= kTurnsAwake) return {};
    empty_turns_ = kTurnsAwake;  // stays there, and cannot overflow
    const Duration sleep = std::min({sleep_, longest_, std::max(until_due, Duration::zero())});
    sleep_ = std::min(sleep_ * 2, longest_);
    return sleep;
  }

 private:
  Duration longest_;
  Duration sleep_ = kFirstSleep;
  std::uint32_t empty_turns_ = 0;
};

}  // namespace nearfield::net::dpdk
