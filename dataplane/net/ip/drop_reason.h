// DropReason: why a frame or packet was not taken, for the caller's counters. One enum for all
// layers, so that one array of counters holds them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace nearfield::net::ip {

enum class DropReason : std::uint8_t {
  kFrameTooShort,       // shorter than an Ethernet header (and tag)
  kFrameLength,         // IEEE 802.3 length in place of an EtherType
  kStackedTags,         // two or more VLAN tags
  kSourceMacIsGroup,    // a multicast or broadcast source MAC address
  kTruncated,           // the packet is longer than the frame that holds it
  kBadHeader,           // wrong version, impossible header length, misplaced or broken extension
  kBadHeaderChecksum,   // IPv4
  kFragment,            // fragments are not put together here
  kMartianSource,       // no host may send from that address
  kMartianDestination,  // nothing on a wire may be sent to that address
  kSourceRoute,         // an IPv6 routing header with segments left (RFC 5095)
  kTooManyExtensions,   // more IPv6 extension headers than we walk
  kUnknownOption,       // an IPv6 option that asks for the packet to be dropped
  kNoNextHeader,        // IPv6 "no next header": nothing to do
};
inline constexpr std::size_t kDropReasons = static_cast<std::size_t>(DropReason::kNoNextHeader) + 1;

// As a label of a counter: "bad_header_checksum".
std::string_view name(DropReason reason);

}  // namespace nearfield::net::ip
