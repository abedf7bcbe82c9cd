// PacketIo: packets in and packets out of one queue, the seam between what makes packets and what
// carries them. A port's queue is one; tests put losing, doubling and reordering ones before it.
//
// Packets are DPDK's mbufs and always have one owner: receive() hands them over, send() takes those
// it counts and leaves the rest with the caller. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

struct rte_mbuf;

namespace nearfield::net::dpdk {

// A burst: what a driver is asked for or given at a time. PMDs are built for 32.
inline constexpr std::size_t kBurstPackets = 32;

class PacketIo {
 public:
  virtual ~PacketIo() = default;

  // Fills the front of `packets`; returns how many. Never waits.
  virtual std::size_t receive(std::span<rte_mbuf*> packets) = 0;
  // Takes packets from the front; returns how many. Fewer than given: the ring is full now.
  virtual std::size_t send(std::span<rte_mbuf*> packets) = 0;
  // Asks for packets that have left to be freed now rather than with a later send().
  virtual void reclaim() = 0;

  // Receive interrupts, for a worker that sleeps until packets come (doorbell.h); only who has them
  // overrides these. Adds the interrupt to an epoll instance, of DPDK's kind and for good; false:
  // there is none, and whoever sleeps looks again after a time.
  virtual bool watch([[maybe_unused]] int epoll_descriptor) { return false; }
  // From here on the next packet interrupts. False: the driver refuses.
  virtual bool arm() { return false; }
  virtual void disarm() {}
};

// Makes what stands before a queue: the queue, which outlives it but for its destructor, and the
// index of the worker whose it is.
using PacketIoWrapper = std::function<std::unique_ptr<PacketIo>(PacketIo&, std::uint16_t)>;

}  // namespace nearfield::net::dpdk
