// What the tests of the io_uring transport share: a reactor on its own thread, plain blocking
// client sockets, and handlers that tell the test's thread what happened. Nothing here sleeps: a
// test waits for an event and fails when it does not come within kPatience.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/listener.h"
#include "dataplane/net/socket_address.h"
#include "dataplane/net/uring/uring_reactor.h"

namespace nearfield::net {

inline constexpr std::chrono::seconds kPatience{60};  // sanitizers on a busy machine

// Byte `index` of the stream every test sends: no period that a buffer size could hide.
inline char pattern(std::uint64_t index) { return static_cast<char>((index * 2654435761U) >> 13); }

inline std::string pattern_text(std::uint64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t index = 0; index < bytes; ++index) text[index] = pattern(offset + index);
  return text;
}

// A value one thread changes and another waits for.
template <typename T>
class Watched {
 public:
  void update(const std::function<void(T&)>& change) {
    const std::lock_guard lock(mutex_);
    change(value_);
    changed_.notify_all();
  }
  bool await(const std::function<bool(const T&)>& wanted) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, [&] { return wanted(value_); });
  }
  T get() {
    const std::lock_guard lock(mutex_);
    return value_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

class LoopThread {
 public:
  explicit LoopThread(const UringOptions& options = {}) {
    Result<std::unique_ptr<UringReactor>> made = UringReactor::create(options);
    CHECK_TEXT(made.has_value(), made ? "" : made.error().message.c_str());
    reactor = std::move(*made);
  }
  ~LoopThread() { stop(); }

  void start() {
    thread_ = std::thread([this] { failed_ = !reactor->run().has_value(); });
  }
  void stop() {
    if (!thread_.joinable()) return;
    reactor->stop();
    thread_.join();
    CHECK(!failed_);
  }
  // Runs on the reactor's thread; returns when it ran.
  void on_loop(const std::function<void()>& task) {
    Watched<bool> done;
    reactor->post([&] {
      task();
      done.update([](bool& value) { value = true; });
    });
    CHECK(done.await([](bool value) { return value; }));
  }

  std::unique_ptr<UringReactor> reactor;

 private:
  std::thread thread_;
  bool failed_ = false;
};

// A blocking client. The kernel tears rings down behind their owner's back and for that interrupts
// every thread that ever used one, this one too: whatever blocks here is repeated after EINTR.
class Client {
 public:
  Client() = default;
  explicit Client(const Endpoint& server, int receive_buffer_bytes = 0) {
    SocketAddress address;
    const socklen_t length = to_socket_address(server, &address);
    descriptor = ::socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{.tv_sec = kPatience.count(), .tv_usec = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    ::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (receive_buffer_bytes > 0) {
      ::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes,
                   sizeof(receive_buffer_bytes));
    }
    // Over loopback connect() ends within the call, or fails without having waited.
    do {
      connected = ::connect(descriptor, &address.any, length) == 0 || errno == EISCONN;
    } while (!connected && (errno == EINTR || errno == EALREADY));
  }
  Client(Client&& other) noexcept
      : descriptor(std::exchange(other.descriptor, -1)), connected(other.connected) {}
  ~Client() { close(); }

  void close() {
    if (descriptor >= 0) ::close(std::exchange(descriptor, -1));
  }
  void reset() {
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close();
  }
  // False: the peer is gone.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void half_close() { ::shutdown(descriptor, SHUT_WR); }
  // Up to `bytes`, fewer at the end; `error` says how it ended (0: FIN).
  std::string receive(std::size_t bytes) {
    std::string text(bytes, '\0');
    std::size_t have = 0;
    error = 0;
    while (have < bytes) {
      const ssize_t got = ::recv(descriptor, text.data() + have, bytes - have, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) error = errno;
      if (got <= 0) break;
      have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    return text;
  }
  // Reads to the end and checks that it is `bytes` of the pattern; `step` bytes at a time.
  bool receives_pattern(std::uint64_t bytes, std::size_t step) {
    std::uint64_t offset = 0;
    for (;;) {
      const std::string text = receive(step);
      const std::string expected = pattern_text(offset, text.size());
      if (text != expected) {
        const auto wrong = std::ranges::mismatch(text, expected).in1 - text.begin();
        std::fprintf(stderr, "byte %zu of %zu is wrong\n", static_cast<std::size_t>(wrong) + offset,
                     bytes);
        return false;
      }
      offset += text.size();
      if (text.size() == step) continue;
      if (error == 0 && offset == bytes) return true;
      std::fprintf(stderr, "%zu of %zu bytes came, error %d\n", offset, bytes, error);
      return false;
    }
  }

  int descriptor = -1;
  bool connected = false;
  int error = 0;
};

struct Seen {
  int accepted = 0;
  int connected = 0;
  int ended = 0;
  std::uint64_t received = 0;
  std::uint64_t released = 0;
  std::vector<CloseReason> closed;
};

// Base of the tests' handlers: remembers, and deletes itself when closed.
class TestHandler : public StreamHandler {
 public:
  TestHandler(Watched<Seen>& watched, Stream* of) : seen(watched), stream(of) {}
  virtual ~TestHandler() = default;

  void on_connected() override {
    seen.update([](Seen& value) { ++value.connected; });
  }
  std::size_t on_receive(std::span<const std::byte> bytes) override {
    seen.update([&](Seen& value) { value.received += bytes.size(); });
    return bytes.size();
  }
  void on_receive_end() override {
    seen.update([](Seen& value) { ++value.ended; });
    stream->close_after_send();
  }
  void on_send_ready(SendPlan&) override {}
  void on_released(std::uint64_t bytes) override {
    seen.update([&](Seen& value) { value.released += bytes; });
  }
  void on_closed(CloseReason reason) override {
    seen.update([&](Seen& value) { value.closed.push_back(reason); });
    delete this;
  }

  Watched<Seen>& seen;
  Stream* stream;
};

// Sends back what it gets, at most a bounded lot behind.
class EchoHandler : public TestHandler {
 public:
  using TestHandler::TestHandler;
  static constexpr std::size_t kMost = 256 * 1024;

  std::size_t on_receive(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), kMost - pending_.size());
    pending_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    paused_ = taken < bytes.size();
    stream->wake_sender();
    return TestHandler::on_receive(bytes.first(taken));
  }
  void on_send_ready(SendPlan& plan) override {
    if (plan.room() == 0) return;
    plan.append_text(pending_);
    pending_.clear();
    if (std::exchange(paused_, false)) stream->resume_receive();
    if (ended_) stream->close_after_send();
  }
  // What is pending is not in the plan yet, and only the plan is sent before the end.
  void on_receive_end() override {
    seen.update([](Seen& value) { ++value.ended; });
    ended_ = true;
    if (pending_.empty()) stream->close_after_send();
  }

 private:
  std::string pending_;
  bool paused_ = false;
  bool ended_ = false;
};

// Sends `total` bytes of the pattern as soon as it is started, then closes.
class SourceHandler : public TestHandler {
 public:
  SourceHandler(Watched<Seen>& watched, Stream* of, std::uint64_t total, bool close = true)
      : TestHandler(watched, of), total_(total), close_(close) {}

  void on_send_ready(SendPlan& plan) override {
    while (plan.room() > 0 && offset_ < total_ && plan.size_bytes() < 4 * 1024 * 1024) {
      const std::size_t bytes = std::min<std::uint64_t>(total_ - offset_, 60'000);
      plan.append_text(pattern_text(offset_, bytes));
      offset_ += bytes;
    }
    if (offset_ == total_ && close_) stream->close_after_send();
  }
  void on_receive_end() override {}

 private:
  const std::uint64_t total_;
  const bool close_;
  std::uint64_t offset_ = 0;
};

// Makes handlers with a function; null refuses.
class TestAcceptor : public Acceptor {
 public:
  virtual ~TestAcceptor() = default;
  using Make = std::function<StreamHandler*(Stream&)>;
  explicit TestAcceptor(Make make) : make_(std::move(make)) {}
  StreamHandler* on_accept(Stream& stream) override { return make_(stream); }

 private:
  Make make_;
};

// A reactor that serves on loopback, and what its handlers saw.
class ServedLoop : public Utest {
 public:
  // Members, because a failing test unwinds while the loop's thread still uses them; teardown()
  // ends it.
  Watched<Seen> seen;
  Watched<Seen> caller_seen;
  std::unique_ptr<TestAcceptor> acceptor;
  std::unique_ptr<LoopThread> loop;
  Listener listener;

  // A server whose every connection gets what `make` makes.
  // `before_start` runs when everything is there but accepting.
  void serve(
      TestAcceptor::Make make, const UringOptions& options = {},
      const std::function<void()>& before_start = [] {}) {
    Result<Listener> made = Listener::open(*Endpoint::parse("127.0.0.1:0"));
    CHECK(made.has_value());
    listener = std::move(*made);
    acceptor = std::make_unique<TestAcceptor>([this, make = std::move(make)](Stream& stream) {
      StreamHandler* handler = make(stream);
      seen.update([](Seen& value) { ++value.accepted; });
      return handler;
    });
    loop = std::make_unique<LoopThread>(options);
    loop->reactor->listen({listener.local(), listener.descriptor()}, *acceptor);
    before_start();
    loop->start();
  }
  template <typename Handler, typename... Arguments>
  TestAcceptor::Make each(Arguments... arguments) {
    return
        [this, arguments...](Stream& stream) { return new Handler(seen, &stream, arguments...); };
  }
  bool closed_with(CloseReason reason) {
    return seen.await([](const Seen& value) { return !value.closed.empty(); }) &&
           seen.get().closed == std::vector{reason};
  }

  void teardown() override { loop.reset(); }
};

}  // namespace nearfield::net
