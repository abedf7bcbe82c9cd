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
// How long a packet is waited for, in virtual time, and how often the driver may ask in vain.
constexpr auto kLongestSilence = std::chrono::hours(1);
constexpr int kMaximumEmptyAnswers = 16;

struct Adapter {
  explicit Adapter(const net::tcp::StackOptions& options) : node(options), sockets(node) {}

  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
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

// Lets threads that wait see what happened, and gives them the time to be seen returning.
void let_waiters_run(Adapter& adapter, Lock& lock) {
  if (adapter.waiting == 0) return;
  adapter.changed.notify_all();
  lock.unlock();
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  lock.lock();
}

template <typename Call>
auto waiting_for(Adapter& adapter, int descriptor, bool may_wait, Call&& call) {
  Lock lock(adapter.mutex);
  const auto give_up = std::chrono::steady_clock::now() + kLongestRealWait;
  auto result = call();
  while (result == -EAGAIN && may_wait && adapter.sockets.may_wait(descriptor)) {
    ++adapter.waiting;
    const auto status = adapter.changed.wait_until(lock, give_up);
    --adapter.waiting;
    result = call();
    if (status == std::cv_status::timeout) break;
  }
  return answer(result);
}

template <typename Call>
auto at_once(void* self, Call&& call) {
  const Lock lock(of(self).mutex);
  return answer(call(of(self).sockets));
}

ssize_t read_into(void* self, int descriptor, std::span<std::byte> bytes, int flags) {
  Adapter& adapter = of(self);
  return waiting_for(adapter, descriptor, (flags & MSG_DONTWAIT) == 0, [&] {
    return adapter.sockets.read(descriptor, bytes, (flags & MSG_PEEK) != 0);
  });
}

ssize_t write_from(void* self, int descriptor, std::span<const std::byte> bytes, int flags) {
  Adapter& adapter = of(self);
  return waiting_for(adapter, descriptor, (flags & MSG_DONTWAIT) == 0,
                     [&] { return adapter.sockets.write(descriptor, bytes); });
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
  const long argument = va_arg(arguments, long);
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

int call_poll(void* self, pollfd* descriptors, nfds_t count, int timeout_ms) {
  Adapter& adapter = of(self);
  Lock lock(adapter.mutex);
  const MonotonicTime end = adapter.node.clock().now() + std::chrono::milliseconds(timeout_ms);
  const auto give_up = std::chrono::steady_clock::now() + kLongestRealWait;
  for (;;) {
    int ready = 0;
    for (pollfd& item : std::span(descriptors, count)) {
      item.revents = adapter.sockets.poll(item.fd, item.events);
      if (item.revents != 0) ++ready;
    }
    const bool over = timeout_ms >= 0 && adapter.node.clock().now() >= end;
    if (ready > 0 || over) return ready;
    ++adapter.waiting;
    const auto status = adapter.changed.wait_until(lock, give_up);
    --adapter.waiting;
    if (status == std::cv_status::timeout) return 0;
  }
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
  const long long now = microseconds_of(adapter.node.clock().read());
  time->tv_sec = now / 1'000'000;
  time->tv_usec = now % 1'000'000;
  return 0;
}

// Descriptors that are not sockets: packetdrill has them for tests of the kernel's own interfaces.
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
  table.epoll_create = [](void*, int) { return refuse(); };
  table.epoll_ctl = [](void*, int, int, int, epoll_event*) { return refuse(); };
  table.epoll_wait = [](void*, int, epoll_event*, int, int) { return refuse(); };
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
