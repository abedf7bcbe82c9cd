#include "dataplane/net/ip/neighbour_message.h"

#include <cstring>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/icmp.h"

namespace nearfield::net::ip {
namespace {

constexpr std::size_t kArpBytes = 28;
constexpr std::uint16_t kHardwareEthernet = 1;
constexpr std::uint16_t kArpRequest = 1;
constexpr std::uint16_t kArpReply = 2;

constexpr std::uint8_t kRouterSolicitation = 133;
constexpr std::uint8_t kSolicitation = 135;
constexpr std::uint8_t kAdvertisement = 136;
constexpr std::uint8_t kRedirect = 137;
constexpr std::size_t kMessageBytes = 24;
constexpr std::size_t kMacOptionBytes = 8;
constexpr std::uint8_t kSourceMacOption = 1;
constexpr std::uint8_t kTargetMacOption = 2;
constexpr std::uint8_t kSolicitedFlag = 0x40;
constexpr std::uint8_t kOverrideFlag = 0x20;

MacAddress read_mac(const std::byte* from) {
  MacAddress mac;
  std::memcpy(mac.bytes.data(), from, mac.bytes.size());
  return mac;
}

void write_mac(const MacAddress& mac, std::byte* to) {
  std::memcpy(to, mac.bytes.data(), mac.bytes.size());
}

bool is_type(const Packet& packet, std::uint8_t first, std::uint8_t last) {
  if (packet.is_v4 || packet.protocol != kProtocolIcmpv6 || packet.payload.empty()) return false;
  const std::uint8_t type = read_8(packet.payload.data());
  return type >= first && type <= last;
}

// False when an option has no length or leaves the message (RFC 4861 4.6, 7.1).
bool read_options(std::span<const std::byte> options, std::uint8_t wanted,
                  std::optional<MacAddress>& mac) {
  while (!options.empty()) {
    if (options.size() < 2) return false;
    const std::size_t length = std::size_t{8} * read_8(options.data() + 1);
    if (length == 0 || length > options.size()) return false;
    if (read_8(options.data()) == wanted && length == kMacOptionBytes) {
      mac = read_mac(options.data() + 2);
    }
    options = options.subspan(length);
  }
  return true;
}

}  // namespace

std::optional<ArpMessage> parse_arp(const Frame& frame) {
  const std::span<const std::byte> bytes = frame.payload;
  if (bytes.size() < kArpBytes) return std::nullopt;
  const std::byte* from = bytes.data();
  if (read_16(from) != kHardwareEthernet || read_16(from + 2) != kEtherTypeIpv4 ||
      read_16(from + 4) != 0x0604) {
    return std::nullopt;
  }
  const std::uint16_t operation = read_16(from + 6);
  if (operation != kArpRequest && operation != kArpReply) return std::nullopt;
  const ArpMessage message{.is_request = operation == kArpRequest,
                           .sender_mac = read_mac(from + 8),
                           .sender = v4_address(from + 14),
                           .target_mac = read_mac(from + 18),
                           .target = v4_address(from + 24)};
  if (message.sender_mac != frame.header.source || message.sender_mac.is_zero()) {
    return std::nullopt;
  }
  const bool is_probe = message.is_request && message.sender.bytes[12] == 0;
  if (!is_probe && !is_unicast(message.sender)) return std::nullopt;
  return message;
}

std::size_t write_arp(const ArpMessage& message, const MacAddress& to,
                      const std::optional<std::uint16_t>& vlan_id, std::span<std::byte> out) {
  const std::size_t header_length = write_ethernet({.destination = to,
                                                    .source = message.sender_mac,
                                                    .vlan_id = vlan_id,
                                                    .ether_type = kEtherTypeArp},
                                                   out);
  NEARFIELD_ASSERT(out.size() >= header_length + kArpBytes);
  std::byte* at = out.data() + header_length;
  write_16(at, kHardwareEthernet);
  write_16(at + 2, kEtherTypeIpv4);
  write_16(at + 4, 0x0604);  // lengths of the addresses
  write_16(at + 6, message.is_request ? kArpRequest : kArpReply);
  write_mac(message.sender_mac, at + 8);
  write_v4_address(message.sender, at + 14);
  write_mac(message.target_mac, at + 18);
  write_v4_address(message.target, at + 24);
  return header_length + kArpBytes;
}

bool is_neighbour_discovery(const Packet& packet) {
  return is_type(packet, kRouterSolicitation, kRedirect);
}
bool is_neighbour_solicitation(const Packet& packet) {
  return is_type(packet, kSolicitation, kSolicitation);
}
bool is_neighbour_advertisement(const Packet& packet) {
  return is_type(packet, kAdvertisement, kAdvertisement);
}

std::optional<NeighbourMessage> parse_neighbour_message(const Packet& packet) {
  const std::span<const std::byte> bytes = packet.payload;
  if (packet.hop_limit != 255 || bytes.size() < kMessageBytes) return std::nullopt;
  // RFC 6980 5: switches that guard against forged ones look no further than such a header.
  if (packet.had_fragment_header) return std::nullopt;
  const std::byte* from = bytes.data();
  if (read_8(from + 1) != 0 || !icmp_checksum_is_good(packet)) return std::nullopt;
  NeighbourMessage message;
  message.is_solicitation = is_neighbour_solicitation(packet);
  message.target = v6_address(from + 8);
  if (!is_unicast(message.target) || message.target.is_v4()) return std::nullopt;
  if (!read_options(bytes.subspan(kMessageBytes),
                    message.is_solicitation ? kSourceMacOption : kTargetMacOption, message.mac)) {
    return std::nullopt;
  }
  if (message.is_solicitation) {
    if (is_unspecified(packet.source)) {
      const bool is_proper =
          packet.destination == solicited_node_multicast(message.target) && !message.mac;
      if (!is_proper) return std::nullopt;
    }
    return message;
  }
  if (is_unspecified(packet.source)) return std::nullopt;
  const std::uint8_t flags = read_8(from + 4);
  message.is_solicited = (flags & kSolicitedFlag) != 0;
  message.is_override = (flags & kOverrideFlag) != 0;
  if (message.is_solicited && is_multicast(packet.destination)) return std::nullopt;
  return message;
}

std::size_t write_neighbour_message(const NeighbourMessage& message,
                                    const NeighbourEnvelope& envelope, std::span<std::byte> out) {
  NEARFIELD_ASSERT(message.mac.has_value());
  constexpr std::size_t kLength = kMessageBytes + kMacOptionBytes;
  std::size_t length = write_ethernet({.destination = envelope.destination_mac,
                                       .source = envelope.source_mac,
                                       .vlan_id = envelope.vlan_id,
                                       .ether_type = kEtherTypeIpv6},
                                      out);
  length += write_ipv6_header({.source = envelope.source,
                               .destination = envelope.destination,
                               .protocol = kProtocolIcmpv6,
                               .hop_limit = 255,
                               .payload_bytes = kLength},
                              out.subspan(length));
  NEARFIELD_ASSERT(out.size() >= length + kLength);
  std::byte* at = out.data() + length;
  write_8(at, message.is_solicitation ? kSolicitation : kAdvertisement);
  write_8(at + 1, 0);
  write_16(at + 2, 0);
  write_32(at + 4, 0);
  write_8(at + 4, (message.is_solicited ? kSolicitedFlag : 0u) |
                      (message.is_override ? kOverrideFlag : 0u));
  write_v6_address(message.target, at + 8);
  write_8(at + kMessageBytes, message.is_solicitation ? kSourceMacOption : kTargetMacOption);
  write_8(at + kMessageBytes + 1, kMacOptionBytes / 8);
  write_mac(*message.mac, at + kMessageBytes + 2);
  Checksum checksum =
      pseudo_header(envelope.source, envelope.destination, kProtocolIcmpv6, kLength);
  checksum.add(std::span(at, kLength));
  write_16(at + 2, checksum.finish());
  return length + kLength;
}

}  // namespace nearfield::net::ip
