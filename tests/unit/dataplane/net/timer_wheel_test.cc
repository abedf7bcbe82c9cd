// TimerWheel: never early, never later than a tick, in order, within its budget; checked against a
// naive list with random deadlines, cancellations and steps.
#include "dataplane/net/timer_wheel.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace std::chrono_literals;
using net::kTimerTick;
using net::Timer;
using net::TimerWheel;

namespace {

constexpr std::size_t kPlenty = 1'000'000;

struct Alarm {
  explicit Alarm(std::vector<int>* log = nullptr, int number = 0) : fired_log(log), name(number) {}
  static void ring(void* context) {
    auto* alarm = static_cast<Alarm*>(context);
    ++alarm->fired;
    if (alarm->fired_log != nullptr) alarm->fired_log->push_back(alarm->name);
  }
  std::vector<int>* fired_log;
  int name;
  int fired = 0;
  Timer timer{&Alarm::ring, this};
};

}  // namespace

TEST_GROUP(TimerWheel) {
  const MonotonicTime start{1000s};
  TimerWheel wheel{start};
};

TEST(TimerWheel, FiresNotBeforeItsDeadlineAndWithinATick) {
  Alarm alarm;
  wheel.arm(alarm.timer, start + 10ms);
  wheel.advance(start + 10ms - 1ns, kPlenty);
  CHECK_EQUAL(0, alarm.fired);
  CHECK(alarm.timer.armed());
  wheel.advance(start + 10ms + kTimerTick, kPlenty);
  CHECK_EQUAL(1, alarm.fired);
  CHECK(!alarm.timer.armed());
}

TEST(TimerWheel, AFinerWheelIsAsExactAsItsTick) {
  TimerWheel fine{start, 64us};
  Alarm alarm;
  fine.arm(alarm.timer, start + 1ms);
  CHECK(fine.next_deadline() <= start + 1ms + 64us);
  fine.advance(start + 1ms - 1ns, kPlenty);
  CHECK_EQUAL(0, alarm.fired);
  fine.advance(start + 1ms + 64us, kPlenty);
  CHECK_EQUAL(1, alarm.fired);
}

TEST(TimerWheel, AnEmptyWheelHasNoDeadline) {
  CHECK(!wheel.next_deadline().has_value());
  {
    Alarm alarm;
    wheel.arm(alarm.timer, start + 1s);
    CHECK(wheel.next_deadline().has_value());
  }
  CHECK(!wheel.next_deadline().has_value());
  CHECK_EQUAL(0, wheel.armed_count());
}

TEST(TimerWheel, APastDeadlineFiresInTheNextTurn) {
  wheel.advance(start + 1s, kPlenty);
  Alarm alarm;
  wheel.arm(alarm.timer, start);
  CHECK(*wheel.next_deadline() <= start + 1s);
  CHECK_EQUAL(1, wheel.advance(start + 1s, kPlenty));
  CHECK_EQUAL(1, alarm.fired);
}

TEST(TimerWheel, ReArmingMoves) {
  Alarm alarm;
  wheel.arm(alarm.timer, start + 1s);
  wheel.arm(alarm.timer, start + 3s);
  CHECK_EQUAL(1, wheel.armed_count());
  wheel.advance(start + 2s, kPlenty);
  CHECK_EQUAL(0, alarm.fired);
  wheel.advance(start + 4s, kPlenty);
  CHECK_EQUAL(1, alarm.fired);
}

TEST(TimerWheel, TheFarFutureIsKept) {
  Alarm year;
  Alarm never;
  wheel.arm(never.timer, MonotonicTime::max());
  wheel.arm(year.timer, start + 24h * 365);
  wheel.advance(start + 24h * 364, kPlenty);
  CHECK_EQUAL(0, year.fired);
  wheel.advance(start + 24h * 366, kPlenty);
  CHECK_EQUAL(1, year.fired);
  CHECK_EQUAL(0, never.fired);
  CHECK(*wheel.next_deadline() > start + 24h * 366);
}

TEST(TimerWheel, ACrowdIsSpreadOverTurnsInOrder) {
  std::vector<int> fired;
  std::vector<std::unique_ptr<Alarm>> crowd;
  for (int number = 0; number < 1000; ++number) {
    crowd.push_back(std::make_unique<Alarm>(&fired, number));
    wheel.arm(crowd.back()->timer, start + 60s);  // far enough to move down levels first
  }
  int turns = 0;
  while (fired.size() < crowd.size()) {
    const std::size_t before = fired.size();
    wheel.advance(start + 61s, 100);
    CHECK(fired.size() - before <= 100);
    if (fired.size() < crowd.size()) CHECK(*wheel.next_deadline() <= start + 61s);
    CHECK(++turns < 100);
  }
  CHECK(std::ranges::is_sorted(fired));
}

TEST(TimerWheel, ATimerThatReArmsItselfDoesNotStarveOthers) {
  struct Eager {
    static void ring(void* context) {
      auto* self = static_cast<Eager*>(context);
      ++self->fired;
      self->wheel->arm(self->timer, MonotonicTime{});
    }
    TimerWheel* wheel;
    int fired = 0;
    Timer timer{&Eager::ring, this};
  };
  Eager eager{&wheel};
  Alarm other;
  wheel.arm(eager.timer, MonotonicTime{});
  wheel.arm(other.timer, start + 4ms);
  wheel.advance(start + 8ms, 10);
  CHECK_EQUAL(1, eager.fired);
  CHECK_EQUAL(1, other.fired);
}

TEST(TimerWheel, ACallbackMayDestroyItsOwnTimer) {
  struct Suicide {
    explicit Suicide(int* count) : destroyed(count) {}
    ~Suicide() { ++*destroyed; }
    static void ring(void* context) { delete static_cast<Suicide*>(context); }
    int* destroyed;
    Timer timer{&Suicide::ring, this};
  };
  int destroyed = 0;
  wheel.arm((new Suicide(&destroyed))->timer, start + 4ms);
  wheel.advance(start + 1s, kPlenty);
  CHECK_EQUAL(1, destroyed);
}

TEST(TimerWheel, ACallbackMayCancelAnotherThatIsDue) {
  struct Killer {
    static void ring(void* context) {
      auto* self = static_cast<Killer*>(context);
      self->wheel->cancel(self->victim->timer);
    }
    TimerWheel* wheel;
    Alarm* victim;
    Timer timer{&Killer::ring, this};
  };
  Alarm victim;
  Killer killer{&wheel, &victim};
  wheel.arm(killer.timer, start + 4ms);
  wheel.arm(victim.timer, start + 4ms);
  wheel.advance(start + 1s, kPlenty);
  CHECK_EQUAL(0, victim.fired);
}

TEST(TimerWheel, AWheelThatGoesDisarms) {
  Alarm alarm;
  {
    TimerWheel shorter(start);
    shorter.arm(alarm.timer, start + 1s);
  }
  CHECK(!alarm.timer.armed());
}

TEST(TimerWheel, AgreesWithANaiveModel) {
  for (unsigned seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    const auto below = [&random](std::uint64_t limit) { return random() % limit; };
    TimerWheel tested(start);
    MonotonicTime now = start;
    struct Modelled {
      std::unique_ptr<Alarm> alarm = std::make_unique<Alarm>();
      std::optional<MonotonicTime> deadline;
      int expected = 0;
    };
    std::vector<Modelled> model(50);
    for (int step = 0; step < 2000; ++step) {
      Modelled& one = model[below(model.size())];
      switch (below(4)) {
        case 0:
        case 1:
          // From microseconds to years, so that every level is used.
          one.deadline =
              now - 10ms +
              std::chrono::nanoseconds(std::uint64_t{1} << below(58)) * (1 + below(3)) / 2;
          tested.arm(one.alarm->timer, *one.deadline);
          break;
        case 2:
          one.deadline.reset();
          tested.cancel(one.alarm->timer);
          break;
        case 3: {
          now += std::chrono::nanoseconds(std::uint64_t{1} << below(below(20) == 0 ? 55 : 33));
          tested.advance(now, kPlenty);
          for (Modelled& each : model) {
            // Past its deadline by a tick it must have fired, before its deadline it must not;
            // between both may be.
            const bool must = each.deadline && *each.deadline + kTimerTick <= now;
            const bool may = each.deadline && *each.deadline <= now;
            if (must || (may && !each.alarm->timer.armed())) {
              ++each.expected;
              each.deadline.reset();
            }
            CHECK_EQUAL(each.expected, each.alarm->fired);
            CHECK_EQUAL(each.deadline.has_value(), each.alarm->timer.armed());
          }
          break;
        }
      }
      std::optional<MonotonicTime> earliest;
      std::size_t armed = 0;
      for (const Modelled& each : model) {
        if (!each.deadline) continue;
        ++armed;
        if (!earliest || *each.deadline < *earliest) earliest = each.deadline;
      }
      CHECK_EQUAL(armed, tested.armed_count());
      const std::optional<MonotonicTime> next = tested.next_deadline();
      CHECK_EQUAL(earliest.has_value(), next.has_value());
      if (next) CHECK(*next < std::max(*earliest, start) + kTimerTick);
    }
  }
}
