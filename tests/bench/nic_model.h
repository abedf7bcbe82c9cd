// NicModel: a NIC's queue pair made of memory, for measuring what a packet costs the core that owns
// the queue. The driver's side is a PacketIo that does what a PMD does: a descriptor for each
// buffer, packets freed in batches by the core that sent them once the device is through, receive
// buffers taken from a pool ahead of time. The device's side is another thread's: it reads
// descriptors and headers, never payload, and writes frames into posted buffers.
//
// net_ring would do less and more: its peer frees the sender's packets, which takes that work from
// the measured core and sends the pool's and the epochs' memory back and forth between the two.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/net/dpdk/packet_io.h"
#include "dataplane/net/dpdk/packet_pool.h"

namespace nearfield::bench {

class NicModel final : public net::dpdk::PacketIo {
 public:
  static constexpr std::uint32_t kDescriptors = 1024;  // of each ring; what Port asks for
  static constexpr std::uint32_t kFreeBatch = 32;

  // `verifies`: says of every packet received that its checksums are right.
  NicModel(net::dpdk::PacketPool& receive_pool, bool verifies);
  ~NicModel() override;

  // --- the driver's side, one thread ---
  std::size_t receive(std::span<rte_mbuf*> packets) override;
  std::size_t send(std::span<rte_mbuf*> packets) override;
  void reclaim() override;
  // Buffers freed so far: work that may happen in a turn that sends nothing.
  std::uint32_t freed() const { return send_freed_; }

  // --- the device's side, one thread ---
  struct Sent {
    const std::byte* header = nullptr;
    std::uint32_t header_bytes = 0;  // of the first buffer
    std::uint32_t packet_bytes = 0;
  };
  // The next packet; its header stays until release_sent(). False: none.
  bool next_sent(Sent& packet);
  // All packets taken so far have left.
  void release_sent();
  // False: no buffer is posted.
  bool deliver(std::span<const std::byte> frame);

 private:
  struct SendDescriptor {
    const std::byte* address;
    std::uint32_t packet_bytes;  // on the first one of a packet
    std::uint16_t bytes;
    bool is_last;
  };
  struct ReceiveDescriptor {
    std::byte* address;
    std::uint32_t bytes;
  };
  void free_sent();
  void post();

  net::dpdk::PacketPool& receive_pool_;
  const std::uint64_t receive_flags_;
  std::unique_ptr<SendDescriptor[]> send_;
  std::unique_ptr<ReceiveDescriptor[]> receive_;
  // The driver's own.
  std::unique_ptr<rte_mbuf*[]> send_packets_;
  std::unique_ptr<rte_mbuf*[]> receive_packets_;
  std::uint32_t send_next_ = 0;
  std::uint32_t send_freed_ = 0;
  std::uint32_t receive_next_ = 0;
  std::uint32_t receive_posted_ = 0;
  alignas(64) std::atomic<std::uint32_t> sent_{0};    // driver to device
  std::atomic<std::uint32_t> posted_{0};              // driver to device
  alignas(64) std::atomic<std::uint32_t> left_{0};    // device to driver
  alignas(64) std::atomic<std::uint32_t> filled_{0};  // device to driver
  // The device's own.
  alignas(64) std::uint32_t taken_ = 0;
  std::uint32_t known_sent_ = 0;
  std::uint32_t known_posted_ = 0;
  std::uint32_t filled_next_ = 0;
};

}  // namespace nearfield::bench
