#include "dataplane/net/ip/frame.h"

#include <cstring>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"

namespace nearfield::net::ip {
namespace {

constexpr std::uint16_t kEtherTypeServiceVlan = 0x88a8;  // IEEE 802.1ad, the outer tag of two
constexpr std::uint16_t kEtherTypeOldServiceVlan = 0x9100;
constexpr std::uint16_t kFirstEtherType = 0x0600;  // below: a length (IEEE 802.3 3.2.6)
constexpr std::uint16_t kVlanIdMask = 0x0fff;

bool is_tag(std::uint16_t ether_type) {
  return ether_type == kEtherTypeVlan || ether_type == kEtherTypeServiceVlan ||
         ether_type == kEtherTypeOldServiceVlan;
}

}  // namespace

std::expected<Frame, DropReason> parse_ethernet(std::span<const std::byte> bytes) {
  if (bytes.size() < kEthernetHeaderBytes) return std::unexpected(DropReason::kFrameTooShort);
  Frame frame;
  FrameHeader& header = frame.header;
  std::memcpy(header.destination.bytes.data(), bytes.data(), 6);
  std::memcpy(header.source.bytes.data(), bytes.data() + 6, 6);
  if (header.source.is_group()) return std::unexpected(DropReason::kSourceMacIsGroup);
  header.ether_type = read_16(bytes.data() + 12);
  std::size_t length = kEthernetHeaderBytes;
  if (header.ether_type == kEtherTypeVlan) {
    length += kVlanTagBytes;
    if (bytes.size() < length) return std::unexpected(DropReason::kFrameTooShort);
    const std::uint16_t vlan_id = read_16(bytes.data() + 14) & kVlanIdMask;
    if (vlan_id != 0) header.vlan_id = vlan_id;
    header.ether_type = read_16(bytes.data() + 16);
  }
  if (is_tag(header.ether_type)) return std::unexpected(DropReason::kStackedTags);
  if (header.ether_type < kFirstEtherType) return std::unexpected(DropReason::kFrameLength);
  frame.payload = bytes.subspan(length);
  return frame;
}

std::size_t write_ethernet(const FrameHeader& header, std::span<std::byte> out) {
  const std::size_t length = ethernet_header_bytes(header.vlan_id);
  NEARFIELD_ASSERT(out.size() >= length);
  std::memcpy(out.data(), header.destination.bytes.data(), 6);
  std::memcpy(out.data() + 6, header.source.bytes.data(), 6);
  std::byte* at = out.data() + 12;
  if (header.vlan_id) {
    write_16(at, kEtherTypeVlan);
    write_16(at + 2, *header.vlan_id & kVlanIdMask);
    at += kVlanTagBytes;
  }
  write_16(at, header.ether_type);
  return length;
}

}  // namespace nearfield::net::ip
