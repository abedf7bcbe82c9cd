// Whether the wall clock is to be believed where that decides who may listen: what requests, the
// status, metrics, the log and explanations go by.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "cache/base/clock.h"
#include "dataplane/access/policy.h"
#include "dataplane/access/time_floor.h"
#include "dataplane/control/config.h"
#include "dataplane/control/event_loop.h"
#include "dataplane/control/log.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::control {

// By the machine's clock.
WallTime wall_now();

struct ClockState {
  enum class Trust : std::uint8_t {
    trusted,
    not_synchronised,  // the kernel's word is wanted, and it says so
    before_release,    // no true time is
  };
  Trust trust = Trust::trusted;
  WallTime now{};
  // How much later requests are judged, because the clock was set back while it was trusted.
  std::chrono::seconds behind{0};

  bool is_trusted() const { return trust == Trust::trusted; }
};

ClockState clock_state(const access::AccessPolicy& policy, bool is_synchronised,
                       const access::TimeFloor& floor, WallTime now, MonotonicTime monotonic_now);

// What to log when `is` follows `was` (none: at the start); nothing when there is nothing new.
struct ClockNotice {
  LogLevel level;
  std::string text;
};
std::optional<ClockNotice> clock_notice(const std::optional<ClockState>& was, const ClockState& is);

// Looks at the clock now and then, also when nobody asks for anything. Control thread.
class ClockWatch {
 public:
  // All outlive the loop's run.
  ClockWatch(EventLoop& loop, const Config& config, proxy::SharedState& shared);

  void begin() { look(); }
  ClockState state() const;

 private:
  void look();

  EventLoop& loop_;
  const Config& config_;
  proxy::SharedState& shared_;
  std::optional<ClockState> said_;
};

}  // namespace nearfield::control
