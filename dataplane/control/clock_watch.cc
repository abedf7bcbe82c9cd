// See clock_watch.h.
#include "dataplane/control/clock_watch.h"

#include <sys/timex.h>

#include "dataplane/control/log.h"

namespace nearfield::control {
namespace {

constexpr std::chrono::seconds kLookEvery{30};

bool kernel_trusts_clock() {
  timex question{};
  const int state = ::adjtimex(&question);
  return state >= 0 && state != TIME_ERROR;  // -1: it may not be asked
}

}  // namespace

void watch_clock(EventLoop& loop, const AccessConfig& config, std::atomic<bool>& trusted) {
  const bool now = !config.kernel_must_trust_clock || kernel_trusts_clock();
  if (trusted.exchange(now) != now) {
    if (now) {
      log(LogLevel::info, "the clock is synchronised: licences and tokens are judged by it");
    } else {
      log(LogLevel::warn,
          "the kernel does not call the clock synchronised: licences that begin are not believed "
          "(access.clock.kernel_must_trust_it)");
    }
  }
  loop.after(kLookEvery, [&] { watch_clock(loop, config, trusted); });
}

}  // namespace nearfield::control
