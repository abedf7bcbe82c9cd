// Inbox: raises fold, nothing is lost between "look" and "sleep", nothing runs after cancel or
// close.
#include "dataplane/net/inbox.h"

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using net::Inbox;

TEST_GROUP(Inbox) {
  std::atomic<int> wakes{0};
  Ref<Inbox> inbox = make_ref<Inbox>([this] { wakes.fetch_add(1); });

  void teardown() override { inbox->close(); }
};

TEST(Inbox, RaisesBeforeTheWorkerLooksFoldIntoOne) {
  int runs = 0;
  const Ref<Signal> signal = inbox->make_signal([&runs] { ++runs; });
  signal->raise();
  signal->raise();
  CHECK(!inbox->run(10));
  CHECK_EQUAL(1, runs);
  signal->raise();
  inbox->run(10);
  CHECK_EQUAL(2, runs);
}

TEST(Inbox, OldestFirstAndWithinTheBudget) {
  std::vector<int> order;
  for (int number = 0; number < 5; ++number)
    inbox->post([&order, number] { order.push_back(number); });
  CHECK(inbox->run(3));
  CHECK_EQUAL(3, order.size());
  inbox->post([&order] { order.push_back(5); });
  CHECK(!inbox->run(10));
  CHECK((order == std::vector<int>{0, 1, 2, 3, 4, 5}));
}

TEST(Inbox, ARaiseFromWithinTheCallbackRunsItAgain) {
  int runs = 0;
  Ref<Signal> signal;
  signal = inbox->make_signal([&] {
    if (++runs < 3) signal->raise();
  });
  signal->raise();
  while (inbox->run(1) || !inbox->prepare_sleep()) {
  }
  CHECK_EQUAL(3, runs);
  Inbox::cancel_signal(signal);
}

TEST(Inbox, ACancelledSignalNeverRunsAndLetsGoOfItsCallback) {
  const auto held = std::make_shared<int>(0);
  const Ref<Signal> signal = inbox->make_signal([held] { ++*held; });
  signal->raise();
  Inbox::cancel_signal(signal);
  CHECK_EQUAL(1, held.use_count());
  inbox->run(10);
  signal->raise();
  inbox->run(10);
  CHECK_EQUAL(0, *held);
}

TEST(Inbox, ASignalMayBeCancelledByItsOwnCallback) {
  const auto held = std::make_shared<int>(0);
  Ref<Signal> signal;
  signal = inbox->make_signal([&signal, held] {
    ++*held;
    Inbox::cancel_signal(signal);
    ++*held;
  });
  signal->raise();
  inbox->run(10);
  CHECK_EQUAL(2, *held);
  CHECK_EQUAL(1, held.use_count());
}

TEST(Inbox, WakesOnlyASleeper) {
  const Ref<Signal> signal = inbox->make_signal([] {});
  signal->raise();
  CHECK_EQUAL(0, wakes.load());
  CHECK(!inbox->prepare_sleep());
  inbox->run(10);
  CHECK(inbox->prepare_sleep());
  signal->raise();
  CHECK_EQUAL(1, wakes.load());
}

TEST(Inbox, SignalsOutliveIt) {
  const auto held = std::make_shared<int>(0);
  Ref<Signal> signal = inbox->make_signal([held] { ++*held; });
  signal->raise();
  inbox->post([held] { ++*held; });
  inbox->close();
  signal->raise();
  inbox->post([held] { ++*held; });
  inbox = make_ref<Inbox>([] {});
  signal->raise();
  signal.reset();
  CHECK_EQUAL(0, *held);
  CHECK_EQUAL(1, held.use_count());
}

TEST(Inbox, NothingIsLostBetweenThreads) {
  // Each thread raises and posts; the worker sleeps on a real flag whenever it may. Lost wake-ups
  // would hang (test time-out).
  constexpr int kThreads = 3;
  constexpr int kRounds = 2000;
  std::atomic<bool> awake{false};
  const Ref<Inbox> shared = make_ref<Inbox>([&awake] {
    awake.store(true);
    awake.notify_one();
  });
  std::atomic<int> wanted{0};
  int posted = 0;
  int seen = 0;
  const Ref<Signal> signal = shared->make_signal([&] { seen = wanted.load(); });
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) {
    threads.emplace_back([&, signal] {
      for (int round = 0; round < kRounds; ++round) {
        wanted.fetch_add(1);
        signal->raise();
        if (round % 10 == 0) shared->post([&posted] { ++posted; });
      }
    });
  }
  const auto all_seen = [&] {
    return seen == kThreads * kRounds && posted == kThreads * kRounds / 10;
  };
  while (!all_seen()) {
    if (shared->run(7) || all_seen() || !shared->prepare_sleep()) continue;
    awake.wait(false);
    awake.store(false);
    shared->end_sleep();
  }
  for (std::thread& thread : threads) thread.join();
  shared->close();
}

TEST(Inbox, MayBeClosedWhileOthersRaise) {
  for (int round = 0; round < 200; ++round) {
    const Ref<Inbox> shared = make_ref<Inbox>([] {});
    const Ref<Signal> signal = shared->make_signal([] {});
    std::thread raiser([signal] {
      for (int count = 0; count < 20; ++count) signal->raise();
    });
    shared->prepare_sleep();
    shared->run(1);
    shared->close();
    raiser.join();
  }
}
