// RoutedNextHop: the next hop by the node's routes and its table of neighbours.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/net/dpdk/next_hop.h"
#include "dataplane/net/ip/neighbour_table.h"
#include "dataplane/net/ip/routes.h"

namespace nearfield::net::dpdk {

class RoutedNextHop final : public NextHop {
 public:
  // `mac`, `vlan_id`: ours. Routes and neighbours must outlive it; one thread with the neighbours.
  RoutedNextHop(const ip::Routes& routes, ip::NeighbourTable& neighbours, const ip::MacAddress& mac,
                std::optional<std::uint16_t> vlan_id)
      : routes_(routes), neighbours_(neighbours), mac_(mac), vlan_id_(vlan_id) {}

  std::optional<ip::FrameHeader> resolve(const Address& peer, MonotonicTime now) override {
    const auto hop = routes_.next_hop(peer);
    if (!hop) return std::nullopt;
    const auto destination = neighbours_.resolve(hop->address, now);
    if (!destination) return std::nullopt;
    return ip::FrameHeader{.destination = *destination, .source = mac_, .vlan_id = vlan_id_};
  }

  std::optional<Awaited> awaited(const Address& peer) const override {
    const auto hop = routes_.next_hop(peer);
    if (!hop || neighbours_.state(hop->address) != ip::NeighbourState::kIncomplete) {
      return std::nullopt;
    }
    return Awaited{.neighbour = hop->address,
                   .header = {.destination = {}, .source = mac_, .vlan_id = vlan_id_}};
  }

  Answer answer_of(const Address& neighbour, MonotonicTime now) override {
    const auto state = neighbours_.state(neighbour);
    if (!state) return {};
    if (*state == ip::NeighbourState::kIncomplete) return {.is_pending = true, .mac = {}};
    return {.is_pending = false, .mac = neighbours_.resolve(neighbour, now)};
  }

  std::uint64_t settled() const override { return neighbours_.settled(); }

 private:
  const ip::Routes& routes_;
  ip::NeighbourTable& neighbours_;
  ip::MacAddress mac_;
  std::optional<std::uint16_t> vlan_id_;
};

}  // namespace nearfield::net::dpdk
