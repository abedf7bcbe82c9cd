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
    CHECK(idle.after_turn(false, 1s) == Duration::zero());
  }
  CHECK(idle.after_turn(false, 1s) == Idle::kFirstSleep);
  CHECK(idle.after_turn(false, 1s) == Idle::kFirstSleep * 2);
  for (int turn = 0; turn < 10; ++turn) idle.after_turn(false, 1s);
  CHECK(idle.after_turn(false, 1s) == 250us);
}

TEST(Idle, begins_anew_after_work) {
  Idle idle(250us);
  for (int turn = 0; turn < 1000; ++turn) idle.after_turn(false, 1s);
  CHECK(idle.after_turn(true, 1s) == Duration::zero());
  CHECK(idle.after_turn(false, 1s) == Duration::zero());
  for (std::uint32_t turn = 1; turn < Idle::kTurnsAwake; ++turn) idle.after_turn(false, 1s);
  CHECK(idle.after_turn(false, 1s) == Idle::kFirstSleep);
}

TEST(Idle, sleeps_no_longer_than_until_something_is_due) {
  Idle idle(250us);
  for (int turn = 0; turn < 1000; ++turn) idle.after_turn(false, 1s);
  CHECK(idle.after_turn(false, 7us) == 7us);
  CHECK(idle.after_turn(false, -1s) == Duration::zero());
  CHECK(idle.after_turn(false, Duration::max()) == 250us);
}

TEST(Idle, never_sleeps_when_told_to_poll) {
  Idle idle(Duration::zero());
  for (int turn = 0; turn < 1000; ++turn) {
    CHECK(idle.after_turn(false, 1s) == Duration::zero());
  }
}

}  // namespace nearfield::net::dpdk
