// The turn of the io_uring loop: sends without copies, signals of other threads, timers.
#include "dataplane/net/uring/uring_reactor.h"

#include <unistd.h>

#include <atomic>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/uring/loopback.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace std::chrono_literals;

TEST_GROUP_BASE(UringTurn, ServedLoop){};

TEST(UringTurn, ZeroCopyTurnsItselfOffOnLoopback) {
  constexpr std::uint64_t kBytes = 20'000'000;
  serve(each<SourceHandler>(kBytes), {.zero_copy = ZeroCopy::automatic});
  Client client(listener.local());
  CHECK(client.receives_pattern(kBytes, 50'000));
  client.close();
  CHECK(closed_with(CloseReason::finished));
  CHECK_EQUAL(kBytes, seen.get().released);
  const UringStatistics statistics = loop->reactor->statistics();
  CHECK_EQUAL(1, statistics.zero_copy_sends);
  CHECK_EQUAL(1, statistics.zero_copy_copied);
  CHECK(statistics.sends > 10);
}

TEST(UringTurn, AnAbortWithZeroCopyUnderWayWaitsForTheKernel) {
  for (int round = 0; round < 20; ++round) {
    std::atomic<Stream*> stream = nullptr;
    serve(
        [&](Stream& accepted) {
          stream = &accepted;
          return new SourceHandler(seen, &accepted, 100'000'000);
        },
        {.zero_copy = ZeroCopy::automatic});
    Client client(listener.local(), 4096);
    CHECK(client.receive(1).size() == 1);
    loop->on_loop([&] { stream.load()->abort(); });
    CHECK(seen.await([&](const Seen& value) {
      return value.closed.size() == static_cast<std::size_t>(round) + 1;
    }));
    loop.reset();
  }
}

TEST(UringTurn, SignalsFromOtherThreadsWakeIt) {
  serve(each<EchoHandler>());
  constexpr int kThreads = 3;
  constexpr int kRounds = 3000;
  std::atomic<int> raised = 0;
  Watched<int> noticed;
  Ref<Signal> signal;
  loop->on_loop([&] {
    signal = loop->reactor->make_signal(
        [&] { noticed.update([&](int& value) { value = raised.load(); }); });
  });
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        raised.fetch_add(1);
        signal->raise();
      }
    });
  }
  CHECK(noticed.await([](int value) { return value == kThreads * kRounds; }));
  for (std::thread& thread : threads) thread.join();
  loop->on_loop([&] { loop->reactor->cancel_signal(signal); });
  signal->raise();
  loop.reset();
  signal->raise();  // outlives the reactor
}

TEST(UringTurn, TimersFireInOrderAndNotEarly) {
  serve(each<EchoHandler>());
  struct Ringing {
    static void ring(void* context) {
      auto* self = static_cast<Ringing*>(context);
      const bool early = self->reactor->now() < self->timer.deadline();
      self->order->update(
          [&](std::vector<int>& value) { value.push_back(early ? -1 : self->number); });
    }
    UringReactor* reactor;
    Watched<std::vector<int>>* order;
    int number;
    Timer timer{&Ringing::ring, this};
  };
  Watched<std::vector<int>> order;
  Ringing late{loop->reactor.get(), &order, 2};
  Ringing soon{loop->reactor.get(), &order, 1};
  Ringing never{loop->reactor.get(), &order, 3};
  loop->on_loop([&] {
    const MonotonicTime now = loop->reactor->now();
    loop->reactor->arm(late.timer, now + 80ms);
    loop->reactor->arm(never.timer, now + 10ms);
    loop->reactor->arm(soon.timer, now + 20ms);
    loop->reactor->cancel(never.timer);
  });
  CHECK(order.await([](const std::vector<int>& value) { return value.size() == 2; }));
  CHECK((order.get() == std::vector<int>{1, 2}));
}

// A loop that drives the reactor by turns, on this thread.
TEST_GROUP(UringTurns) {
  std::unique_ptr<UringReactor> reactor;

  void setup() override {
    auto made = UringReactor::create({});
    CHECK_TEXT(made.has_value(), made ? "" : made.error().message.c_str());
    reactor = std::move(*made);
    CHECK(reactor->begin().has_value());
    while (reactor->turn()) {
    }
  }
  void teardown() override {
    reactor->end();
    reactor.reset();
  }
};

TEST(UringTurns, ATurnFindsNothingAndDoesNotSleep) {
  const auto before = std::chrono::steady_clock::now();
  for (int turn = 0; turn < 1000; ++turn) CHECK_FALSE(reactor->turn());
  CHECK(std::chrono::steady_clock::now() - before < 500ms);
  CHECK_FALSE(reactor->next_deadline().has_value());
}

TEST(UringTurns, ATurnRunsTasksAndSignals) {
  int tasks = 0;
  reactor->post([&] { ++tasks; });
  reactor->turn();
  CHECK_EQUAL(1, tasks);
  const Ref<Signal> signal = reactor->make_signal([&] { ++tasks; });
  signal->raise();
  reactor->turn();
  CHECK_EQUAL(2, tasks);
  reactor->cancel_signal(signal);
}

TEST(UringTurns, ASleepEndsAtTheTimersDeadline) {
  int fired = 0;
  Timer timer([](void* context) { ++*static_cast<int*>(context); }, &fired);
  const MonotonicTime deadline = reactor->now() + 20ms;
  reactor->arm(timer, deadline);
  CHECK(reactor->next_deadline().has_value());
  CHECK(*reactor->next_deadline() <= deadline + kTimerTick);
  while (fired == 0) reactor->turn(10s);
  CHECK(reactor->now() >= deadline);
  CHECK(reactor->now() < deadline + 5s);
  CHECK_FALSE(reactor->next_deadline().has_value());
}

TEST(UringTurns, ASleepLastsNoLongerThanAllowed) {
  const MonotonicTime before = reactor->now();
  reactor->turn(2ms);
  CHECK(reactor->now() - before >= 1ms);
  CHECK(reactor->now() - before < 2s);
}

TEST(UringTurns, APostWakesASleepingTurn) {
  std::atomic<bool> ran = false;
  std::thread other([&] { reactor->post([&] { ran = true; }); });
  while (!ran) reactor->turn(10s);
  other.join();
}

TEST(UringTurns, AWatchedDescriptorWakesASleepingTurn) {
  int ends[2];
  CHECK_EQUAL(0, ::pipe(ends));
  CHECK_TRUE(reactor->wake_on(ends[0]));
  CHECK_FALSE(reactor->turn(2ms));
  const MonotonicTime before = reactor->now();
  std::thread other([&] { CHECK_EQUAL(1, ::write(ends[1], "x", 1)); });
  CHECK_TRUE(reactor->turn(10s));
  other.join();
  // Once: that it stays readable is not told again unasked, but when it is asked again.
  CHECK_FALSE(reactor->turn());
  CHECK_TRUE(reactor->wake_on(ends[0]));
  CHECK_TRUE(reactor->turn(10s));
  CHECK(reactor->now() - before < 5s);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(UringTurns, StopIsSeenByTheNextTurn) {
  reactor->stop();
  CHECK_FALSE(reactor->stopping());
  reactor->turn();
  CHECK_TRUE(reactor->stopping());
}
