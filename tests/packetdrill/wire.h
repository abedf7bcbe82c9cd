// Wire: what our stack sends in a packetdrill run, as whole IP packets with their times, until the
// driver asks for them; and what the driver sends, taken apart.
//
// The stack's segments may be longer than a packet: they are cut here as a device would, and the
// payload is copied at once, so every ticket is completed when it is given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/net/tcp/output.h"
#include "tests/packetdrill/virtual_clock.h"

namespace nearfield::packetdrill {

struct SentPacket {
  MonotonicTime at{};
  std::vector<std::byte> bytes;
};

struct IncomingSegment {
  net::Address source;
  net::Address destination;
  std::uint8_t ecn = 0;              // RFC 3168 5
  std::span<const std::byte> bytes;  // from the TCP header on
};

// A router's or the peer's complaint about a packet of ours (RFC 792, RFC 4443).
struct IncomingError {
  net::Endpoint local;
  net::Endpoint peer;
  std::uint32_t sequence = 0;  // of the quoted segment
  bool too_big = false;        // destination unreachable "fragmentation needed", packet too big
  std::uint32_t mtu = 0;       // with too_big
};

// Nothing when the packet is no whole TCP over IPv4 or IPv6 without extensions. TCP checksums are
// the driver's and right.
std::optional<IncomingSegment> read_segment(std::span<const std::byte> packet);
// Nothing when the packet is no ICMP error that quotes a TCP header's first eight bytes.
std::optional<IncomingError> read_error(std::span<const std::byte> packet);

// UDP: no business of ours, but newer drivers end a connection with one and wait until it comes
// back.
bool is_datagram(std::span<const std::byte> packet);

class Wire final : public net::tcp::Output {
 public:
  static constexpr std::size_t kMaximumPackets = 4096;

  explicit Wire(const VirtualClock& clock) : clock_(clock) {}

  std::optional<net::tcp::Ticket> transmit(const net::tcp::OutgoingSegment& segment) override;
  net::tcp::Ticket completed() override { return last_ticket_; }

  // The packet itself, from where it was sent to to where it came from.
  void send_back(std::span<const std::byte> packet);

  bool empty() const { return packets_.empty(); }
  SentPacket take();  // the oldest; there must be one

 private:
  void send_piece(const net::tcp::OutgoingSegment& segment, std::uint32_t offset,
                  std::uint32_t length);

  const VirtualClock& clock_;
  std::deque<SentPacket> packets_;
  net::tcp::Ticket last_ticket_ = 0;
};

}  // namespace nearfield::packetdrill
