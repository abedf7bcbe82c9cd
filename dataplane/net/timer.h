// Timer: a deadline on a worker's wheel, embedded in whoever waits; arming and cancelling are O(1)
// and never allocate. Fires once, on the worker's thread, not before its deadline and within a tick
// (kTimerTick) or a turn of the loop after it.
#pragma once

#include <chrono>
#include <functional>

#include "cache/base/clock.h"

namespace nearfield::net {

inline constexpr Duration kTimerTick = std::chrono::milliseconds(4);

class TimerWheel;

class Timer {
 public:
  // `callback` is plain pointers, not std::function: there is one timer in every idle connection.
  using Callback = void (*)(void* context);
  Timer(Callback callback, void* context) : callback_(callback), context_(context) {}
  ~Timer();  // cancels
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return wheel_ != nullptr; }
  MonotonicTime deadline() const { return deadline_; }

 private:
  friend class TimerWheel;
  Callback callback_;
  void* context_;
  Timer* next_ = nullptr;
  Timer* previous_ = nullptr;
  TimerWheel* wheel_ = nullptr;
  MonotonicTime deadline_{};
};

}  // namespace nearfield::net
