// Transmitter: makes packets of TCP segments for one queue of a port.
//
// A segment becomes one packet, or several of piece_bytes: by the NIC where it can (segmentation),
// else here. Payload in the cache's memory is pointed to, other payload (response heads, which are
// short and live in ordinary memory) is copied behind the headers; where the driver cannot chain,
// all is copied. Checksums are the NIC's, or made here in one pass.
//
// Invariant: a segment is taken whole or not at all, with three exceptions that count as lost on
// the way and are for TCP to repair: no next hop known, a packet that fits no buffer, and pieces so
// small that an empty queue does not hold them all. Packets leave in the order of their segments.
// Memory is pointed to only until the ticket of its segment is completed.
//
// Of a segment whose neighbour is being asked for the first packet is held, all copied, until
// release_held() finds the answer (held_packets.h): its ticket waits for nothing.
//
// One thread, an EalThread. Per turn: begin_turn(), any number of segments and frames, flush().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/dpdk/epochs.h"
#include "dataplane/net/dpdk/external_memory.h"
#include "dataplane/net/dpdk/held_packets.h"
#include "dataplane/net/dpdk/next_hop.h"
#include "dataplane/net/dpdk/packet_io.h"
#include "dataplane/net/dpdk/packet_pool.h"
#include "dataplane/net/dpdk/port.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"
#include "dataplane/net/staging.h"
#include "dataplane/net/tcp/output.h"

namespace nearfield::net::dpdk {

class HeaderTemplate;

struct TransmitterOptions {
  PortCapabilities capabilities;  // of the port; tests pretend
  std::uint16_t mtu = 1500;
  // Pieces in the cache's memory that are shorter are copied: a buffer of its own costs a
  // descriptor and a pool packet, copying this much about as long.
  std::uint32_t copy_below_bytes = 256;
  std::uint8_t hop_limit = 64;
  // For what sources of plans make (TLS records): bounds how much of it the port may hold unsent.
  // About what a second-level cache holds.
  std::size_t staging_bytes = 1024 * 1024;
  SipHashKey key{};  // secret; for IPv4 identifications
};

struct TransmitterCounters {
  std::uint64_t packets = 0;         // handed to the port, frames included
  std::uint64_t super_segments = 0;  // of them left to the NIC to cut
  std::uint64_t payload_bytes = 0;   // TCP payload in them and in held ones
  std::uint64_t copied_bytes = 0;    // of it copied
  std::uint64_t frames = 0;          // not of TCP: ARP, ICMP, the kernel's
  std::uint64_t held = 0;            // packets made to wait for their neighbour
  // Not sent, by reason.
  std::uint64_t frames_lost = 0;     // no room
  std::uint64_t no_next_hop = 0;     // segments lost: no route, nobody to ask
  std::uint64_t held_lost = 0;       // of those held: no answer, or newer ones came
  std::uint64_t too_long = 0;        // packets lost: longer than a buffer
  std::uint64_t cut_short = 0;       // segments lost in part
  std::uint64_t queue_full = 0;      // transmit() said no: the ring is full
  std::uint64_t pool_exhausted = 0;  // transmit() said no: no packet to be had
  std::uint64_t epoch_full = 0;      // transmit() said no: too many buffers not come back
  std::uint64_t staging_full = 0;    // transmit() said no: no room to make the bytes in
};

class Transmitter final : public tcp::Output, public ip::FrameSink {
 public:
  // Packets that the ring has not taken; at this many transmit() says no.
  static constexpr std::size_t kBacklogPackets = 64;
  // The most packets of one segment. TCP keeps payload_bytes / piece_bytes below it.
  static constexpr std::size_t kMaximumPieces = 1024;

  // All must outlive it. `memory` may be null: everything is copied. Asserts that a pool for a port
  // that cannot chain holds a whole frame of the MTU, and any pool a header and 256 bytes.
  Transmitter(const TransmitterOptions& options, PacketIo& io, PacketPool& pool, NextHop& next_hop,
              const ExternalMemory* memory);
  // The port is stopped and closed, every packet is back.
  ~Transmitter();
  Transmitter(const Transmitter&) = delete;
  Transmitter& operator=(const Transmitter&) = delete;

  void begin_turn(MonotonicTime now) { now_ = now; }
  // Nothing while the ring is full, the pool is exhausted or too many buffers are out: ask again
  // next turn.
  std::optional<tcp::Ticket> transmit(const tcp::OutgoingSegment& segment) override;
  tcp::Ticket completed() override { return epochs_.completed(); }
  Staging* staging() override { return &staging_; }
  bool send_frame(std::span<const std::byte> frame) override;
  // Sends what is held for neighbours that have answered, and drops it for those given up. After
  // whatever the next hop may have heard or decided; one comparison when nothing is held.
  void release_held() {
    if (!held_.is_empty()) release();
  }
  // Ends the turn: gives the ring what it takes, ends the turn's epoch, and when nothing was given
  // asks the driver to let go of what has left.
  void flush();

  std::size_t backlog() const { return end_ - begin_; }
  const TransmitterCounters& counters() const { return counters_; }

 private:
  class Payload;
  struct Packet;
  enum class Step { kDone, kChainFull, kNoPacket, kNoReference, kNoStaging, kTooLong };

  void push();
  std::optional<tcp::Ticket> make_packets(const tcp::OutgoingSegment& segment,
                                          const ip::FrameHeader& link);
  std::optional<tcp::Ticket> hold(const tcp::OutgoingSegment& segment);
  void release();
  std::uint16_t identification_of(const tcp::OutgoingSegment& segment);
  bool make_room();
  bool has_frame_room();
  void drop_from(std::size_t position);
  bool is_external(std::span<const std::byte> bytes) const;
  Step fill(Packet& packet, Payload& payload, std::uint32_t limit_bytes,
            std::uint16_t maximum_segments, bool may_point);
  Step attach(Packet& packet, std::span<const std::byte> bytes);
  Step copy(Packet& packet, std::span<const std::byte>& bytes, std::uint16_t maximum_segments);
  void finish(const HeaderTemplate& headers, const Packet& packet, std::uint32_t offset,
              std::uint32_t piece_bytes);
  std::uint16_t take_identifications(const tcp::Flow& flow, std::uint32_t packets);

  static constexpr std::size_t kIdentifications = 256;

  TransmitterOptions options_;
  PacketIo& io_;
  PacketPool& pool_;
  NextHop& next_hop_;
  const ExternalMemory* memory_;
  // Of DPDK's own memory, which devices may read.
  struct FreeStaging {
    bool is_dpdk = true;  // else of the heap, and copied from: DPDK had none
    void operator()(std::byte* memory) const;
  };
  static std::unique_ptr<std::byte, FreeStaging> make_staging(std::size_t bytes);
  std::unique_ptr<std::byte, FreeStaging> staging_memory_;
  Staging staging_;
  bool can_chain_ = false;
  bool sums_tcp_ = false;  // checksums are made here
  bool points_to_staging_ = false;
  MonotonicTime now_{};
  Epochs epochs_;
  bool is_ticket_given_ = false;  // of the open epoch
  bool is_sent_ = false;          // something in this turn
  std::unique_ptr<rte_mbuf*[]> queue_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  HeldPackets held_;
  std::uint64_t settled_ = 0;  // NextHop::settled() when all that is held was asked for
  std::unique_ptr<std::uint16_t[]> identifications_;
  TransmitterCounters counters_;
};

}  // namespace nearfield::net::dpdk
