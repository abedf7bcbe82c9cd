#include "dataplane/net/ip/routes.h"

#include <algorithm>
#include <string>

#include "dataplane/net/ip/address_kind.h"

namespace nearfield::net::ip {
namespace {

bool is_prefix_length(const Address& address, int bits) {
  return bits >= 0 && bits <= (address.is_v4() ? 32 : 128);
}

std::string prefix_text(const Address& address, int bits) {
  return address.text() + "/" + std::to_string(bits);
}

// All bits behind the prefix are one; prefixes of 31 and 32 bits have no broadcast address (RFC
// 3021).
bool is_broadcast_of(const Address& address, const LocalAddress& local) {
  if (!address.is_v4() || local.prefix_bits >= 31) return false;
  if (!in_prefix(address, local.address, local.prefix_bits)) return false;
  std::uint32_t host = 0;
  for (std::size_t i = 12; i < 16; ++i) host = host << 8 | address.bytes[i];
  const std::uint32_t mask = 0xffffffffu >> local.prefix_bits;
  return (host & mask) == mask;
}

}  // namespace

Result<Routes> Routes::create(std::span<const LocalAddress> local, std::span<const Route> routes) {
  if (local.size() > kMaximumLocalAddresses) {
    return std::unexpected(Error{"a port has " + std::to_string(local.size()) +
                                 " addresses: give it at most " +
                                 std::to_string(kMaximumLocalAddresses)});
  }
  if (routes.size() > kMaximumRoutes) {
    return std::unexpected(Error{"a port has " + std::to_string(routes.size()) +
                                 " routes: give it at most " + std::to_string(kMaximumRoutes)});
  }
  Routes result;
  for (const LocalAddress& entry : local) {
    const std::string text = prefix_text(entry.address, entry.prefix_bits);
    if (!is_prefix_length(entry.address, entry.prefix_bits)) {
      return std::unexpected(Error{text + ": no such prefix length: 0 to 32, or 128 for IPv6"});
    }
    if (!is_unicast(entry.address) || is_broadcast_of(entry.address, entry)) {
      return std::unexpected(Error{text + " cannot be the address of a port: give it an address "
                                          "of one host and the prefix length of its link"});
    }
    if (result.is_local(entry.address)) {
      return std::unexpected(Error{text + " is given twice: take one away"});
    }
    result.local_[result.local_count_++] = entry;
  }
  for (const Route& route : routes) {
    const std::string text = "route " + prefix_text(route.destination, route.prefix_bits) + " by " +
                             route.gateway.text();
    if (!is_prefix_length(route.destination, route.prefix_bits)) {
      return std::unexpected(Error{text + ": no such prefix length: 0 to 32, or 128 for IPv6"});
    }
    if (route.destination.is_v4() != route.gateway.is_v4()) {
      return std::unexpected(
          Error{text + ": destination and gateway must both be IPv4 or both be IPv6"});
    }
    if (!is_unicast(route.gateway) || !result.is_on_link(route.gateway) ||
        result.is_local(route.gateway) || result.is_broadcast(route.gateway)) {
      return std::unexpected(Error{text + ": the gateway must be another host in the prefix of "
                                          "one of the port's addresses"});
    }
    result.routes_[result.route_count_++] = route;
  }
  // Of equally long ones the first given stays first.
  std::stable_sort(result.routes_.begin(),
                   result.routes_.begin() + static_cast<std::ptrdiff_t>(result.route_count_),
                   [](const Route& a, const Route& b) { return a.prefix_bits > b.prefix_bits; });
  return result;
}

std::optional<NextHop> Routes::next_hop(const Address& peer) const {
  if (!is_unicast(peer) || is_broadcast(peer)) return std::nullopt;
  if (is_on_link(peer)) return NextHop{.address = peer, .is_gateway = false};
  for (const Route& route : std::span(routes_).first(route_count_)) {
    if (in_prefix(peer, route.destination, route.prefix_bits)) {
      return NextHop{.address = route.gateway, .is_gateway = true};
    }
  }
  return std::nullopt;
}

bool Routes::is_local(const Address& address) const {
  return std::ranges::any_of(local_addresses(),
                             [&](const LocalAddress& local) { return local.address == address; });
}

bool Routes::is_on_link(const Address& address) const {
  if (!address.is_v4() && is_link_local(address)) return true;
  return std::ranges::any_of(local_addresses(), [&](const LocalAddress& local) {
    return in_prefix(address, local.address, local.prefix_bits);
  });
}

bool Routes::is_broadcast(const Address& address) const {
  return is_limited_broadcast(address) ||
         std::ranges::any_of(local_addresses(), [&](const LocalAddress& local) {
           return is_broadcast_of(address, local);
         });
}

std::optional<Address> Routes::source_for(const Address& peer) const {
  const LocalAddress* best = nullptr;
  // Better: of the same scope (RFC 6724 5 rule 2), then in the longer common prefix of the link,
  // then the first given.
  const auto rank = [&](const LocalAddress& local) {
    const bool same_scope = is_link_local(local.address) == is_link_local(peer);
    const bool in_link = in_prefix(peer, local.address, local.prefix_bits);
    return (same_scope ? 1000 : 0) + (in_link ? 1 + local.prefix_bits : 0);
  };
  int best_rank = -1;
  for (const LocalAddress& local : local_addresses()) {
    if (local.address.is_v4() != peer.is_v4()) continue;
    if (const int its = rank(local); its > best_rank) {
      best = &local;
      best_rank = its;
    }
  }
  if (best == nullptr) return std::nullopt;
  return best->address;
}

}  // namespace nearfield::net::ip
