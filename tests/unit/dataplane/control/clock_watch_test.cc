// Whether the clock is trusted, in one word for requests, metrics and the log.
#include "dataplane/control/clock_watch.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::control;
using std::chrono::seconds;
using Trust = ClockState::Trust;

TEST_GROUP(ClockWatch) {
  std::shared_ptr<const access::AccessPolicy> policy = access::policy_of(access::signed_options());
  access::TimeFloor floor;
  const MonotonicTime at{seconds(5000)};

  ClockState look(WallTime now, bool is_synchronised = true) {
    return clock_state(*policy, is_synchronised, floor, now, at);
  }
  static std::string text(const std::optional<ClockNotice>& notice, LogLevel level) {
    if (!notice) return {};
    CHECK_TRUE(notice->level == level);
    return notice->text;
  }
};

TEST(ClockWatch, SaysNothingOfAClockThatIsRight) {
  const ClockState state = look(access::kNow);
  CHECK_TRUE(state.is_trusted());
  CHECK_FALSE(clock_notice(std::nullopt, state).has_value());
  CHECK_FALSE(clock_notice(state, state).has_value());
}

TEST(ClockWatch, WarnsOfOneBeforeTheReleaseAlsoWithoutRules) {
  const ClockState early = look(WallTime(seconds(1000)));
  CHECK_TRUE(early.trust == Trust::before_release);
  STRCMP_CONTAINS(
      "the clock is not trusted: it says 1970-01-01T00:16:40Z, and this release was made later",
      text(clock_notice(std::nullopt, early), LogLevel::warn).c_str());
  CHECK_FALSE(clock_notice(early, early).has_value());
  STRCMP_CONTAINS("the clock is trusted, and says 2027-01-15T08:00:00Z",
                  text(clock_notice(early, look(access::kNow)), LogLevel::info).c_str());
  policy = access::AccessPolicy::open();
  CHECK_FALSE(look(WallTime(seconds(1000))).is_trusted());
}

TEST(ClockWatch, WarnsOfOneThatTheKernelDoesNotCallSynchronised) {
  const ClockState state = look(access::kNow, false);
  CHECK_TRUE(state.trust == Trust::not_synchronised);
  STRCMP_CONTAINS("the kernel does not call it synchronised",
                  text(clock_notice(look(access::kNow), state), LogLevel::warn).c_str());
}

TEST(ClockWatch, WarnsOfOneThatIsSetBackUntilItIsBelieved) {
  floor.heed(access::kNow + seconds(7200), at);
  const ClockState right = look(access::kNow + seconds(7200));
  const ClockState behind = look(access::kNow);
  CHECK_TRUE(behind.is_trusted());
  LONGS_EQUAL(7200, behind.behind.count());
  STRCMP_CONTAINS("the clock was set back by 7200 s, to 2027-01-15T08:00:00Z",
                  text(clock_notice(right, behind), LogLevel::warn).c_str());
  CHECK_FALSE(clock_notice(behind, behind).has_value());
  // And again when it is set back further.
  STRCMP_CONTAINS(
      "set back by 10800 s",
      text(clock_notice(behind, look(access::kNow - seconds(3600))), LogLevel::warn).c_str());
  STRCMP_CONTAINS("the clock is trusted",
                  text(clock_notice(behind, right), LogLevel::info).c_str());
}
