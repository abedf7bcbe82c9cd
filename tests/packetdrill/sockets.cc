// See sockets.h.
#include "tests/packetdrill/sockets.h"

#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "dataplane/net/socket_address.h"
#include "tests/packetdrill/socket.h"
#include "tests/packetdrill/tcp_information.h"

// Of <linux/sockios.h>, which names them for no other reason than these two.
#ifndef SIOCOUTQ
#define SIOCOUTQ 0x5411
#endif
#ifndef SIOCOUTQNSD
#define SIOCOUTQNSD 0x894B
#endif

namespace nearfield::packetdrill {
namespace {

using Kind = Socket::Kind;

int put_value(void* value, socklen_t* bytes, const void* from, std::size_t size) {
  const std::size_t count = std::min<std::size_t>(*bytes, size);
  std::memcpy(value, from, count);
  *bytes = static_cast<socklen_t>(count);
  return 0;
}

void put_address(const net::Endpoint& endpoint, int family, sockaddr* address, socklen_t* bytes) {
  if (address == nullptr || bytes == nullptr) return;
  net::SocketAddress from{};
  socklen_t length = net::to_socket_address(endpoint, &from);
  if (family == AF_INET6 && from.any.sa_family == AF_INET) {  // RFC 4291 2.5.5.2
    from = {};
    from.v6.sin6_family = AF_INET6;
    from.v6.sin6_port = htons(endpoint.port);
    std::memcpy(&from.v6.sin6_addr, endpoint.address.bytes.data(), sizeof from.v6.sin6_addr);
    length = sizeof from.v6;
  }
  std::memcpy(address, &from, std::min(*bytes, length));
  *bytes = length;
}

// What the stack always does, what only says how large buffers may grow, or what asks for nothing.
// Everything else would change what is sent, and a script that sets it must not go on as if it did.
bool changes_nothing(int level, int name, int value) {
  if (level == SOL_SOCKET) {
    return name == SO_REUSEADDR || name == SO_REUSEPORT || name == SO_SNDBUF || name == SO_RCVBUF ||
           name == SO_SNDBUFFORCE || name == SO_RCVBUFFORCE || name == SO_PRIORITY ||
           name == SO_MARK || name == SO_BUSY_POLL ||
           (value == 0 && (name == SO_KEEPALIVE || name == SO_OOBINLINE));
  }
  if (level == IPPROTO_TCP) {
    return name == TCP_NODELAY || name == TCP_NOTSENT_LOWAT ||
           (value == 0 && (name == TCP_CORK || name == TCP_QUICKACK || name == TCP_DEFER_ACCEPT ||
                           name == TCP_USER_TIMEOUT));
  }
  if (level == IPPROTO_IP) return name == IP_MTU_DISCOVER && value == IP_PMTUDISC_DO;
  return level == IPPROTO_IPV6 && name == IPV6_V6ONLY;
}

}  // namespace

Sockets::Sockets(Node& node) : node_(node) {}

Sockets::~Sockets() {
  node_.stack().shutdown();  // while the handlers are still there
  for (const auto& [descriptor, socket] : sockets_) {
    if (::fcntl(descriptor, F_GETFD) >= 0) ::close(descriptor);  // the driver may have done it
  }
}

Socket* Sockets::find(int descriptor) {
  const auto found = sockets_.find(descriptor);
  return found == sockets_.end() ? nullptr : found->second.get();
}

int Sockets::add(std::unique_ptr<Socket> socket) {
  if (sockets_.size() >= kMaximumSockets) return -EMFILE;
  const int descriptor = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return -EMFILE;
  sockets_.insert_or_assign(descriptor, std::move(socket));
  return descriptor;
}

void Sockets::drop_closed() {
  std::erase_if(closing_, [](const auto& socket) {
    return socket->kind == Kind::connection && socket->stream == nullptr;
  });
}

int Sockets::socket(int domain, int type, int protocol) {
  if (domain != AF_INET && domain != AF_INET6) return -EAFNOSUPPORT;
  if ((type & 0xf) != SOCK_STREAM || (protocol != 0 && protocol != IPPROTO_TCP)) {
    return -EPROTONOSUPPORT;
  }
  auto socket = std::make_unique<Socket>();
  socket->family = domain;
  socket->nonblocking = (type & SOCK_NONBLOCK) != 0;
  return add(std::move(socket));
}

int Sockets::bind(int descriptor, const sockaddr* address, socklen_t bytes) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::fresh || socket->bound) return -EINVAL;
  net::SocketAddress from{};
  if (bytes < sizeof(sockaddr_in) || bytes > sizeof(from)) return -EINVAL;
  std::memcpy(&from, address, bytes);
  if (from.any.sa_family != socket->family) return -EAFNOSUPPORT;
  socket->bound = net::to_endpoint(from);
  return socket->bound->port == 0 ? -EADDRNOTAVAIL : 0;
}

int Sockets::listen(int descriptor, int backlog) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::fresh && socket->kind != Kind::listener) return -EINVAL;
  if (!socket->bound) return -EDESTADDRREQ;
  socket->backlog = static_cast<std::size_t>(std::clamp(backlog, 1, 4096));
  if (socket->kind == Kind::fresh) {
    socket->kind = Kind::listener;
    node_.stack().listen(*socket->bound, *socket);
  }
  return 0;
}

void Sockets::listen_again() {
  node_.stack().stop_listening();
  for (const auto& [descriptor, socket] : sockets_) {
    if (socket->kind == Kind::listener) node_.stack().listen(*socket->bound, *socket);
  }
}

int Sockets::accept(int descriptor, sockaddr* address, socklen_t* bytes) {
  node_.settle();
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::listener) return -EINVAL;
  if (socket->accepted.empty()) return -EAGAIN;
  put_address(*socket->accepted.front()->peer, socket->family, address, bytes);
  const int made = add(std::move(socket->accepted.front()));
  socket->accepted.pop_front();
  return made;
}

ssize_t Sockets::read(int descriptor, std::span<std::byte> into, bool peek) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::connection) return -ENOTCONN;
  if (into.empty() || socket->discarding) return 0;
  if (socket->stream != nullptr) {
    socket->want(into, peek);
    socket->stream->resume_receive();
    node_.settle();
    const std::size_t taken = socket->taken();
    socket->want({}, false);
    if (taken > 0) return static_cast<ssize_t>(taken);
  }
  if (socket->ended) return 0;
  if (socket->error != 0) return -std::exchange(socket->error, 0);
  return socket->stream == nullptr ? 0 : -EAGAIN;
}

ssize_t Sockets::write(int descriptor, std::span<const std::byte> bytes) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::connection) return -ENOTCONN;
  if (socket->error != 0) return -std::exchange(socket->error, 0);
  if (socket->stream == nullptr || socket->finishing) return -EPIPE;
  const std::size_t room = kSendBufferBytes - std::min(kSendBufferBytes, socket->unsent.size());
  const std::size_t count = std::min(room, bytes.size());
  if (count == 0 && !bytes.empty()) return -EAGAIN;
  socket->unsent.insert(socket->unsent.end(), bytes.begin(), bytes.begin() + count);
  socket->stream->wake_sender();
  node_.settle();
  return static_cast<ssize_t>(count);
}

int Sockets::shutdown(int descriptor, int how) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::connection || socket->stream == nullptr) return -ENOTCONN;
  if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) return -EINVAL;
  if (how != SHUT_WR) {
    socket->discarding = true;
    socket->stream->resume_receive();
  }
  if (how != SHUT_RD) {
    socket->finishing = true;
    socket->stream->wake_sender();
    if (socket->unsent.empty()) socket->stream->close_after_send();
  }
  node_.settle();
  return 0;
}

// What the peer sent and nobody reads is lost with the socket, and it must hear that (RFC 9293
// 3.6.1, RFC 2525 2.17).
bool Sockets::end_with_reset(const Socket& socket) {
  if (socket.reset_on_close) return true;
  net::tcp::ConnectionView view;
  return !socket.discarding &&
         node_.stack().find({*socket.local, *socket.peer}, &view) != nullptr &&
         view.receive_held_bytes > 0;
}

void Sockets::release(int descriptor) {
  sockets_.erase(descriptor);
  for (const auto& [number, socket] : sockets_) socket->epoll.forget(descriptor);
  ::close(descriptor);
}

int Sockets::close(int descriptor) {
  const auto found = sockets_.find(descriptor);
  if (found == sockets_.end()) return -EBADF;
  std::unique_ptr<Socket> socket = std::move(found->second);
  release(descriptor);
  if (socket->kind == Kind::listener) {
    listen_again();
    for (auto& waiting : socket->accepted) {
      if (waiting->stream != nullptr) waiting->stream->abort();
      closing_.push_back(std::move(waiting));
    }
  } else if (socket->stream != nullptr) {
    const bool reset = end_with_reset(*socket);
    socket->discarding = true;
    if (reset) {
      socket->stream->abort();
    } else {
      socket->finishing = true;
      socket->stream->wake_sender();
      socket->stream->resume_receive();
      if (socket->unsent.empty()) socket->stream->close_after_send();
    }
    closing_.push_back(std::move(socket));
  }
  node_.settle();
  drop_closed();
  return 0;
}

int Sockets::fcntl(int descriptor, int command, long argument) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  switch (command) {
    case F_GETFL:
      return O_RDWR | (socket->nonblocking ? O_NONBLOCK : 0);
    case F_SETFL:
      socket->nonblocking = (argument & O_NONBLOCK) != 0;
      return 0;
    case F_GETFD:
    case F_SETFD:
      return 0;
    default:
      return -EINVAL;
  }
}

int Sockets::ioctl(int descriptor, unsigned long request, int* value) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  net::tcp::ConnectionView view;
  const bool known = socket->stream != nullptr &&
                     node_.stack().find({*socket->local, *socket->peer}, &view) != nullptr;
  switch (request) {
    case FIONBIO:
      socket->nonblocking = *value != 0;
      return 0;
    case FIONREAD:  // also SIOCINQ
      *value = known ? static_cast<int>(view.receive_held_bytes) : 0;
      return 0;
    case SIOCOUTQ:  // not acknowledged
      *value = static_cast<int>(socket->unsent.size() +
                                (known ? view.unsent_bytes + unacknowledged_bytes(view) : 0));
      return 0;
    case SIOCOUTQNSD:
      *value = static_cast<int>(socket->unsent.size() + (known ? view.unsent_bytes : 0));
      return 0;
    default:
      return -EINVAL;
  }
}

int Sockets::getsockopt(int descriptor, int level, int name, void* value, socklen_t* bytes) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (level == SOL_SOCKET && name == SO_ERROR) {
    const int error = std::exchange(socket->error, 0);
    return put_value(value, bytes, &error, sizeof error);
  }
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    constexpr char kName[16] = "cubic";  // as long as the kernel's names may be
    return put_value(value, bytes, kName, sizeof kName);
  }
  if (level == IPPROTO_TCP && (name == TCP_INFO || name == TCP_MAXSEG)) {
    if (socket->kind != Kind::connection) return -ENOTCONN;
    net::tcp::ConnectionView view;
    const bool known = socket->stream != nullptr &&
                       node_.stack().find({*socket->local, *socket->peer}, &view) != nullptr;
    if (name == TCP_MAXSEG) {
      const int segment = known ? static_cast<int>(view.segment_bytes) : 0;
      return put_value(value, bytes, &segment, sizeof segment);
    }
    const tcp_info information = known ? tcp_information(view) : closed_tcp_information();
    return put_value(value, bytes, &information, sizeof information);
  }
  int number = 0;
  if (level == SOL_SOCKET && name == SO_TYPE) {
    number = SOCK_STREAM;
  } else if (level == SOL_SOCKET && name == SO_ACCEPTCONN) {
    number = socket->kind == Kind::listener ? 1 : 0;
  } else if (const auto found = socket->remembered.find({level, name});
             found != socket->remembered.end()) {
    // The kernel tells of buffers twice what was asked for.
    const bool buffer = level == SOL_SOCKET && (name == SO_SNDBUF || name == SO_RCVBUF);
    number = found->second * (buffer ? 2 : 1);
  } else if (!changes_nothing(level, name, 0)) {
    return -ENOPROTOOPT;
  }
  return put_value(value, bytes, &number, sizeof number);
}

int Sockets::setsockopt(int descriptor, int level, int name, const void* value, socklen_t bytes) {
  Socket* socket = find(descriptor);
  if (socket == nullptr) return -EBADF;
  if (level == SOL_SOCKET && name == SO_LINGER) {
    linger how{};
    if (bytes < sizeof how) return -EINVAL;
    std::memcpy(&how, value, sizeof how);
    socket->reset_on_close = how.l_onoff != 0 && how.l_linger == 0;
    return 0;
  }
  if (level == IPPROTO_TCP && name == TCP_CONGESTION) {
    return std::string_view(static_cast<const char*>(value),
                            strnlen(static_cast<const char*>(value), bytes)) == "cubic"
               ? 0
               : -ENOENT;
  }
  int number = 0;
  if (bytes < sizeof number) return -EINVAL;
  std::memcpy(&number, value, sizeof number);
  if (!changes_nothing(level, name, number)) return -ENOPROTOOPT;
  socket->remembered[{level, name}] = number;
  return 0;
}

short Sockets::poll(int descriptor, short events) {
  const Socket* socket = find(descriptor);
  if (socket == nullptr) return POLLNVAL;
  int ready = 0;
  if (socket->kind == Kind::listener) {
    if (!socket->accepted.empty()) ready |= POLLIN | POLLRDNORM;
  } else if (socket->kind == Kind::connection) {
    if (socket->readable || socket->ended || socket->stream == nullptr)
      ready |= POLLIN | POLLRDNORM;
    if (socket->ended || socket->stream == nullptr) ready |= POLLRDHUP;
    if (socket->unsent.size() < kSendBufferBytes) ready |= POLLOUT | POLLWRNORM;
  }
  int always = 0;
  if (socket->error != 0) always |= POLLERR;
  if (socket->kind == Kind::fresh || (socket->kind == Kind::connection && !socket->stream)) {
    always |= POLLHUP;
  }
  return static_cast<short>((ready & events) | always);
}

int Sockets::epoll_create() {
  auto socket = std::make_unique<Socket>();
  socket->kind = Kind::epoll;
  return add(std::move(socket));
}

int Sockets::epoll_control(int epoll, int operation, int descriptor, const epoll_event* event) {
  Socket* socket = find(epoll);
  const Socket* watched = find(descriptor);
  if (socket == nullptr || watched == nullptr) return -EBADF;
  if (socket->kind != Kind::epoll || watched->kind == Kind::epoll) return -EINVAL;
  return socket->epoll.control(operation, descriptor, event);
}

int Sockets::epoll_collect(int epoll, epoll_event* events, int most) {
  Socket* socket = find(epoll);
  if (socket == nullptr) return -EBADF;
  if (socket->kind != Kind::epoll || most <= 0) return -EINVAL;
  const auto ask = [this](int descriptor, std::uint32_t wanted) {
    constexpr std::uint32_t kPolled = 0xffff & ~(EPOLLEXCLUSIVE | EPOLLWAKEUP);
    const short ready = poll(descriptor, static_cast<short>(wanted & kPolled));
    const Socket* watched = find(descriptor);
    return Epoll::Readiness{.events = static_cast<std::uint16_t>(ready),
                            .happenings = watched == nullptr ? 0 : watched->happenings};
  };
  return socket->epoll.collect({events, static_cast<std::size_t>(most)}, ask);
}

bool Sockets::may_wait(int descriptor) {
  const Socket* socket = find(descriptor);
  return socket != nullptr && !socket->nonblocking;
}

}  // namespace nearfield::packetdrill
