#include "dataplane/net/dpdk/held_packets.h"

#include <algorithm>

#include "cache/base/assert.h"
#include "dataplane/net/dpdk/packet_pool.h"

namespace nearfield::net::dpdk {

HeldPackets::HeldPackets(std::size_t maximum)
    : maximum_(maximum), held_(std::make_unique<Held[]>(maximum)) {
  NEARFIELD_ASSERT(maximum >= 1 && maximum <= kMaximum);
}

HeldPackets::~HeldPackets() {
  sift([](rte_mbuf*, const Address&) { return Fate::kLost; });
}

void HeldPackets::give(rte_mbuf* packet) { PacketPool::give(packet); }

bool HeldPackets::hold(rte_mbuf* packet, const Address& neighbour) {
  std::size_t of_neighbour = 0;
  std::size_t oldest = 0;  // that may go: of this neighbour when it has its share, else of all
  for (std::size_t i = size_; i > 0; --i) {
    if (held_[i - 1].neighbour != neighbour) continue;
    oldest = i - 1;
    if (++of_neighbour == kOfOneNeighbour) break;
  }
  const bool is_share_used = of_neighbour == kOfOneNeighbour;
  const bool is_full = is_share_used || size_ == maximum_;
  if (is_full) {
    if (!is_share_used) oldest = 0;
    give(held_[oldest].packet);
    std::move(&held_[oldest + 1], &held_[0] + size_, &held_[oldest]);
    --size_;
  }
  held_[size_++] = {.packet = packet, .neighbour = neighbour};
  return !is_full;
}

}  // namespace nearfield::net::dpdk
