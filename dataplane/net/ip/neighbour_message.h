// The messages neighbours find each other with, from and to the wire: ARP (RFC 826) and the
// solicitations and advertisements of neighbour discovery (RFC 4861 4.3, 4.4).
//
// Invariant: what is parsed has passed the checks of RFC 4861 7.1 (hop limit 255, so that it comes
// from this link; checksum; lengths) or, for ARP, those of RFC 826 and agrees with the frame's own
// source.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "dataplane/net/ip/frame.h"
#include "dataplane/net/ip/packet.h"

namespace nearfield::net::ip {

// An advertisement with an option, in a tagged frame.
inline constexpr std::size_t kMaximumNeighbourFrameBytes =
    kMaximumEthernetHeaderBytes + kIpv6HeaderBytes + 24 + 8;

struct ArpMessage {
  bool is_request = false;  // else a reply
  MacAddress sender_mac;
  Address sender;
  MacAddress target_mac;
  Address target;
};

std::optional<ArpMessage> parse_arp(const Frame& frame);
// Writes a whole frame. Returns its length.
std::size_t write_arp(const ArpMessage& message, const MacAddress& to,
                      const std::optional<std::uint16_t>& vlan_id, std::span<std::byte> out);

struct NeighbourMessage {
  bool is_solicitation = false;  // else an advertisement
  bool is_solicited = false;     // the S flag of an advertisement
  bool is_override = false;      // the O flag of an advertisement
  Address target;
  // The source's (solicitation) or target's (advertisement) link-layer address option.
  std::optional<MacAddress> mac;
};

bool is_neighbour_discovery(const Packet& packet);  // types 133 to 137
bool is_neighbour_solicitation(const Packet& packet);
bool is_neighbour_advertisement(const Packet& packet);
std::optional<NeighbourMessage> parse_neighbour_message(const Packet& packet);

struct NeighbourEnvelope {
  Address source;
  Address destination;
  MacAddress source_mac;
  MacAddress destination_mac;
  std::optional<std::uint16_t> vlan_id;
};
// Writes a whole frame; `message.mac` must be set. Returns its length.
std::size_t write_neighbour_message(const NeighbourMessage& message,
                                    const NeighbourEnvelope& envelope, std::span<std::byte> out);

}  // namespace nearfield::net::ip
