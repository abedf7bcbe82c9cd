// NextHop: where on the link a packet to an address goes. Asked once a segment.
#pragma once

#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/frame.h"

namespace nearfield::net::dpdk {

class NextHop {
 public:
  // The Ethernet header for packets to `peer`, ether_type left open. Nothing when there is no route
  // or the neighbour is not known yet: it is being asked for.
  virtual std::optional<ip::FrameHeader> resolve(const Address& peer, MonotonicTime now) = 0;

  // --- for packets that wait for a neighbour's answer. Who never asks leaves these as they are.
  struct Awaited {
    Address neighbour;
    ip::FrameHeader header;  // destination and ether_type left open
  };
  // Whose answer a packet waits for that resolve() had nothing for. Nothing when none is to come.
  virtual std::optional<Awaited> awaited(const Address&) const { return std::nullopt; }
  struct Answer {
    bool is_pending = false;
    std::optional<ip::MacAddress> mac;  // nothing and not pending: the neighbour is given up
  };
  virtual Answer answer_of(const Address&, MonotonicTime) { return {}; }
  // Grows whenever a neighbour that was asked for has answered or is given up: as long as it is the
  // same, no answer has changed.
  virtual std::uint64_t settled() const { return 0; }

 protected:
  ~NextHop() = default;
};

}  // namespace nearfield::net::dpdk
