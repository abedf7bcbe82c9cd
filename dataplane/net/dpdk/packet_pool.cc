// A pool's cache holds what a worker takes and frees within a turn, so that the shared ring is
// touched once for many packets; small pools go without, a cache must not hold most of them.
#include "dataplane/net/dpdk/packet_pool.h"

#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <cstring>

namespace nearfield::net::dpdk {
namespace {

constexpr std::uint32_t kMaximumPackets = (1U << 20) - 1;
constexpr std::uint32_t kMinimumDataBytes = 128;
constexpr std::uint32_t kMaximumDataBytes = UINT16_MAX - RTE_PKTMBUF_HEADROOM;
constexpr std::size_t kMaximumNameBytes = RTE_MEMPOOL_NAMESIZE - 1;

}  // namespace

Result<std::unique_ptr<PacketPool>> PacketPool::create(const PacketPoolOptions& options) {
  if (options.packets == 0 || options.packets > kMaximumPackets ||
      options.data_bytes < kMinimumDataBytes || options.data_bytes > kMaximumDataBytes ||
      options.name.empty() || options.name.size() > kMaximumNameBytes) {
    return failure("packet pool '" + options.name + "' of " + std::to_string(options.packets) +
                   " packets of " + std::to_string(options.data_bytes) +
                   " bytes: 1 to 1048575 packets of 128 to 65407 bytes, and a name of at most 25");
  }
  const std::uint32_t cache =
      std::min<std::uint32_t>(RTE_MEMPOOL_CACHE_MAX_SIZE / 2, options.packets / 16);
  rte_mempool* pool = rte_pktmbuf_pool_create(
      options.name.c_str(), options.packets, cache, 0,
      static_cast<std::uint16_t>(options.data_bytes + RTE_PKTMBUF_HEADROOM), options.numa_node);
  if (pool == nullptr) {
    const std::uint64_t needed_mb =
        (std::uint64_t{options.packets} *
             (options.data_bytes + RTE_PKTMBUF_HEADROOM + sizeof(rte_mbuf) + 64) >>
         20) +
        1;
    return failure("no memory for packet pool '" + options.name + "' (" + rte_strerror(rte_errno) +
                   "): it takes " + std::to_string(needed_mb) +
                   " MB, give DPDK more or take fewer packets");
  }
  std::unique_ptr<PacketPool> made(new PacketPool);
  made->pool_ = pool;
  made->packets_ = options.packets;
  made->data_bytes_ = options.data_bytes;
  return made;
}

PacketPool::~PacketPool() { rte_mempool_free(pool_); }

rte_mbuf* PacketPool::take() {
  rte_mbuf* packet = rte_pktmbuf_alloc(pool_);
  if (packet == nullptr) ++exhausted_;
  return packet;
}

void PacketPool::give(rte_mbuf* packet) { rte_pktmbuf_free(packet); }

rte_mbuf* PacketPool::take_copy(std::span<const std::byte> frame) {
  if (frame.size() > data_bytes_) return nullptr;
  rte_mbuf* packet = take();
  if (packet == nullptr) return nullptr;
  std::ranges::copy(frame, rte_pktmbuf_mtod(packet, std::byte*));
  packet->data_len = static_cast<std::uint16_t>(frame.size());
  packet->pkt_len = static_cast<std::uint32_t>(frame.size());
  return packet;
}

std::uint32_t PacketPool::available() const { return rte_mempool_avail_count(pool_); }

}  // namespace nearfield::net::dpdk
