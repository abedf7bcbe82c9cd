// Receiver: takes packets from one queue and hands on what may be believed: frames for this
// station, IP headers that parse, TCP whose checksum is right.
//
// Invariant: every packet taken is handed on exactly once, in order, or counted with the reason why
// not, and is given back to its pool by the end of the burst. What the NIC says of a checksum is
// taken for granted; where it says nothing it is verified here. The awkward parts are packets that
// are refused for us but good enough for the kernel beside us (fragments): on_rejected() sees
// those; and that a burst is read whole before any of it is handed on, so that memory which its
// packets will need can be fetched for all of them at once.
//
// One thread, an EalThread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/net/dpdk/packet_io.h"
#include "dataplane/net/ip/drop_reason.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"

namespace nearfield::net::dpdk {

struct ReceivedFrame {
  std::span<const std::byte> bytes;  // whole, from the destination MAC address on
  ip::Frame frame;                   // points into it
};

// Called within Receiver::poll(); everything is valid until the call returns.
class PacketHandler {
 public:
  // TCP that on_packet() will bring in this burst, and then that these were all: what they need of
  // memory can be fetched meanwhile. Advice, and not given for every packet.
  virtual void on_foreseen(const ip::Packet& /*packet*/) {}
  virtual void on_all_foreseen() {}

  // An IP packet; if it is TCP its checksum is right. Others' are not looked at.
  virtual void on_packet(const ReceivedFrame& frame, const ip::Packet& packet) = 0;
  // Something else: ARP, LLDP.
  virtual void on_frame(const ReceivedFrame& frame) = 0;
  // An IP packet that is not for us to read; counted already.
  virtual void on_rejected(const ReceivedFrame& frame, const ip::Rejection& rejection) = 0;

 protected:
  ~PacketHandler() = default;
};

struct ReceiverCounters {
  std::uint64_t packets = 0;  // taken from the queue
  std::uint64_t bytes = 0;
  // Dropped, by reason.
  std::uint64_t other_station = 0;  // unicast to another MAC address
  std::uint64_t too_long = 0;       // a chain longer than any packet
  std::uint64_t tcp_checksum = 0;
  std::array<std::uint64_t, ip::kDropReasons> rejected{};  // by ip::DropReason
};

class Receiver {
 public:
  // `mac`: ours. `io` must outlive it.
  Receiver(PacketIo& io, const ip::MacAddress& mac);

  // Takes one burst, at most kBurstPackets. Returns how many: that many means there may be more.
  std::size_t poll(PacketHandler& handler);

  const ReceiverCounters& counters() const { return counters_; }

 private:
  // What became of a packet when it was read.
  struct Taken {
    enum class Fate { kDropped, kPacket, kFrame, kRejected } fate = Fate::kDropped;
    ReceivedFrame received;
    ip::ParsedPacket parsed;
  };

  void read(rte_mbuf* packet, Taken& taken);
  static void hand_on(const Taken& taken, PacketHandler& handler);
  std::span<const std::byte> whole(rte_mbuf* packet);

  PacketIo& io_;
  ip::MacAddress mac_;
  // For packets that came in several buffers; as long as the longest an IP header can announce.
  std::unique_ptr<std::byte[]> joined_;
  std::array<Taken, kBurstPackets> burst_;
  ReceiverCounters counters_;
};

}  // namespace nearfield::net::dpdk
