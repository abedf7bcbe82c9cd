// ListenKind: what listeners speak at an address.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/net/endpoint.h"

namespace nearfield::control {

enum class ListenKind : std::uint8_t { clear, tls };

struct ListenAddress {
  net::Endpoint address;
  ListenKind kind = ListenKind::clear;

  bool operator==(const ListenAddress&) const = default;
};

// Those in clear text, then those with TLS.
inline std::vector<ListenAddress> listen_addresses(const std::vector<net::Endpoint>& clear,
                                                   const std::vector<net::Endpoint>& tls) {
  std::vector<ListenAddress> all;
  all.reserve(clear.size() + tls.size());
  for (const net::Endpoint& address : clear) all.push_back({address, ListenKind::clear});
  for (const net::Endpoint& address : tls) all.push_back({address, ListenKind::tls});
  return all;
}

// The addresses of one kind, in their order.
inline std::vector<net::Endpoint> addresses_of(const std::vector<ListenAddress>& all,
                                               ListenKind kind) {
  std::vector<net::Endpoint> result;
  for (const ListenAddress& one : all) {
    if (one.kind == kind) result.push_back(one.address);
  }
  return result;
}

}  // namespace nearfield::control
