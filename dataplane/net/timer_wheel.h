// TimerWheel: the deadlines of one worker, O(1) to arm and cancel however many there are.
//
// Seven levels of 64 slots; a timer sits at the level of the highest group of six bits in which its
// tick differs from the current tick, so that within a level only slots ahead of the current one
// are in use and the lowest level in use holds the earliest deadline. When the wheel reaches a slot
// of a higher level its timers move down. 42 bits of 4 ms ticks are 557 years; later deadlines
// count as that.
//
// The awkward part is a crowd: ten thousand timers in one slot must not stall a turn. advance()
// moves and fires at most a budget of timers and keeps its place, so that the rest follows in the
// next turns, in order, and none starves.
//
// One thread. Time is a parameter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "dataplane/net/timer.h"

namespace nearfield::net {

class TimerWheel {
 public:
  // `tick`: how exactly it keeps time; our own TCP paces in finer steps than a time-out needs.
  explicit TimerWheel(MonotonicTime start, Duration tick = kTimerTick);
  ~TimerWheel();  // disarms what is armed
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  // Re-arming an armed timer moves it (also from another wheel). A deadline that has passed fires
  // in the next advance().
  void arm(Timer& timer, MonotonicTime deadline);
  void cancel(Timer& timer);  // nothing when it is not armed

  // Fires what is due at `now`, earliest tick first; at most `budget` timers are moved or fired.
  // Callbacks may arm, cancel and destroy any timer, also their own. `now` that goes back counts as
  // no progress. Returns how many fired.
  std::size_t advance(MonotonicTime now, std::size_t budget);

  // When advance() next has work: never after the earliest deadline's tick, at times before it (a
  // slot that only moves down). In the past when the last advance() ran out of budget. Nothing when
  // nothing is armed.
  std::optional<MonotonicTime> next_deadline();

  std::size_t armed_count() const { return armed_count_; }

 private:
  static constexpr int kLevels = 7;
  static constexpr int kSlotBits = 6;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr std::uint64_t kLastTick = (std::uint64_t{1} << (kLevels * kSlotBits)) - 1;

  // A circular list through a head that is a Timer itself, so that unlinking needs no slot number.
  struct List {
    List();
    bool empty() const { return head.next_ == &head; }
    void push_back(Timer& timer);
    void splice_back(List& other);
    Timer head;
  };
  struct Level {
    std::uint64_t occupied = 0;  // may say 1 of a slot emptied by cancel(); next_slot() corrects it
    std::array<List, kSlots> slots;
  };
  struct Place {
    int level;
    int slot;
    std::uint64_t tick;  // when the wheel reaches it
  };

  static void unlink(Timer& timer);
  std::uint64_t tick_of(MonotonicTime deadline) const;  // rounded up: never early
  void insert(Timer& timer);
  std::optional<Place> next_place();
  void fire(Timer& timer);

  const MonotonicTime start_;
  const Duration tick_;
  std::uint64_t current_tick_ = 0;
  std::size_t armed_count_ = 0;
  List due_;     // past deadlines, for the next advance()
  List firing_;  // reached, in order, not yet called
  List moving_;  // from a slot of a higher level that the wheel has reached, not yet moved down
  std::array<Level, kLevels> levels_;
};

}  // namespace nearfield::net
