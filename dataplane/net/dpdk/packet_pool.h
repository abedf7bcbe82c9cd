// PacketPool: a bounded number of mbufs of one size, made at start; one for receiving and one for
// sending a worker.
//
// Invariant: a packet goes back to the pool it came from, whichever thread frees it. Taking is for
// the worker (an EalThread, for the pool's cache; any thread works). Nothing beside the packets
// themselves is kept a packet: what external buffers need to know is shared by many and belongs to
// the Transmitter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "cache/base/error.h"

struct rte_mbuf;
struct rte_mempool;

namespace nearfield::net::dpdk {

struct PacketPoolOptions {
  std::string name;              // unique in the process, at most 25 characters
  std::uint32_t packets = 8191;  // 1 to 1048575; 2^n - 1 wastes nothing
  // Bytes a packet holds, beside the 128 before them. What a port needs: Port::frame_bytes().
  // 128 to 65407.
  std::uint32_t data_bytes = 2048;
  int numa_node = -1;  // -1: any
};

class PacketPool {
 public:
  // Errors: a size out of range, a name that is taken, no memory left in EalOptions::memory_mb.
  static Result<std::unique_ptr<PacketPool>> create(const PacketPoolOptions& options);
  // Every packet must be back: close ports first.
  ~PacketPool();
  PacketPool(const PacketPool&) = delete;
  PacketPool& operator=(const PacketPool&) = delete;

  // Null: exhausted, and counted.
  rte_mbuf* take();
  // A packet with all chained to it. Null is fine.
  static void give(rte_mbuf* packet);
  // An independent packet with these bytes; null when they do not fit or the pool is exhausted.
  rte_mbuf* take_copy(std::span<const std::byte> frame);

  std::uint32_t data_bytes() const { return data_bytes_; }
  std::uint32_t capacity() const { return packets_; }
  std::uint32_t available() const;  // a snapshot, caches included; not for every packet
  std::uint64_t exhausted() const { return exhausted_; }
  rte_mempool* handle() const { return pool_; }

 private:
  PacketPool() = default;

  rte_mempool* pool_ = nullptr;
  std::uint32_t packets_ = 0;
  std::uint32_t data_bytes_ = 0;
  std::uint64_t exhausted_ = 0;
};

}  // namespace nearfield::net::dpdk
