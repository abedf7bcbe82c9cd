// EventLoop: the control thread's loop: signals, timers, descriptors, tasks from other threads.
// Asio beneath; its types stay in the .cc files.
#pragma once

#include <functional>
#include <memory>

#include "cache/base/clock.h"

namespace boost::asio {
class io_context;
}

namespace nearfield::control {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs on the calling thread until stop().
  void run();
  void stop();  // any thread
  // Any thread.
  void post(std::function<void()> task);
  // Control thread. Once, after `delay`; never when the loop ends first.
  void after(Duration delay, std::function<void()> task);
  // SIGTERM, SIGINT, SIGHUP and SIGUSR1 from now on come here instead of ending the process. Once.
  void on_signals(std::function<void(int)> handler);
  // Calls `ready` each time `descriptor` is readable until it returns false. Does not own the
  // descriptor, which must stay open until then or until the loop is gone.
  void watch_readable(int descriptor, std::function<bool()> ready);

  boost::asio::io_context& context();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::control
