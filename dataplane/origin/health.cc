// Changes are made under the lock and told after it was let go.
#include "dataplane/origin/health.h"

#include <algorithm>
#include <format>
#include <optional>
#include <utility>

namespace nearfield::origin {

const char* health_state_text(HealthState state) {
  switch (state) {
    case HealthState::healthy:
      return "healthy";
    case HealthState::ejected:
      return "ejected";
    case HealthState::probing:
      return "probing";
    case HealthState::unhealthy:
      return "unhealthy";
  }
  return "?";
}

OriginHealth::OriginHealth(std::string group, std::string server, HealthListener listener)
    : group_(std::move(group)), server_(std::move(server)), listener_(std::move(listener)) {}

void OriginHealth::configure(const HealthCheck& settings) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    settings_ = settings;
    if (settings.path.empty() && state_ == HealthState::unhealthy) {
      // Nothing would ever bring it back.
      failures_ = 0;
      change = change_to(HealthState::healthy, "active checks were switched off");
    }
  }
  if (change.has_value()) tell(*change);
}

OriginHealth::Admission OriginHealth::admission(MonotonicTime now) const {
  switch (state_.load(std::memory_order_relaxed)) {
    case HealthState::healthy:
      return Admission::open;
    case HealthState::ejected:
      return now.time_since_epoch().count() >= retry_at_.load(std::memory_order_relaxed)
                 ? Admission::probe
                 : Admission::closed;
    case HealthState::probing:
    case HealthState::unhealthy:
      return Admission::closed;
  }
  return Admission::closed;
}

OriginHealth::Admission OriginHealth::admit(MonotonicTime now) {
  const Admission first_look = admission(now);
  if (first_look != Admission::probe) return first_look;
  const std::lock_guard lock(mutex_);
  const Admission second_look = admission(now);  // another worker may have been first
  if (second_look == Admission::probe) state_ = HealthState::probing;
  return second_look;
}

void OriginHealth::abandon_probe(MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  if (state_ != HealthState::probing) return;
  state_ = HealthState::ejected;
  retry_at_ = now.time_since_epoch().count();
}

void OriginHealth::report_answer() {
  if (state_.load(std::memory_order_relaxed) != HealthState::probing) return;
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    if (state_ != HealthState::probing) return;
    // The row of failures stands until a response came whole: one that answers and then breaks goes
    // out again at once.
    change = change_to(HealthState::healthy, "a probe was answered");
  }
  tell(*change);
}

void OriginHealth::report_success() {
  if (failures_.load(std::memory_order_relaxed) == 0) return;
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    failures_ = 0;
    last_ejection_ = Duration::zero();
    // A call begun before the ejection that ends well says as much as a probe.
    if (state_ == HealthState::ejected || state_ == HealthState::probing) {
      change = change_to(HealthState::healthy, "a call was answered");
    }
  }
  if (change.has_value()) tell(*change);
}

void OriginHealth::report_failure(const std::string& reason, MonotonicTime now,
                                  std::uint64_t random) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    last_failure_ = reason;
    last_failure_at_ = now;
    const std::uint32_t failures = failures_.load(std::memory_order_relaxed) + 1;
    failures_ = failures;
    const HealthState state = state_;
    if (state == HealthState::probing) {
      // Still out, for longer; not news.
      eject(now, random);
      state_ = HealthState::ejected;
      reason_ = reason;
    } else if (state == HealthState::healthy && failures >= settings_.failures_to_eject) {
      eject(now, random);
      change = change_to(HealthState::ejected, reason);
    }
  }
  if (change.has_value()) tell(*change);
}

void OriginHealth::note_failure(const std::string& reason, MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  last_failure_ = reason;
  last_failure_at_ = now;
}

void OriginHealth::report_check(const std::string& problem, MonotonicTime now) {
  std::optional<Change> change;
  {
    const std::lock_guard lock(mutex_);
    if (problem.empty()) {
      bad_checks_ = 0;
      good_checks_ = std::min(good_checks_ + 1, settings_.healthy_after);
      if (state_ != HealthState::healthy && good_checks_ >= settings_.healthy_after) {
        failures_ = 0;
        last_ejection_ = Duration::zero();
        change = change_to(HealthState::healthy, "active checks are good again");
      }
    } else {
      last_failure_ = problem;
      last_failure_at_ = now;
      good_checks_ = 0;
      bad_checks_ = std::min(bad_checks_ + 1, settings_.unhealthy_after);
      if (state_ != HealthState::unhealthy && bad_checks_ >= settings_.unhealthy_after) {
        retry_at_ = now.time_since_epoch().count();
        change = change_to(HealthState::unhealthy, problem);
      }
    }
  }
  if (change.has_value()) tell(*change);
}

HealthSnapshot OriginHealth::snapshot() const {
  const std::lock_guard lock(mutex_);
  return {.state = state_,
          .failures_in_a_row = failures_,
          .retry_at = MonotonicTime(Duration(retry_at_.load())),
          .changes = changes_,
          .reason = reason_,
          .last_failure = last_failure_,
          .last_failure_at = last_failure_at_};
}

OriginHealth::Change OriginHealth::change_to(HealthState state, std::string reason) {
  const HealthState from = state_.exchange(state);
  ++changes_;
  reason_ = reason;
  return {.from = from, .to = state, .reason = std::move(reason)};
}

void OriginHealth::tell(const Change& change) const {
  if (!listener_) return;
  listener_({.group = group_,
             .server = server_,
             .from = change.from,
             .to = change.to,
             .reason = change.reason});
}

// Doubles the time out; the jitter (a quarter either way) keeps nodes that lost one origin together
// from coming back together.
void OriginHealth::eject(MonotonicTime now, std::uint64_t random) {
  last_ejection_ = last_ejection_ == Duration::zero()
                       ? settings_.eject
                       : std::min(last_ejection_ * 2, settings_.eject_maximum);
  const auto quarter = last_ejection_ / 4;
  const auto jitter = quarter > Duration::zero()
                          ? Duration(static_cast<Duration::rep>(
                                random % static_cast<std::uint64_t>(2 * quarter.count())))
                          : Duration::zero();
  retry_at_ = (now + last_ejection_ - quarter + jitter).time_since_epoch().count();
}

}  // namespace nearfield::origin
