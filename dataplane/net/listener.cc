#include "dataplane/net/listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "dataplane/net/socket_address.h"

namespace nearfield::net {
namespace {

Error bind_error(const Endpoint& endpoint, int number) {
  const std::string at = endpoint.text();
  const std::string port = std::to_string(endpoint.port);
  switch (number) {
    case EADDRINUSE:
      return Error{"cannot listen on " + at +
                   ": the port is in use by another program; find it with `ss -ltnp sport = :" +
                   port + "`, end it or choose another port"};
    case EACCES:
      return Error{"cannot listen on " + at + ": ports below " +
                   "net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE; grant it or "
                   "choose a higher port"};
    case EADDRNOTAVAIL:
      return Error{"cannot listen on " + at +
                   ": this machine does not have that address; see `ip address`"};
    case EMFILE:
    case ENFILE:
      return Error{"cannot listen on " + at +
                   ": no file descriptor left; raise LimitNOFILE (ulimit -n)"};
    default:
      return Error{"cannot listen on " + at + ": " + std::strerror(number)};
  }
}

void set_option(int descriptor, int level, int option, int value) {
  ::setsockopt(descriptor, level, option, &value, sizeof(value));
}

int get_option(int descriptor, int level, int option, int otherwise) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(descriptor, level, option, &value, &length) == 0 ? value : otherwise;
}

bool is_any_v6(const Endpoint& endpoint) {
  return std::ranges::all_of(endpoint.address.bytes, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

Result<Listener> Listener::open(const Endpoint& endpoint, const ListenerOptions& options) {
  Endpoint wanted = endpoint;
  int descriptor = -1;
  for (;;) {
    const int family = wanted.address.is_v4() ? AF_INET : AF_INET6;
    // Blocking on purpose: io_uring turns O_NONBLOCK into "fail with EAGAIN" instead of waiting for
    // readiness.
    descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor >= 0) break;
    if (errno != EAFNOSUPPORT || !is_any_v6(wanted) ||
        options.families == AddressFamilies::v6_only) {
      return std::unexpected(bind_error(wanted, errno));
    }
    wanted.address = *Address::parse("0.0.0.0");
  }
  Listener listener(descriptor, wanted);
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  if (!wanted.address.is_v4()) {
    set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY,
               options.families == AddressFamilies::v6_only || !is_any_v6(wanted) ? 1 : 0);
  }
  SocketAddress address;
  const socklen_t length = to_socket_address(wanted, &address);
  if (::bind(descriptor, &address.any, length) != 0 || ::listen(descriptor, options.backlog) != 0) {
    return std::unexpected(bind_error(wanted, errno));
  }
  listener.local_ = local_endpoint(descriptor);
  return listener;
}

Result<Listener> Listener::adopt(int descriptor) {
  const std::string which = "the passed descriptor " + std::to_string(descriptor);
  const int flags = ::fcntl(descriptor, F_GETFL);
  if (flags < 0)
    return failure(which + " is not open; pass listening sockets from the old process");
  Listener listener(descriptor, {});
  const int domain = get_option(descriptor, SOL_SOCKET, SO_DOMAIN, -1);
  if (get_option(descriptor, SOL_SOCKET, SO_TYPE, -1) != SOCK_STREAM ||
      (domain != AF_INET && domain != AF_INET6)) {
    return failure(which + " is not a TCP socket; pass listening TCP sockets only");
  }
  if (get_option(descriptor, SOL_SOCKET, SO_ACCEPTCONN, 0) == 0) {
    return failure(which + " does not listen; pass sockets after listen()");
  }
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  ::fcntl(descriptor, F_SETFL, flags & ~O_NONBLOCK);  // as in open()
  set_option(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  listener.local_ = local_endpoint(descriptor);
  return listener;
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), local_(other.local_) {}

Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(local_, other.local_);
  return *this;
}

Listener::~Listener() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int Listener::release() { return std::exchange(descriptor_, -1); }

}  // namespace nearfield::net
