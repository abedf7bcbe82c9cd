// VirtualClock: the time of a packetdrill run. It stands still while the stack works, jumps when
// the driver sleeps or waits for a packet, and moves one microsecond each time it is read, because
// the driver waits out the last 20 us before an event by reading it (interface.h).
#pragma once

#include <chrono>

#include "cache/base/clock.h"

namespace nearfield::packetdrill {

class VirtualClock {
 public:
  MonotonicTime now() const { return now_; }
  MonotonicTime read() {
    now_ += std::chrono::microseconds(1);
    return now_;
  }
  // Never back.
  void move_to(MonotonicTime to) {
    if (to > now_) now_ = to;
  }

 private:
  // Not the epoch: a timer's "never" and the beginning must differ.
  MonotonicTime now_{std::chrono::seconds(1'000'000)};
};

inline long long microseconds_of(MonotonicTime time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time.time_since_epoch()).count();
}

}  // namespace nearfield::packetdrill
