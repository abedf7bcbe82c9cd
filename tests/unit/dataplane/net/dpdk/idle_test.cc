// What a worker without work does: stays awake for a moment, then sleeps longer and longer, never
// past what is due.
#include "dataplane/net/dpdk/idle.h"

#include "CppUTest/TestHarness.h"

using namespace std::chrono_literals;

namespace nearfield::net::dpdk {

TEST_GROUP(Idle){};

TEST(Idle, stays_awake_for_a_moment_then_sleeps_longer_and_longer) {
  Idle idle(250us);
  for (std::uint32_t turn = 0; turn < Idle::kTurnsAwake; ++turn) {
    CHECK(idle.after_turn(false, 1s, false).sleep == Duration::zero());
  }
  CHECK(idle.after_turn(false, 1s, false).sleep == Idle::kFirstSleep);
  CHECK(idle.after_turn(false, 1s, false).sleep == Idle::kFirstSleep * 2);
  for (int turn = 0; turn < 10; ++turn) idle.after_turn(false, 1s, false);
  CHECK(idle.after_turn(false, 1s, false).sleep == 250us);
}

TEST(Idle, begins_anew_after_work) {
  Idle idle(250us);
  for (int turn = 0; turn < 1000; ++turn) idle.after_turn(false, 1s, false);
  CHECK(idle.after_turn(true, 1s, false).sleep == Duration::zero());
  CHECK(idle.after_turn(false, 1s, false).sleep == Duration::zero());
  for (std::uint32_t turn = 1; turn < Idle::kTurnsAwake; ++turn) idle.after_turn(false, 1s, false);
  CHECK(idle.after_turn(false, 1s, false).sleep == Idle::kFirstSleep);
}

TEST(Idle, sleeps_no_longer_than_until_something_is_due) {
  Idle idle(250us);
  for (int turn = 0; turn < 1000; ++turn) idle.after_turn(false, 1s, false);
  CHECK(idle.after_turn(false, 7us, false).sleep == 7us);
  CHECK(idle.after_turn(false, -1s, false).sleep == Duration::zero());
  CHECK(idle.after_turn(false, Duration::max(), false).sleep == 250us);
}

TEST(Idle, sleeps_longer_once_a_second_was_without_work) {
  Idle idle(1ms);
  Duration slept{};
  Duration longest{};
  while (slept < Idle::kShortIdle) {
    const Duration sleep = idle.after_turn(false, 1s, false).sleep;
    longest = std::max(longest, sleep);
    slept += sleep;
  }
  CHECK(longest == Idle::kShortSleep);
  for (int turn = 0; turn < 3; ++turn) idle.after_turn(false, 1s, false);
  CHECK(idle.after_turn(false, 1s, false).sleep == 1ms);
  CHECK(idle.after_turn(false, 30us, false).sleep == 30us);
}

TEST(Idle, waits_for_packets_where_they_wake_it) {
  Idle idle(1ms);
  Duration slept{};
  Idle::Rest rest;
  for (int turn = 0; turn < 1000 && !rest.until_packet; ++turn) {
    slept += rest.sleep;
    rest = idle.after_turn(false, 1s, true);
  }
  CHECK(rest.until_packet);
  CHECK(slept < 1ms);  // what a connection under way pauses for costs no interrupt
  CHECK(rest.sleep == Idle::kLongestWait);
  CHECK(idle.after_turn(false, 3ms, true).sleep == 3ms);
  // While something is in the way of that, it sleeps as ever.
  rest = idle.after_turn(false, 1s, false);
  CHECK_FALSE(rest.until_packet);
  CHECK(rest.sleep == Idle::kShortSleep);
  CHECK_FALSE(idle.after_turn(true, 1s, true).until_packet);
  CHECK(idle.after_turn(false, 1s, true).sleep == Duration::zero());
}

TEST(Idle, never_sleeps_when_told_to_poll) {
  Idle idle(Duration::zero());
  for (int turn = 0; turn < 1000; ++turn) {
    CHECK(idle.after_turn(false, 1s, false).sleep == Duration::zero());
  }
}

}  // namespace nearfield::net::dpdk
