// Port: one NIC or virtual device that this process owns, with one pair of queues a worker.
//
// Invariant: capabilities() tells what was switched on, not what a data sheet promises; whoever
// makes packets looks there and does the rest in software. Fast free (MBUF_FAST_FREE) is never on,
// because packets have several pools and external buffers. The awkward part is drivers that promise
// what they do not keep; what is known of those is in port.cc.
//
// open(), start(), stop(), statistics: one thread (control). Each queue: its worker's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "cache/base/error.h"
#include "dataplane/net/dpdk/interface_claim.h"
#include "dataplane/net/dpdk/packet_io.h"
#include "dataplane/net/dpdk/packet_pool.h"

namespace nearfield::net::dpdk {

struct PortOptions {
  // A PCI address that was given to Eal::start() (0000:3b:00.0), a virtual device's devargs
  // ("net_af_packet0,iface=veth1"), or the name of a device that exists.
  std::string name;
  std::uint16_t queues = 1;  // of each direction
  std::uint16_t receive_descriptors = 1024;
  std::uint16_t transmit_descriptors = 1024;
  std::uint16_t mtu = 1500;  // bytes of an IP packet, 1280 to 9216
  bool promiscuous = false;  // frames for other stations as well
  bool interrupts = false;   // of received packets, where the driver has them
};

struct PortCapabilities {
  bool receive_checksum = false;    // IPv4 header and TCP are verified, the mbuf says the result
  bool ipv4_checksum = false;       // of the header, on sending
  bool tcp_checksum = false;        // on sending, v4 and v6
  bool segmentation = false;        // TSO, v4 and v6
  bool multiple_segments = false;   // a packet may be a chain of mbufs
  bool external_buffers = false;    // mbufs may point to memory outside of their pool
  bool receive_hash = false;        // RSS spreads flows over the queues
  bool receive_interrupts = false;  // asked for, and there: known after start()
  // Told for the operator; VLAN tags are read and written in software.
  bool vlan_insert = false;
  bool vlan_strip = false;
  // Buffers of one chain, header included: of a super-segment, and of an ordinary packet.
  std::uint16_t maximum_segments = 1;
  std::uint16_t maximum_packet_segments = 1;

  std::string text() const;  // one line for the log
};

struct PortStatistics {
  std::uint64_t received_packets = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_packets = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t receive_missed = 0;     // the queue was full: the worker was too slow
  std::uint64_t receive_errors = 0;     // bad frames
  std::uint64_t receive_no_packet = 0;  // the pool was exhausted
  std::uint64_t send_errors = 0;        // by the NIC, or refused by the driver as more than it can
};

struct LinkState {
  bool up = false;
  std::uint32_t megabits_per_second = 0;  // 0: not known
};

class Port {
 public:
  // What a receive pool's data_bytes must be for this MTU: Ethernet header and two VLAN tags more.
  static constexpr std::uint32_t frame_bytes(std::uint16_t mtu) { return mtu + 14U + 2U * 4U; }

  // Takes the device and sets up its queues; does not start it. `receive_pools`: one a queue; they
  // outlive the port. Errors: no such device or driver, more queues than it has, an MTU it cannot,
  // pools too small, and whatever the driver says.
  static Result<std::unique_ptr<Port>> open(const PortOptions& options,
                                            std::span<PacketPool* const> receive_pools);
  // Stops and gives the device back; removes a virtual device that open() made.
  ~Port();
  Port(const Port&) = delete;
  Port& operator=(const Port&) = delete;

  Result<void> start();
  void stop();  // queues neither give nor take packets; start() may follow

  const std::string& name() const { return name_; }      // without its arguments
  const std::string& driver() const { return driver_; }  // net_ice, net_af_packet
  const PortCapabilities& capabilities() const { return capabilities_; }
  std::array<std::uint8_t, 6> mac_address() const { return mac_address_; }
  std::uint16_t mtu() const { return mtu_; }
  std::uint16_t queues() const { return queue_count_; }
  int numa_node() const;  // -1: any
  LinkState link() const;
  PortStatistics statistics() const;
  std::uint16_t id() const { return id_; }

  // Lives as long as the port.
  PacketIo& queue(std::uint16_t index);

 private:
  class Queue;
  Port() = default;
  Result<void> configure(const PortOptions& options, std::span<PacketPool* const> receive_pools);
  Result<void> set_up_queues(const PortOptions& options,
                             std::span<PacketPool* const> receive_pools);

  std::optional<InterfaceClaim> claim_;  // goes last
  std::string name_;
  std::string driver_;
  PortCapabilities capabilities_;
  std::array<std::uint8_t, 6> mac_address_{};
  std::uint16_t id_ = 0;
  std::uint16_t mtu_ = 0;
  std::uint16_t queue_count_ = 0;
  bool taken_ = false;  // close the device
  bool made_ = false;   // and remove it
  bool started_ = false;
  bool wants_interrupts_ = false;
  std::mutex interrupts_;  // held to switch a queue's
  std::unique_ptr<Queue[]> queues_;
};

}  // namespace nearfield::net::dpdk
