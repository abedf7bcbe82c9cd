// When a server is set aside, for how long, and what brings it back.
#include "dataplane/origin/health.h"

#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;
using Admission = OriginHealth::Admission;

TEST_GROUP(OriginHealth) {
  std::vector<HealthChange> changes;
  OriginHealth health{"g", "a:80",
                      [this](const HealthChange& change) { changes.push_back(change); }};
  MonotonicTime now{1h};
  HealthCheck settings;

  TEST_SETUP() {
    settings.failures_to_eject = 3;
    settings.eject = 1s;
    settings.eject_maximum = 4s;
    settings.unhealthy_after = 2;
    settings.healthy_after = 2;
    settings.path = "/check";
    health.configure(settings);
  }
  void fail_calls(int count) {
    for (int i = 0; i < count; ++i) health.report_failure("refused", now, 12345);
  }
  Duration aside() const { return health.snapshot().retry_at - now; }
};

TEST(OriginHealth, ARowOfFailuresEjects) {
  fail_calls(2);
  health.report_success();
  fail_calls(2);
  CHECK(health.admit(now) == Admission::open);
  fail_calls(1);
  CHECK(health.state() == HealthState::ejected);
  CHECK(health.admit(now) == Admission::closed);
  CHECK_EQUAL(1u, changes.size());
  STRCMP_EQUAL("g", changes[0].group.c_str());
  STRCMP_EQUAL("a:80", changes[0].server.c_str());
  STRCMP_EQUAL("refused", changes[0].reason.c_str());
  CHECK(changes[0].from == HealthState::healthy && changes[0].to == HealthState::ejected);
}

TEST(OriginHealth, OneProbeAfterTheTimeOut) {
  fail_calls(3);
  now += 1250ms;  // the time out with all its jitter
  CHECK(health.admission(now) == Admission::probe);
  CHECK(health.admit(now) == Admission::probe);
  CHECK(health.admit(now) == Admission::closed);
  health.report_answer();
  CHECK(health.admit(now) == Admission::open);
  CHECK_EQUAL(2u, changes.size());
}

TEST(OriginHealth, AnAbandonedProbeMayBeTakenByTheNext) {
  fail_calls(3);
  now += 1250ms;
  CHECK(health.admit(now) == Admission::probe);
  health.abandon_probe(now);
  CHECK(health.admit(now) == Admission::probe);
}

TEST(OriginHealth, TheTimeOutDoublesUpToItsMaximum) {
  fail_calls(3);
  for (const Duration expected : {1s, 2s, 4s, 4s}) {
    CHECK(aside() >= expected * 3 / 4 && aside() <= expected * 5 / 4);
    now += expected * 5 / 4;
    CHECK(health.admit(now) == Admission::probe);
    fail_calls(1);
    CHECK(health.state() == HealthState::ejected);
  }
  CHECK_EQUAL(1u, changes.size());  // a failed probe is not news
  // A whole response forgets it all.
  now += 5s;
  CHECK(health.admit(now) == Admission::probe);
  health.report_answer();
  health.report_success();
  fail_calls(3);
  CHECK(aside() <= 1250ms);
}

TEST(OriginHealth, OneThatAnswersAProbeAndThenBreaksGoesOutAtOnce) {
  fail_calls(3);
  now += 1250ms;
  CHECK(health.admit(now) == Admission::probe);
  health.report_answer();
  fail_calls(1);
  CHECK(health.state() == HealthState::ejected);
  CHECK(aside() >= 1500ms);
}

TEST(OriginHealth, JitterFollowsTheRandomNumber) {
  OriginHealth other("g", "b:80", {});
  other.configure(settings);
  for (int i = 0; i < 3; ++i) other.report_failure("x", now, 999'999'999);
  fail_calls(3);
  CHECK(other.snapshot().retry_at != health.snapshot().retry_at);
}

TEST(OriginHealth, ActiveChecksDecide) {
  health.report_check("503", now);
  health.report_check("", now);
  health.report_check("503", now);
  CHECK(health.admit(now) == Admission::open);
  health.report_check("503", now);
  CHECK(health.state() == HealthState::unhealthy);
  now += 1h;
  CHECK(health.admit(now) == Admission::closed);  // no probe by a call
  health.report_success();                        // of a call begun before
  health.report_check("", now);
  CHECK(health.state() == HealthState::unhealthy);
  health.report_check("", now);
  CHECK(health.state() == HealthState::healthy);
}

TEST(OriginHealth, GoodChecksBringAnEjectedServerBack) {
  fail_calls(3);
  health.report_check("", now);
  health.report_check("", now);
  CHECK(health.admit(now) == Admission::open);
  STRCMP_EQUAL("active checks are good again", changes.back().reason.c_str());
}

TEST(OriginHealth, SwitchingChecksOffFreesWhatTheyHeld) {
  health.report_check("503", now);
  health.report_check("503", now);
  settings.path.clear();
  health.configure(settings);
  CHECK(health.admit(now) == Admission::open);
}
