// The shared object that packetdrill drives: our stack behind the calls of interface.h.
//
// Everything runs under one lock. A call that has to wait (accept, read) is made by the driver on a
// second thread; it sleeps on a condition, and whoever moves time on the first thread lets it run
// at every deadline, so that it returns at the time, in our clock, at which it could. A wait that
// nothing ends is given up after some seconds of real time: then the script is wrong, and a test
// that hangs tells less than one that fails.
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "tests/packetdrill/interface.h"
#include "tests/packetdrill/node.h"
#include "tests/packetdrill/sockets.h"

namespace nearfield::packetdrill {
namespace {

constexpr auto kLongestRealWait = std::chrono::seconds(10);
// For a thread that waited to run and to read the clock, in real time.
constexpr auto kLongestReturn = std::chrono::milliseconds(200);
// How long a packet is waited for, in virtual time, and how often the driver may ask in vain.
constexpr auto kLongestSilence = std::chrono::hours(1);
constexpr int kMaximumEmptyAnswers = 16;

struct Adapter {
  explicit Adapter(const net::tcp::StackOptions& options) : node(options), sockets(node) {}

  const std::thread::id driver = std::this_thread::get_id();
  std::mutex mutex;
  std::condition_variable changed;  // for threads that wait
  std::condition_variable looked;   // for the driver's, by them
  std::uint64_t round = 0;          // of changes
  int waiting = 0;
  int to_look = 0;    // of those, who did not see the last change yet
  int returning = 0;  // waited, and did not read the clock since
  int empty_answers = 0;
  Node node;
  Sockets sockets;
};

using Lock = std::unique_lock<std::mutex>;

Adapter& of(void* self) { return *static_cast<Adapter*>(self); }

template <typename Value>
Value answer(Value value) {
  if (value >= 0) return value;
  errno = static_cast<int>(-value);
  return -1;
}

// Lets threads that wait see what happened. One that returns is given the time to read the clock,
// as the driver does at once to learn when the call ended; then time may move on.
void let_waiters_run(Adapter& adapter, Lock& lock) {
  if (adapter.waiting == 0 && adapter.returning == 0) return;
  ++adapter.round;
  adapter.to_look = adapter.waiting;
  adapter.changed.notify_all();
  adapter.looked.wait_for(lock, kLongestReturn,
                          [&] { return adapter.to_look == 0 && adapter.returning == 0; });
}

thread_local bool this_thread_returns = false;

// Waits until `call()` gives something else than -EAGAIN, or our time is `end`. The driver's own
// thread has nobody else to move time for it and does so itself.
template <typename Call>
auto wait_until_done(Adapter& adapter, Lock& lock, MonotonicTime end, Call&& call) {
  auto result = call();
  if (std::this_thread::get_id() == adapter.driver) {
    const MonotonicTime latest = std::min(end, adapter.node.clock().now() + kLongestSilence);
    while (result == -EAGAIN && adapter.node.step(latest)) result = call();
    if (result == -EAGAIN && end == latest) {
      adapter.node.run_to(end, [] {});
      result = call();
    }
    return result;
  }
  const auto give_up = std::chrono::steady_clock::now() + kLongestRealWait;
  while (result == -EAGAIN && adapter.node.clock().now() < end) {
    if (end != MonotonicTime::max()) adapter.node.stop_at(end);
    const std::uint64_t seen = adapter.round;
    ++adapter.waiting;
    const bool woken =
        adapter.changed.wait_until(lock, give_up, [&] { return adapter.round != seen; });
    --adapter.waiting;
    result = call();
    if (!woken) break;
    const bool done = result != -EAGAIN || adapter.node.clock().now() >= end;
    if (done && !this_thread_returns) {
      this_thread_returns = true;
      ++adapter.returning;
    }
    if (adapter.to_look > 0) --adapter.to_look;
    adapter.looked.notify_all();
  }
  return result;
}

template <typename Call>
auto waiting_for(Adapter& adapter, int descriptor, bool may_wait, Call&& call) {
  Lock lock(adapter.mutex);
  if (!may_wait || !adapter.sockets.may_wait(descriptor)) return answer(call());
  return answer(wait_until_done(adapter, lock, MonotonicTime::max(), call));
}

template <typename Call>
auto at_once(void* self, Call&& call) {
  const Lock lock(of(self).mutex);
  return answer(call(of(self).sockets));
}

ssize_t read_into(void* self, int descriptor, std::span<std::byte> bytes, int flags) {
  Adapter& adapter = of(self);
  constexpr int kNeverAny = MSG_ERRQUEUE | MSG_OOB;
  const bool may_wait = (flags & (MSG_DONTWAIT | kNeverAny)) == 0;
  return waiting_for(adapter, descriptor, may_wait, [&]() -> ssize_t {
    if ((flags & MSG_OOB) != 0) return -EINVAL;
    if ((flags & MSG_ERRQUEUE) != 0) return -EAGAIN;
    if (bytes.data() != nullptr || bytes.empty()) {
      return adapter.sockets.read(descriptor, bytes, (flags & MSG_PEEK) != 0);
    }
    // Nowhere to put it: an error once there is something, or, with MSG_TRUNC, dropped.
    std::vector<std::byte> nowhere(bytes.size());
    const bool drop = (flags & MSG_TRUNC) != 0;
    const ssize_t count = adapter.sockets.read(descriptor, nowhere, !drop);
    return count > 0 && !drop ? -EFAULT : count;
  });
}

ssize_t write_from(void* self, int descriptor, std::span<const std::byte> bytes, int flags) {
  Adapter& adapter = of(self);
  return waiting_for(adapter, descriptor, (flags & MSG_DONTWAIT) == 0, [&]() -> ssize_t {
    if ((flags & MSG_OOB) != 0) return -EOPNOTSUPP;
    if (bytes.data() == nullptr && !bytes.empty()) return -EFAULT;
    return adapter.sockets.write(descriptor, bytes);
  });
}

std::span<std::byte> writable(void* bytes, std::size_t count) {
  return {static_cast<std::byte*>(bytes), count};
}
std::span<const std::byte> readable(const void* bytes, std::size_t count) {
  return {static_cast<const std::byte*>(bytes), count};
}

ssize_t read_vectors(void* self, int descriptor, std::span<const iovec> vectors, int flags) {
  std::size_t total = 0;
  for (const iovec& vector : vectors) total += vector.iov_len;
  std::vector<std::byte> bytes(total);
  const ssize_t count = read_into(self, descriptor, bytes, flags);
  std::size_t copied = 0;
  for (const iovec& vector : vectors) {
    if (count <= 0 || copied == static_cast<std::size_t>(count)) break;
    const std::size_t piece = std::min(vector.iov_len, static_cast<std::size_t>(count) - copied);
    std::memcpy(vector.iov_base, bytes.data() + copied, piece);
    copied += piece;
  }
  return count;
}

ssize_t write_vectors(void* self, int descriptor, std::span<const iovec> vectors, int flags) {
  std::vector<std::byte> bytes;
  for (const iovec& vector : vectors) {
    const auto piece = readable(vector.iov_base, vector.iov_len);
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  return write_from(self, descriptor, bytes, flags);
}

std::span<const iovec> vectors_of(const iovec* vectors, std::size_t count) {
  return {vectors, count};
}

int call_fcntl(void* self, int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  const int argument = va_arg(arguments, int);
  va_end(arguments);
  return at_once(self,
                 [&](Sockets& sockets) { return sockets.fcntl(descriptor, command, argument); });
}

int call_ioctl(void* self, int descriptor, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  int* value = va_arg(arguments, int*);
  va_end(arguments);
  return at_once(self, [&](Sockets& sockets) { return sockets.ioctl(descriptor, request, value); });
}

MonotonicTime end_of_wait(Adapter& adapter, int timeout_ms) {
  return timeout_ms < 0 ? MonotonicTime::max()
                        : adapter.node.clock().now() + std::chrono::milliseconds(timeout_ms);
}

int call_poll(void* self, pollfd* descriptors, nfds_t count, int timeout_ms) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  adapter.node.settle();
  const int ready = wait_until_done(adapter, lock, end_of_wait(adapter, timeout_ms), [&] {
    int found = 0;
    for (pollfd& item : std::span(descriptors, count)) {
      item.revents = adapter.sockets.poll(item.fd, item.events);
      if (item.revents != 0) ++found;
    }
    return found > 0 ? found : -EAGAIN;
  });
  return ready == -EAGAIN ? 0 : answer(ready);
}

int epoll_wait(void* self, int epoll, epoll_event* events, int most, int timeout_ms) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  adapter.node.settle();
  const int ready = wait_until_done(adapter, lock, end_of_wait(adapter, timeout_ms), [&] {
    const int found = adapter.sockets.epoll_collect(epoll, events, most);
    return found != 0 ? found : -EAGAIN;
  });
  return ready == -EAGAIN ? 0 : answer(ready);
}

int netdev_send(void* self, const void* packet, std::size_t count) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  adapter.node.receive(readable(packet, count));
  let_waiters_run(adapter, lock);
  return 0;
}

int netdev_receive(void* self, void* packet, std::size_t* count, long long* time_us) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  const MonotonicTime latest = adapter.node.clock().now() + kLongestSilence;
  adapter.node.settle();
  while (adapter.node.wire().empty() && adapter.node.step(latest)) let_waiters_run(adapter, lock);
  if (adapter.node.wire().empty()) {
    if (++adapter.empty_answers > kMaximumEmptyAnswers) {
      std::fprintf(stderr, "nearfield: the stack has nothing to send that the script waits for\n");
      std::exit(EXIT_FAILURE);
    }
    *count = 0;
    *time_us = microseconds_of(adapter.node.clock().now());
    return 0;
  }
  const SentPacket sent = adapter.node.wire().take();
  if (sent.bytes.size() > *count) {
    errno = EMSGSIZE;
    return -1;
  }
  std::memcpy(packet, sent.bytes.data(), sent.bytes.size());
  *count = sent.bytes.size();
  *time_us = microseconds_of(sent.at);
  adapter.node.settle();  // there is room now
  return 0;
}

int call_usleep(void* self, useconds_t microseconds) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  const auto let_run = [&] { let_waiters_run(adapter, lock); };
  adapter.node.run_to(adapter.node.clock().now() + std::chrono::microseconds(microseconds),
                      let_run);
  let_run();
  return 0;
}

int call_gettimeofday(void* self, timeval* time, struct timezone*) {
  Adapter& adapter = of(self);
  const Lock lock(adapter.mutex);
  if (this_thread_returns) {
    this_thread_returns = false;
    --adapter.returning;
    adapter.looked.notify_all();
  }
  const long long now = microseconds_of(adapter.node.clock().read());
  time->tv_sec = now / 1'000'000;
  time->tv_usec = now % 1'000'000;
  return 0;
}

// Descriptors that are neither: packetdrill has them for tests of the kernel's own interfaces.
int refuse() {
  errno = ENOSYS;
  return -1;
}

void fill(Interface& table, Adapter* adapter) {
  table.self = adapter;
  table.free = [](void* self) { delete static_cast<Adapter*>(self); };
  table.socket = [](void* self, int domain, int type, int protocol) {
    return at_once(self, [&](Sockets& sockets) { return sockets.socket(domain, type, protocol); });
  };
  table.bind = [](void* self, int fd, const sockaddr* address, socklen_t bytes) {
    return at_once(self, [&](Sockets& sockets) { return sockets.bind(fd, address, bytes); });
  };
  table.listen = [](void* self, int fd, int backlog) {
    return at_once(self, [&](Sockets& sockets) { return sockets.listen(fd, backlog); });
  };
  table.accept = [](void* self, int fd, sockaddr* address, socklen_t* bytes) {
    Adapter& adapter = of(self);
    return waiting_for(adapter, fd, true,
                       [&] { return adapter.sockets.accept(fd, address, bytes); });
  };
  table.connect = [](void*, int, const sockaddr*, socklen_t) {
    errno = EOPNOTSUPP;  // passive open only
    return -1;
  };
  table.read = [](void* self, int fd, void* bytes, std::size_t count) {
    return read_into(self, fd, writable(bytes, count), 0);
  };
  table.readv = [](void* self, int fd, const iovec* vectors, int count) {
    return read_vectors(self, fd, vectors_of(vectors, static_cast<std::size_t>(count)), 0);
  };
  table.recv = [](void* self, int fd, void* bytes, std::size_t count, int flags) {
    return read_into(self, fd, writable(bytes, count), flags);
  };
  table.recvfrom = [](void* self, int fd, void* bytes, std::size_t count, int flags, sockaddr*,
                      socklen_t* address_bytes) {
    if (address_bytes != nullptr) *address_bytes = 0;  // a stream's peer is known
    return read_into(self, fd, writable(bytes, count), flags);
  };
  table.recvmsg = [](void* self, int fd, msghdr* message, int flags) {
    message->msg_controllen = 0;
    message->msg_flags = 0;
    return read_vectors(self, fd, vectors_of(message->msg_iov, message->msg_iovlen), flags);
  };
  table.write = [](void* self, int fd, const void* bytes, std::size_t count) {
    return write_from(self, fd, readable(bytes, count), 0);
  };
  table.writev = [](void* self, int fd, const iovec* vectors, int count) {
    return write_vectors(self, fd, vectors_of(vectors, static_cast<std::size_t>(count)), 0);
  };
  table.send = [](void* self, int fd, const void* bytes, std::size_t count, int flags) {
    return write_from(self, fd, readable(bytes, count), flags);
  };
  table.sendto = [](void* self, int fd, const void* bytes, std::size_t count, int flags,
                    const sockaddr*,
                    socklen_t) { return write_from(self, fd, readable(bytes, count), flags); };
  table.sendmsg = [](void* self, int fd, const msghdr* message, int flags) {
    return write_vectors(self, fd, vectors_of(message->msg_iov, message->msg_iovlen), flags);
  };
  table.fcntl = call_fcntl;
  table.ioctl = call_ioctl;
  table.close = [](void* self, int fd) {
    return at_once(self, [&](Sockets& sockets) { return sockets.close(fd); });
  };
  table.shutdown = [](void* self, int fd, int how) {
    return at_once(self, [&](Sockets& sockets) { return sockets.shutdown(fd, how); });
  };
  table.getsockopt = [](void* self, int fd, int level, int name, void* value, socklen_t* bytes) {
    return at_once(
        self, [&](Sockets& sockets) { return sockets.getsockopt(fd, level, name, value, bytes); });
  };
  table.setsockopt = [](void* self, int fd, int level, int name, const void* value,
                        socklen_t bytes) {
    return at_once(
        self, [&](Sockets& sockets) { return sockets.setsockopt(fd, level, name, value, bytes); });
  };
  table.poll = call_poll;
  table.netdev_send = netdev_send;
  table.netdev_receive = netdev_receive;
  table.usleep = call_usleep;
  table.gettimeofday = call_gettimeofday;
  table.epoll_create = [](void* self, int size) {
    return at_once(self,
                   [&](Sockets& sockets) { return size > 0 ? sockets.epoll_create() : -EINVAL; });
  };
  table.epoll_ctl = [](void* self, int epoll, int operation, int fd, epoll_event* event) {
    return at_once(
        self, [&](Sockets& sockets) { return sockets.epoll_control(epoll, operation, fd, event); });
  };
  table.epoll_wait = epoll_wait;
  table.pipe = [](void*, int*) { return refuse(); };
  table.splice = [](void*, int, loff_t*, int, loff_t*, std::size_t, unsigned int) {
    return static_cast<ssize_t>(refuse());
  };
}

}  // namespace
}  // namespace nearfield::packetdrill

extern "C" __attribute__((visibility("default"))) void packetdrill_interface_init(
    const char* flags, nearfield::packetdrill::Interface* interface) {
  namespace driver = nearfield::packetdrill;
  const auto options = driver::parse_flags(flags == nullptr ? "" : flags);
  if (!options) {
    std::fprintf(stderr, "nearfield: %s\n", options.error().message.c_str());
    std::exit(EXIT_FAILURE);
  }
  driver::fill(*interface, std::make_unique<driver::Adapter>(*options).release());
}
