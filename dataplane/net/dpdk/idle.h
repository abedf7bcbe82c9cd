// Idle: how long a worker without work may sleep. A tower box must not burn a core at night, and a
// busy one must not sleep between two packets of a burst.
//
// A worker first looks again kTurnsAwake times, which costs some tens of microseconds and catches
// what follows at once; then it sleeps for a time that doubles, up to kShortSleep. What follows is
// the port's to say: with receive interrupts the worker sleeps until something comes; without, it
// goes on like that for kShortIdle and then lets its sleeps grow to the longest allowed. Anything
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
  // Shorter ones cost as much as they save: going to sleep and waking up take 5 to 20 us.
  static constexpr Duration kFirstSleep = std::chrono::microseconds(20);
  // What the first packet after a short pause may wait.
  static constexpr Duration kShortSleep = std::chrono::microseconds(250);
  static constexpr Duration kShortIdle = std::chrono::seconds(1);
  // Of a sleep until something comes: links are looked at and what has left is freed as often.
  static constexpr Duration kLongestWait = std::chrono::milliseconds(250);

  struct Rest {
    Duration sleep{};           // zero: none
    bool until_packet = false;  // only after the port was asked to wake us
  };

  // `longest`: zero never sleeps.
  explicit Idle(Duration longest) : longest_(longest) {}

  // After a turn: how the next one may sleep. `until_due`: when the next timer is due; negative
  // when one is overdue. `can_wait`: whether packets can wake the worker.
  Rest after_turn(bool worked, Duration until_due, bool can_wait) {
    if (worked) {
      empty_turns_ = 0;
      sleep_ = kFirstSleep;
      slept_ = {};
      return {};
    }
    if (longest_ <= Duration::zero() || ++empty_turns_ <= kTurnsAwake) return {};
    empty_turns_ = kTurnsAwake;  // stays there, and cannot overflow
    until_due = std::max(until_due, Duration::zero());
    if (can_wait && sleep_ > kShortSleep) return {std::min(until_due, kLongestWait), true};
    const Duration bound = slept_ < kShortIdle ? std::min(kShortSleep, longest_) : longest_;
    const Duration sleep = std::min({sleep_, bound, until_due});
    if (sleep_ <= kShortSleep || slept_ >= kShortIdle) sleep_ = std::min(sleep_ * 2, kMost);
    if (slept_ < kShortIdle) slept_ += sleep;
    return {sleep, false};
  }

 private:
  static constexpr Duration kMost = std::chrono::seconds(1);  // cannot overflow

  Duration longest_;
  Duration sleep_ = kFirstSleep;
  Duration slept_{};  // since the last work, until that is kShortIdle
  std::uint32_t empty_turns_ = 0;
};

}  // namespace nearfield::net::dpdk
