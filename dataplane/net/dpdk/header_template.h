// HeaderTemplate: the link, IP and TCP headers that all packets of one segment share, written and
// summed once; a packet's own are a copy with a few fields set.
//
// Invariant: what finish() has written into a copy is what writing and summing the headers anew for
// that packet would have. The awkward part is why it is worth a noun: a header that was just
// written in small pieces and is read again in large ones for its checksum stalls the processor
// (the stores have to reach the cache first), which took a quarter of the time of a packet of 1500
// bytes. So nothing here is read back: sums come from what is the same for all packets, and the
// numbers that differ are added to them.
//
// CWR is for the first packet only (RFC 3168 6.1.2), FIN and PSH for the last. A NIC that makes a
// checksum wants the pseudo header's sum in its field, without the length when it also segments.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/segment.h"

namespace nearfield::net::dpdk {

class HeaderTemplate {
 public:
  // What copy_to() writes, however short the headers are: a copy of fixed size is two moves.
  static constexpr std::size_t kCopyBytes = 128;

  // `link`: without its type, which follows from the segment's addresses. `sums_tcp`: packets'
  // checksums are made here.
  HeaderTemplate(const tcp::OutgoingSegment& segment, ip::FrameHeader link, std::uint8_t hop_limit,
                 std::uint16_t first_identification, bool sums_tcp);

  std::size_t bytes() const { return link_bytes_ + ip_bytes_ + tcp_bytes_; }
  std::size_t link_bytes() const { return link_bytes_; }
  std::size_t ip_bytes() const { return ip_bytes_; }
  std::size_t tcp_bytes() const { return tcp_bytes_; }
  bool is_v4() const { return is_v4_; }

  // `to`: room for kCopyBytes, of which bytes() matter.
  void copy_to(std::byte* to) const { std::memcpy(to, bytes_.data(), kCopyBytes); }

  // Whose work the checksums are.
  enum class Sums {
    kHere,       // whole ones are written; sums_tcp
    kNic,        // of TCP by the NIC
    kNicPieces,  // and the packet is one that the NIC will segment, IPv4 headers included
  };
  // The packet of `payload_bytes` at `offset` of the segment's payload, whose headers copy_to() put
  // at `headers`. `payload_sum`: of its payload; only with kHere.
  void finish(std::byte* headers, std::uint32_t offset, std::uint32_t payload_bytes, Sums sums,
              const ip::Checksum& payload_sum) const;

 private:
  static_assert(ip::kMaximumEthernetHeaderBytes + ip::kIpv6HeaderBytes + tcp::kMaximumHeaderBytes <=
                kCopyBytes);

  std::array<std::byte, kCopyBytes> bytes_{};
  std::size_t link_bytes_;
  std::size_t ip_bytes_;
  std::size_t tcp_bytes_ = 0;
  bool is_v4_;
  std::uint8_t flags_ = 0;       // of TCP
  std::uint16_t piece_bytes_;    // 0: one packet
  std::uint32_t payload_bytes_;  // of the segment
  std::uint32_t sequence_;
  std::uint16_t first_identification_;
  ip::Checksum pseudo_;  // without the length
  ip::Checksum tcp_;     // pseudo_ and the header, without length, sequence number and flags
  ip::Checksum ip_;      // of an IPv4 header, without length and identification
};

}  // namespace nearfield::net::dpdk
