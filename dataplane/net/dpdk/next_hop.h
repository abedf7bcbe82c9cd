// NextHop: where on the link a packet to an address goes. Asked once a segment.
#pragma once

#include <optional>

#include "cache/base/clock.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/frame.h"

namespace nearfield::net::dpdk {

class NextHop {
 public:
  // The Ethernet header for packets to `peer`, ether_type left open. Nothing when there is no route
  // or the neighbour is not known yet (it is being asked for): the packet is not sent, TCP tries
  // again.
  virtual std::optional<ip::FrameHeader> resolve(const Address& peer, MonotonicTime now) = 0;

 protected:
  ~NextHop() = default;
};

}  // namespace nearfield::net::dpdk
