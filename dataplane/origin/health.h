// OriginHealth: may calls go to this server now? One for each server of a group, shared by the
// workers of the process, so that what one worker learns the others need not learn again.
//
//   healthy --(failures_to_eject calls in a row failed)--> ejected
//   ejected --(its time is over, one call asks)--> probing
//   probing --(a response head came)--> healthy
//   probing --(failed)--> ejected, for twice as long
//   any --(unhealthy_after active checks failed)--> unhealthy
//   unhealthy or ejected --(healthy_after good ones)--> healthy
//
// Only active checks bring an `unhealthy` server back: an operator who names a check path means it.
// An ejected one comes back by good checks as well. Any thread; the common case (healthy, no
// failures) is one relaxed load.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

#include "cache/base/clock.h"
#include "dataplane/origin/config.h"

namespace nearfield::origin {

enum class HealthState : std::uint8_t { healthy, ejected, probing, unhealthy };
const char* health_state_text(HealthState state);

struct HealthChange {
  std::string group;
  std::string server;  // host:port
  HealthState from;
  HealthState to;
  std::string reason;  // the failure that did it, or what brought it back
};

// Called without locks held, on the worker that saw the change. Must not call back into the health
// it speaks of.
using HealthListener = std::function<void(const HealthChange&)>;

struct HealthSnapshot {
  HealthState state = HealthState::healthy;
  std::uint32_t failures_in_a_row = 0;
  MonotonicTime retry_at{};  // when ejected: from when on a call may probe
  std::uint64_t changes = 0;
  std::string reason;  // of the last change
  // The last call, connection or check that failed, whatever came of it, and when; empty: none yet.
  std::string last_failure;
  MonotonicTime last_failure_at{};
};

class OriginHealth {
 public:
  OriginHealth(std::string group, std::string server, HealthListener listener);

  // Settings follow a reload; state stays.
  void configure(const HealthCheck& settings);

  enum class Admission {
    open,   // go ahead
    probe,  // go ahead, you are the one: report how it went, or abandon_probe()
    closed
  };
  // Whether a call could go there now, without taking the probe.
  Admission admission(MonotonicTime now) const;
  // As admission(), and takes the probe.
  Admission admit(MonotonicTime now);
  void abandon_probe(MonotonicTime now);

  // A whole response head came: enough for a probe to let others in.
  void report_answer();
  // A response came whole: ends the row of failures.
  void report_success();
  void report_failure(const std::string& reason, MonotonicTime now, std::uint64_t random);
  // For people, without a consequence: what went wrong last.
  void note_failure(const std::string& reason, MonotonicTime now);
  // The result of one active check; `problem` is empty when it was good.
  void report_check(const std::string& problem, MonotonicTime now);

  HealthSnapshot snapshot() const;
  HealthState state() const { return state_.load(std::memory_order_relaxed); }

 private:
  struct Change {
    HealthState from;
    HealthState to;
    std::string reason;
  };
  Change change_to(HealthState state, std::string reason);
  void tell(const Change& change) const;
  void eject(MonotonicTime now, std::uint64_t random);

  const std::string group_;
  const std::string server_;
  const HealthListener listener_;

  mutable std::mutex mutex_;  // guards all writing
  std::atomic<HealthState> state_ = HealthState::healthy;
  std::atomic<std::uint32_t> failures_ = 0;
  std::atomic<MonotonicTime::rep> retry_at_ = 0;
  HealthCheck settings_;
  Duration last_ejection_{};
  std::uint32_t bad_checks_ = 0;
  std::uint32_t good_checks_ = 0;
  std::uint64_t changes_ = 0;
  std::string reason_;
  std::string last_failure_;
  MonotonicTime last_failure_at_{};
};

}  // namespace nearfield::origin
