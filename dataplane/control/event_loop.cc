#include "dataplane/control/event_loop.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <optional>
#include <utility>

namespace nearfield::control {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

void wait_for_signal(asio::signal_set& set,
                     const std::shared_ptr<std::function<void(int)>>& handler) {
  set.async_wait([&set, handler](const error_code& code, int number) {
    if (code) return;
    (*handler)(number);
    wait_for_signal(set, handler);
  });
}

struct Watch {
  asio::posix::stream_descriptor descriptor;
  std::function<bool()> ready;

  // Ours is a view: the owner closes.
  ~Watch() {
    if (descriptor.is_open()) descriptor.release();
  }
};

void wait_readable(const std::shared_ptr<Watch>& watch) {
  watch->descriptor.async_wait(asio::posix::stream_descriptor::wait_read,
                               [watch](const error_code& code) {
                                 if (code) return;
                                 if (watch->ready()) {
                                   wait_readable(watch);
                                 } else {
                                   watch->descriptor.release();
                                 }
                               });
}

}  // namespace

struct EventLoop::Impl {
  asio::io_context context{1};
  std::optional<asio::signal_set> signals;
};

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  const auto guard = asio::make_work_guard(impl_->context);
  impl_->context.run();
}

void EventLoop::stop() { impl_->context.stop(); }

void EventLoop::post(std::function<void()> task) { asio::post(impl_->context, std::move(task)); }

void EventLoop::after(Duration delay, std::function<void()> task) {
  auto timer = std::make_shared<asio::steady_timer>(impl_->context, delay);
  timer->async_wait([timer, task = std::move(task)](const error_code& code) {
    if (!code) task();
  });
}

void EventLoop::on_signals(std::function<void(int)> handler) {
  impl_->signals.emplace(impl_->context, SIGTERM, SIGINT, SIGHUP);
  impl_->signals->add(SIGUSR1);
  wait_for_signal(*impl_->signals, std::make_shared<std::function<void(int)>>(std::move(handler)));
}

void EventLoop::watch_readable(int descriptor, std::function<bool()> ready) {
  wait_readable(std::make_shared<Watch>(asio::posix::stream_descriptor(impl_->context, descriptor),
                                        std::move(ready)));
}

asio::io_context& EventLoop::context() { return impl_->context; }

}  // namespace nearfield::control
