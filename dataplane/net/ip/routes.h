// Routes: the addresses that are this node's on a link and where packets leave to: on the link or
// through a gateway, by the longest prefix that matches.
//
// Invariant: made once from configuration, checked there, never changed. Tables are small (at most
// kMaximumRoutes), so they are kept sorted by length and searched from the longest on: one cache
// line or two for a node with a default gateway or two. IPv6 link-local addresses are always on the
// link.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"

namespace nearfield::net::ip {

struct LocalAddress {
  Address address;
  int prefix_bits = 0;  // of the link: 0-32 or 0-128
};

struct Route {
  Address destination;
  int prefix_bits = 0;  // 0-32 or 0-128; 0 for a default route of the destination's family
  Address gateway;      // of the same family and itself on the link
};

struct NextHop {
  Address address;  // whose MAC address is needed: the peer's own or the gateway's
  bool is_gateway = false;
};

class Routes {
 public:
  static constexpr std::size_t kMaximumLocalAddresses = 16;
  static constexpr std::size_t kMaximumRoutes = 64;

  // No address, no route.
  Routes() = default;
  // An error names the entry that is wrong and what is right.
  static Result<Routes> create(std::span<const LocalAddress> local, std::span<const Route> routes);

  // Nothing when no route leads there, or when it is no unicast address.
  std::optional<NextHop> next_hop(const Address& peer) const;
  bool is_local(const Address& address) const;
  // On the link, ours or another's.
  bool is_on_link(const Address& address) const;
  // 255.255.255.255 or the broadcast address of a local prefix (RFC 919).
  bool is_broadcast(const Address& address) const;
  // Which of our addresses a packet to `peer` should come from: of its family, in its prefix when
  // there is one such, link-local to link-local. Nothing when we have none of its family.
  std::optional<Address> source_for(const Address& peer) const;
  std::span<const LocalAddress> local_addresses() const { return {local_.data(), local_count_}; }

 private:
  std::array<LocalAddress, kMaximumLocalAddresses> local_{};
  std::array<Route, kMaximumRoutes> routes_{};  // longest prefix first
  std::size_t local_count_ = 0;
  std::size_t route_count_ = 0;
};

}  // namespace nearfield::net::ip
