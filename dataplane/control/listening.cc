#include "dataplane/control/listening.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <format>
#include <utility>

#include "dataplane/net/socket_address.h"

namespace nearfield::control {
namespace {

// SO_REUSEPORT would let a second node of the same user take half of the first one's connections in
// silence. A bind without it fails when anyone listens there.
Result<void> expect_free(const net::Endpoint& endpoint) {
  if (endpoint.port == 0) return {};
  const int family = endpoint.address.is_v4() ? AF_INET : AF_INET6;
  const int descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return {};  // open() says why
  const int one = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  net::SocketAddress address;
  const socklen_t length = net::to_socket_address(endpoint, &address);
  const bool in_use = ::bind(descriptor, &address.any, length) != 0 && errno == EADDRINUSE;
  ::close(descriptor);
  if (!in_use) return {};
  return failure(
      std::format("cannot listen on {}: another process does; find it with `ss -ltnp sport = :{}`, "
                  "end it or choose another port "
                  "(to replace a running node without a gap: --takeover)",
                  endpoint.text(), endpoint.port));
}

}  // namespace

Result<Listening> make_listening(const std::vector<ListenAddress>& addresses, std::uint32_t workers,
                                 std::vector<HandedListener> handed) {
  Listening result;
  result.of_worker.resize(workers);
  const bool taking_over = !handed.empty();
  std::uint32_t next_worker = 0;
  for (const auto& [address, kind] : addresses) {
    const std::string name = address.text();
    net::Endpoint bound = address;
    std::uint32_t count = 0;
    const auto give = [&](net::Listener listener) {
      if (count == 0) bound = listener.local();
      result.of_worker[next_worker++ % workers].push_back({std::move(listener), kind});
      ++count;
    };
    for (HandedListener& one : handed) {
      if (one.listener.descriptor() >= 0 && one.kind == kind &&
          (one.configured == name || one.listener.local() == address)) {
        give(std::move(one.listener));
      }
    }
    if (count == 0) {
      if (auto free = taking_over ? Result<void>() : expect_free(address); !free) {
        return std::unexpected(free.error());
      }
    }
    while (count < workers) {
      net::Endpoint wanted = address;
      if (count != 0) wanted.port = bound.port;  // port 0: the first one chose
      auto listener = net::Listener::open(wanted);
      if (!listener) return std::unexpected(listener.error());
      give(*std::move(listener));
    }
    result.bound.push_back({bound, kind});
    result.configured.push_back(name);
    next_worker = 0;
  }
  return result;
}

}  // namespace nearfield::control
