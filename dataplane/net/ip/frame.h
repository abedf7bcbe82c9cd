// Frame: an Ethernet II frame (RFC 894, RFC 2464) with at most one IEEE 802.1Q tag.
//
// Invariant: payload lies within the bytes that were parsed. Its end may hold padding up to the
// shortest frame; packet.h cuts that off by the packet's own length. IEEE 802.3 length frames and
// stacked tags are refused: nothing we speak comes in them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "dataplane/net/ip/drop_reason.h"
#include "dataplane/net/ip/mac_address.h"

namespace nearfield::net::ip {

inline constexpr std::size_t kEthernetHeaderBytes = 14;
inline constexpr std::size_t kVlanTagBytes = 4;
inline constexpr std::size_t kMaximumEthernetHeaderBytes = kEthernetHeaderBytes + kVlanTagBytes;

inline constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherTypeArp = 0x0806;
inline constexpr std::uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherTypeVlan = 0x8100;

struct FrameHeader {
  MacAddress destination;
  MacAddress source;
  std::optional<std::uint16_t> vlan_id;  // 1-4094; a tag with id 0 (priority only) counts as none
  std::uint16_t ether_type = 0;
};

struct Frame {
  FrameHeader header;
  std::span<const std::byte> payload;
};

std::expected<Frame, DropReason> parse_ethernet(std::span<const std::byte> bytes);

constexpr std::size_t ethernet_header_bytes(const std::optional<std::uint16_t>& vlan_id) {
  return kEthernetHeaderBytes + (vlan_id ? kVlanTagBytes : 0);
}
// `out` must hold ethernet_header_bytes(header.vlan_id). Returns the length. Padding to the
// shortest frame is the device's.
std::size_t write_ethernet(const FrameHeader& header, std::span<std::byte> out);

// Where frames that a box makes itself (ARP, neighbour discovery) go.
class FrameSink {
 public:
  // Copies the whole frame, from its destination MAC address on. False when there is no room: the
  // frame is lost, as on a wire.
  virtual bool send_frame(std::span<const std::byte> frame) = 0;

 protected:
  ~FrameSink() = default;
};

}  // namespace nearfield::net::ip
