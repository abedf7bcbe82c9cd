// Between Endpoint and the kernel's sockaddr. For transports and listeners; nothing above net/ sees
// a sockaddr.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "dataplane/net/endpoint.h"

namespace nearfield::net {

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

// As AF_INET for IPv4 addresses, as AF_INET6 for others. Returns the length in use.
socklen_t to_socket_address(const Endpoint& endpoint, SocketAddress* address);
// AF_INET becomes the mapped form; any other family gives [::]:0.
Endpoint to_endpoint(const SocketAddress& address);

Endpoint local_endpoint(int descriptor);
Endpoint peer_endpoint(int descriptor);

}  // namespace nearfield::net
