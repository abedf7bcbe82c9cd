// See clock_watch.h.
#include "dataplane/control/clock_watch.h"

#include <sys/timex.h>

#include <format>
#include <string_view>

namespace nearfield::control {
namespace {

using Trust = ClockState::Trust;

constexpr std::chrono::seconds kLookEvery{30};

bool kernel_trusts_clock() {
  timex question{};
  const int state = ::adjtimex(&question);
  return state >= 0 && state != TIME_ERROR;  // -1: it may not be asked
}

constexpr std::string_view kUntil =
    "until then licences do not begin, and tokens that have run out may still pass";

}  // namespace

WallTime wall_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

ClockState clock_state(const access::AccessPolicy& policy, bool is_synchronised,
                       const access::TimeFloor& floor, WallTime now, MonotonicTime monotonic_now) {
  if (!policy.trusts_clock(is_synchronised, now)) {
    return {.trust = is_synchronised ? Trust::before_release : Trust::not_synchronised, .now = now};
  }
  return {.now = now, .behind = floor.look(now, monotonic_now) - now};
}

std::optional<ClockNotice> clock_notice(const std::optional<ClockState>& was,
                                        const ClockState& is) {
  const Trust before = was ? was->trust : Trust::trusted;
  const bool was_behind = was && was->behind.count() > 0;
  // A second step, and not a slower clock or rounding.
  const bool is_further = was && is.behind > was->behind + std::chrono::seconds(2);
  switch (is.trust) {
    case Trust::not_synchronised:
      if (is.trust == before) return std::nullopt;
      return ClockNotice{
          LogLevel::warn,
          std::format("the clock is not trusted: the kernel does not call it synchronised "
                      "(access.clock.kernel_must_trust_it); {}",
                      kUntil)};
    case Trust::before_release:
      if (is.trust == before) return std::nullopt;
      return ClockNotice{
          LogLevel::warn,
          std::format("the clock is not trusted: it says {:%FT%TZ}, and this release was made "
                      "later; set it; {}",
                      is.now, kUntil)};
    case Trust::trusted:
      break;
  }
  if (is.behind.count() > 0 && (!was_behind || is_further)) {
    return ClockNotice{
        LogLevel::warn,
        std::format("the clock was set back by {} s, to {:%FT%TZ}: requests are judged by what it "
                    "said before, until it has stood so for an hour; if it was ahead by mistake, a "
                    "restart ends that at once",
                    is.behind.count(), is.now)};
  }
  if (before != Trust::trusted || (was_behind && is.behind.count() == 0)) {
    return ClockNotice{
        LogLevel::info,
        std::format("the clock is trusted, and says {:%FT%TZ}: licences and tokens are judged by "
                    "it",
                    is.now)};
  }
  return std::nullopt;
}

ClockWatch::ClockWatch(EventLoop& loop, const Config& config, proxy::SharedState& shared)
    : loop_(loop), config_(config), shared_(shared) {}

ClockState ClockWatch::state() const {
  return clock_state(*config_.settings.access, shared_.clock_synchronised, *shared_.time_floor,
                     wall_now(), std::chrono::steady_clock::now());
}

void ClockWatch::look() {
  const bool is_synchronised = !config_.access.kernel_must_trust_clock || kernel_trusts_clock();
  shared_.clock_synchronised = is_synchronised;
  const WallTime now = wall_now();
  // As requests do.
  if (config_.settings.access->trusts_clock(is_synchronised, now)) {
    shared_.time_floor->heed(now, std::chrono::steady_clock::now());
  } else {
    shared_.time_floor->distrust();
  }
  const ClockState is = state();
  if (const auto notice = clock_notice(said_, is)) log(notice->level, "{}", notice->text);
  said_ = is;
  loop_.after(kLookEvery, [this] { look(); });
}

}  // namespace nearfield::control
