// The control thread's loop.
#include "dataplane/control/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <csignal>
#include <thread>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield::control;
using namespace std::chrono_literals;

TEST_GROUP(EventLoop) { EventLoop loop; };

TEST(EventLoop, RunsTasksFromOtherThreadsUntilStopped) {
  std::thread::id ran_on;
  std::jthread other([&] {
    loop.post([&] {
      ran_on = std::this_thread::get_id();
      loop.stop();
    });
  });
  loop.run();
  CHECK(ran_on == std::this_thread::get_id());
}

TEST(EventLoop, FiresTimersInOrder) {
  std::vector<int> fired;
  loop.after(20ms, [&] {
    fired.push_back(2);
    loop.stop();
  });
  loop.after(1ms, [&] { fired.push_back(1); });
  loop.run();
  CHECK((fired == std::vector<int>{1, 2}));
}

TEST(EventLoop, HearsSignals) {
  std::vector<int> heard;
  loop.on_signals([&](int number) {
    heard.push_back(number);
    if (number == SIGTERM) {
      loop.stop();
    } else {
      std::raise(SIGTERM);
    }
  });
  loop.post([] { std::raise(SIGHUP); });
  loop.run();
  CHECK((heard == std::vector<int>{SIGHUP, SIGTERM}));
}

TEST(EventLoop, WatchesADescriptorUntilToldNotTo) {
  const int event = ::eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
  int seen = 0;
  loop.watch_readable(event, [&] {
    std::uint64_t one = 0;
    [[maybe_unused]] const ssize_t got = ::read(event, &one, sizeof(one));
    ++seen;
    if (seen == 2) loop.post([&] { loop.stop(); });
    return seen < 2;
  });
  loop.run();
  LONGS_EQUAL(2, seen);
  ::close(event);
}
