// Levels and the throttle; what a line looks like is looked at by the system tests, on a real
// stderr.
#include "dataplane/control/log.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

TEST_GROUP(Log){};

TEST(Log, LevelsHaveNames) {
  for (const LogLevel level :
       {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error, LogLevel::off}) {
    CHECK(parse_log_level(log_level_text(level)) == level);
  }
  CHECK_FALSE(parse_log_level("INFO").has_value());
  CHECK_FALSE(parse_log_level("").has_value());
}

TEST(Log, ThrottleLetsOneThroughAnInterval) {
  LogThrottle throttle(60s);
  const MonotonicTime start{1000h};
  CHECK(throttle.ask(start).allowed);
  CHECK_FALSE(throttle.ask(start).allowed);
  CHECK_FALSE(throttle.ask(start + 59s).allowed);
  const auto permit = throttle.ask(start + 60s);
  CHECK(permit.allowed);
  UNSIGNED_LONGS_EQUAL(2, permit.suppressed);
  CHECK_FALSE(throttle.ask(start + 61s).allowed);
}
