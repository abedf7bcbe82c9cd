// The turn of the io_uring loop: sends without copies, signals of other threads, timers.
#include "dataplane/net/uring/uring_reactor.h"

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
