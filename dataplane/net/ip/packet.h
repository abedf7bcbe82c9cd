// Packet: an IPv4 (RFC 791, RFC 1122) or IPv6 (RFC 8200) packet that came whole and may be believed
// as far as its header goes; and the headers we write.
//
// Invariant: payload lies within whole, whole within the bytes that were parsed (frame padding is
// cut off), and source is an address a host may have, with one exception: the unspecified IPv6
// address with ICMPv6 and hop limit 255, for duplicate address detection needs our answer (RFC 4861
// 7.2.3). Fragments are all dropped: TCP never needs them and everything else we speak is short.
// An IPv6 "atomic fragment" (RFC 6946) is a whole packet and taken as one.
//
// The awkward part is IPv6 extension headers, of which strangers may stack any number: at most
// kMaximumExtensions are walked, at most kMaximumOptions options looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/drop_reason.h"

namespace nearfield::net::ip {

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;

inline constexpr std::size_t kIpv4HeaderBytes = 20;
inline constexpr std::size_t kIpv6HeaderBytes = 40;
inline constexpr std::size_t kMaximumExtensions = 8;
inline constexpr std::size_t kMaximumOptions = 32;  // over all of a packet's extension headers

// The ECN field of the header (RFC 3168 5).
inline constexpr std::uint8_t kNotEcnCapable = 0;
inline constexpr std::uint8_t kEct1 = 1;
inline constexpr std::uint8_t kEct0 = 2;
inline constexpr std::uint8_t kCongestionExperienced = 3;

struct Packet {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;  // of the payload, behind all extension headers
  std::uint8_t ecn = 0;
  std::uint8_t hop_limit = 0;  // TTL
  bool is_v4 = false;
  bool dont_fragment = false;
  bool had_fragment_header = false;  // an atomic fragment, which neighbour discovery refuses
  // Where in `whole` the protocol stands: what an ICMPv6 parameter problem about it points at.
  std::uint16_t protocol_offset = 0;
  std::span<const std::byte> payload;
  std::span<const std::byte> whole;  // with the IP header
};

// What an ICMPv6 parameter problem (RFC 4443 3.4) would say of a packet that was not taken.
struct ParameterProblem {
  std::uint8_t code = 0;           // 0 erroneous field, 1 unknown next header, 2 unknown option
  std::uint32_t pointer = 0;       // offset of the offending byte in the packet
  bool even_to_multicast = false;  // to be sent about packets to multicast addresses too
};

struct Rejection {
  DropReason reason = DropReason::kBadHeader;
  std::optional<ParameterProblem> problem;
  // With `problem` only: the packet it is about, as far as it was understood.
  Packet packet;
};

using ParsedPacket = std::expected<Packet, Rejection>;

// `bytes`: a frame's payload. `checksum_is_good`: the NIC has verified the header checksum.
ParsedPacket parse_ipv4(std::span<const std::byte> bytes, bool checksum_is_good = false);
ParsedPacket parse_ipv6(std::span<const std::byte> bytes);

struct PacketHeader {
  Address source;
  Address destination;
  std::uint8_t protocol = 0;
  std::uint8_t ecn = kNotEcnCapable;
  std::uint8_t hop_limit = 64;       // RFC 1700's default, and that of Linux
  bool dont_fragment = true;         // IPv4
  std::uint16_t identification = 0;  // IPv4; may stay 0 with dont_fragment (RFC 6864 4.1)
  std::uint16_t payload_bytes = 0;   // IPv4: at most 65515
};

// `out` must hold kIpv4HeaderBytes or kIpv6HeaderBytes, which is what they return. Both addresses
// must be of the family. The IPv4 header checksum is written.
std::size_t write_ipv4_header(const PacketHeader& header, std::span<std::byte> out);
std::size_t write_ipv6_header(const PacketHeader& header, std::span<std::byte> out);
// Of the family of header.source.
std::size_t write_ip_header(const PacketHeader& header, std::span<std::byte> out);

}  // namespace nearfield::net::ip
