#include "dataplane/net/socket_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

namespace nearfield::net {

socklen_t to_socket_address(const Endpoint& endpoint, SocketAddress* address) {
  *address = {};
  if (endpoint.address.is_v4()) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons(endpoint.port);
    std::memcpy(&address->v4.sin_addr, endpoint.address.bytes.data() + 12, 4);
    return sizeof(address->v4);
  }
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons(endpoint.port);
  std::memcpy(&address->v6.sin6_addr, endpoint.address.bytes.data(), 16);
  return sizeof(address->v6);
}

Endpoint to_endpoint(const SocketAddress& address) {
  Endpoint endpoint;
  if (address.any.sa_family == AF_INET) {
    endpoint.port = ntohs(address.v4.sin_port);
    endpoint.address.bytes[10] = 0xff;
    endpoint.address.bytes[11] = 0xff;
    std::memcpy(endpoint.address.bytes.data() + 12, &address.v4.sin_addr, 4);
  } else if (address.any.sa_family == AF_INET6) {
    endpoint.port = ntohs(address.v6.sin6_port);
    std::memcpy(endpoint.address.bytes.data(), &address.v6.sin6_addr, 16);
  }
  return endpoint;
}

Endpoint local_endpoint(int descriptor) {
  SocketAddress address{};
  socklen_t length = sizeof(address);
  if (::getsockname(descriptor, &address.any, &length) != 0) return {};
  return to_endpoint(address);
}

Endpoint peer_endpoint(int descriptor) {
  SocketAddress address{};
  socklen_t length = sizeof(address);
  if (::getpeername(descriptor, &address.any, &length) != 0) return {};
  return to_endpoint(address);
}

}  // namespace nearfield::net
