// Clocks as values: time is always a parameter, taken once per turn of a worker's loop and handed
// down. MonotonicTime orders and times out; WallTime is what HTTP dates and ages speak of (RFC
// 9110 5.6.7), whole seconds since the Unix epoch. Only main.cc and the transports read a real
// clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace nearfield {

using Duration = std::chrono::nanoseconds;
using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, Duration>;
using WallTime = std::chrono::sys_seconds;

}  // namespace nearfield
