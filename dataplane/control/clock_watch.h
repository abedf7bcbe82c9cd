// Whether the wall clock is to be believed where that decides who may listen.
#pragma once

#include <atomic>

#include "dataplane/control/config.h"
#include "dataplane/control/event_loop.h"

namespace nearfield::control {

// Sets `trusted` now and again every half minute: true, unless `config` wants the kernel's word and
// the kernel calls its clock not synchronised (adjtimex(2), TIME_ERROR: no NTP or PTP has set it).
// Both references outlive the loop's run. Control thread.
void watch_clock(EventLoop& loop, const AccessConfig& config, std::atomic<bool>& trusted);

}  // namespace nearfield::control
