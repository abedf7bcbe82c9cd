#include "dataplane/net/ip/packet.h"

#include <algorithm>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/checksum.h"

namespace nearfield::net::ip {
namespace {

constexpr std::uint16_t kDontFragment = 0x4000;
constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kFragmentOffsetMask = 0x1fff;
constexpr std::size_t kMaximumIpv4Bytes = 65535;

// IPv6 next headers that are extensions we walk (RFC 8200 4). AH, ESP, mobility and whatever comes
// later end the walk as the packet's protocol.
constexpr std::uint8_t kHopByHop = 0;
constexpr std::uint8_t kRouting = 43;
constexpr std::uint8_t kFragment = 44;
constexpr std::uint8_t kNoNext = 59;
constexpr std::uint8_t kDestinationOptions = 60;

constexpr std::size_t kNextHeaderOffset = 6;  // of the IPv6 header
constexpr std::size_t kFragmentHeaderBytes = 8;
constexpr std::uint8_t kPad1 = 0;
constexpr std::uint8_t kPadN = 1;

// Codes of an ICMPv6 parameter problem (RFC 4443 3.4).
constexpr std::uint8_t kErroneousField = 0;
constexpr std::uint8_t kUnknownNextHeader = 1;
constexpr std::uint8_t kUnknownOption = 2;

std::unexpected<Rejection> rejected(DropReason reason) {
  return std::unexpected(Rejection{.reason = reason, .problem = {}, .packet = {}});
}

std::unexpected<Rejection> rejected(DropReason reason, const Packet& packet, std::uint8_t code,
                                    std::size_t pointer, bool even_to_multicast = false) {
  return std::unexpected(
      Rejection{.reason = reason,
                .problem = ParameterProblem{.code = code,
                                            .pointer = static_cast<std::uint32_t>(pointer),
                                            .even_to_multicast = even_to_multicast},
                .packet = packet});
}

// Walks the extension headers of packet.whole.
class ExtensionWalk {
 public:
  explicit ExtensionWalk(Packet& packet) : packet_(packet), whole_(packet.whole) {}

  // Nothing when protocol and payload of the packet are set.
  std::optional<Rejection> run() {
    packet_.protocol = read_8(whole_.data() + kNextHeaderOffset);
    packet_.protocol_offset = kNextHeaderOffset;
    for (std::size_t count = 0;; ++count) {
      switch (packet_.protocol) {
        case kHopByHop:
          // Only right behind the IPv6 header; elsewhere it is an unknown one (RFC 8200 4.3, 4).
          if (at_ != kIpv6HeaderBytes) {
            return rejected(DropReason::kBadHeader, packet_, kUnknownNextHeader,
                            packet_.protocol_offset)
                .error();
          }
          [[fallthrough]];
        case kRouting:
        case kFragment:
        case kDestinationOptions:
          break;
        case kNoNext:
          return rejected(DropReason::kNoNextHeader).error();
        default:
          packet_.payload = whole_.subspan(at_);
          return std::nullopt;
      }
      if (count == kMaximumExtensions) return rejected(DropReason::kTooManyExtensions).error();
      if (std::optional<Rejection> rejection = step()) return rejection;
    }
  }

 private:
  // Over one extension header.
  std::optional<Rejection> step() {
    const std::size_t left = whole_.size() - at_;
    if (left < kFragmentHeaderBytes) return rejected(DropReason::kBadHeader).error();
    const std::byte* header = whole_.data() + at_;
    std::size_t length = kFragmentHeaderBytes;
    if (packet_.protocol == kFragment) {
      // Offset or more-fragments set: a part. Neither: an atomic fragment, which is whole.
      if ((read_16(header + 2) & 0xfff9) != 0) return rejected(DropReason::kFragment).error();
      packet_.had_fragment_header = true;
    } else {
      length = 8 * (std::size_t{1} + read_8(header + 1));
      if (length > left) return rejected(DropReason::kBadHeader).error();
      if (packet_.protocol == kRouting) {
        // Whatever its type, we are no router: with segments left it is refused (RFC 5095 3,
        // RFC 8200 4.4), without it says nothing any more.
        if (read_8(header + 3) != 0) {
          return rejected(DropReason::kSourceRoute, packet_, kErroneousField, at_ + 2).error();
        }
      } else if (std::optional<Rejection> rejection = check_options(at_ + 2, at_ + length)) {
        return rejection;
      }
    }
    packet_.protocol = read_8(header);
    packet_.protocol_offset = static_cast<std::uint16_t>(at_);
    at_ += length;
    return std::nullopt;
  }

  // Options between two offsets: only the ones that ask for it stop the packet (RFC 8200 4.2).
  std::optional<Rejection> check_options(std::size_t from, std::size_t to) {
    while (from < to) {
      const std::uint8_t type = read_8(whole_.data() + from);
      if (++options_ > kMaximumOptions) return rejected(DropReason::kTooManyExtensions).error();
      if (type == kPad1) {
        ++from;
        continue;
      }
      if (to - from < 2) return rejected(DropReason::kBadHeader).error();
      const std::size_t length = std::size_t{2} + read_8(whole_.data() + from + 1);
      if (length > to - from) return rejected(DropReason::kBadHeader).error();
      const int action = type == kPadN ? 0 : type >> 6;
      if (action == 1) return rejected(DropReason::kUnknownOption).error();
      if (action >= 2) {
        return rejected(DropReason::kUnknownOption, packet_, kUnknownOption, from, action == 2)
            .error();
      }
      from += length;
    }
    return std::nullopt;
  }

  Packet& packet_;
  std::span<const std::byte> whole_;
  std::size_t at_ = kIpv6HeaderBytes;
  std::size_t options_ = 0;
};

bool is_proper_destination(const Address& address) {
  return !is_unspecified(address) && !is_loopback(address);
}

}  // namespace

ParsedPacket parse_ipv4(std::span<const std::byte> bytes, bool checksum_is_good) {
  if (bytes.size() < kIpv4HeaderBytes) return rejected(DropReason::kTruncated);
  const std::byte* from = bytes.data();
  if (read_8(from) >> 4 != 4) return rejected(DropReason::kBadHeader);
  const std::size_t header_length = std::size_t{4} * (read_8(from) & 15);
  const std::size_t total_length = read_16(from + 2);
  if (header_length < kIpv4HeaderBytes || total_length < header_length) {
    return rejected(DropReason::kBadHeader);
  }
  if (total_length > bytes.size()) return rejected(DropReason::kTruncated);
  if (!checksum_is_good) {
    Checksum checksum;
    checksum.add(bytes.first(header_length));
    if (checksum.finish() != 0) return rejected(DropReason::kBadHeaderChecksum);
  }
  const std::uint16_t fragment = read_16(from + 6);
  if ((fragment & (kMoreFragments | kFragmentOffsetMask)) != 0) {
    return rejected(DropReason::kFragment);
  }
  Packet packet;
  packet.is_v4 = true;
  packet.source = v4_address(from + 12);
  packet.destination = v4_address(from + 16);
  if (!is_unicast(packet.source)) return rejected(DropReason::kMartianSource);
  if (!is_proper_destination(packet.destination)) {
    return rejected(DropReason::kMartianDestination);
  }
  packet.protocol = read_8(from + 9);
  packet.protocol_offset = 9;
  packet.ecn = read_8(from + 1) & 3;
  packet.hop_limit = read_8(from + 8);
  packet.dont_fragment = (fragment & kDontFragment) != 0;
  packet.whole = bytes.first(total_length);
  packet.payload = packet.whole.subspan(header_length);
  return packet;
}

ParsedPacket parse_ipv6(std::span<const std::byte> bytes) {
  if (bytes.size() < kIpv6HeaderBytes) return rejected(DropReason::kTruncated);
  const std::byte* from = bytes.data();
  if (read_8(from) >> 4 != 6) return rejected(DropReason::kBadHeader);
  const std::size_t total_length = kIpv6HeaderBytes + read_16(from + 4);
  if (total_length > bytes.size()) return rejected(DropReason::kTruncated);
  Packet packet;
  packet.source = v6_address(from + 8);
  packet.destination = v6_address(from + 24);
  packet.ecn = read_16(from) >> 4 & 3;
  packet.hop_limit = read_8(from + 7);
  packet.dont_fragment = true;  // no router fragments IPv6
  packet.whole = bytes.first(total_length);
  // A mapped address would be taken for IPv4 everywhere above.
  if (packet.source.is_v4() || is_loopback(packet.source) || is_multicast(packet.source)) {
    return rejected(DropReason::kMartianSource);
  }
  if (packet.destination.is_v4() || !is_proper_destination(packet.destination)) {
    return rejected(DropReason::kMartianDestination);
  }
  const bool is_unspecified_source = is_unspecified(packet.source);
  if (std::optional<Rejection> rejection = ExtensionWalk(packet).run()) {
    if (is_unspecified_source) return rejected(DropReason::kMartianSource);
    return std::unexpected(*rejection);
  }
  if (is_unspecified_source && (packet.protocol != kProtocolIcmpv6 || packet.hop_limit != 255)) {
    return rejected(DropReason::kMartianSource);
  }
  return packet;
}

std::size_t write_ipv4_header(const PacketHeader& header, std::span<std::byte> out) {
  NEARFIELD_ASSERT(out.size() >= kIpv4HeaderBytes);
  NEARFIELD_ASSERT(header.source.is_v4() && header.destination.is_v4());
  NEARFIELD_ASSERT(header.payload_bytes <= kMaximumIpv4Bytes - kIpv4HeaderBytes);
  std::byte* to = out.data();
  write_16(to, 0x4500u | (header.ecn & 3u));
  write_16(to + 2, static_cast<unsigned>(kIpv4HeaderBytes) + header.payload_bytes);
  write_16(to + 4, header.identification);
  write_16(to + 6, header.dont_fragment ? kDontFragment : 0);
  write_16(to + 8, static_cast<unsigned>(header.hop_limit) << 8 | header.protocol);
  write_16(to + 10, 0);
  write_v4_address(header.source, to + 12);
  write_v4_address(header.destination, to + 16);
  Checksum checksum;
  checksum.add(out.first(kIpv4HeaderBytes));
  write_16(to + 10, checksum.finish());
  return kIpv4HeaderBytes;
}

std::size_t write_ipv6_header(const PacketHeader& header, std::span<std::byte> out) {
  NEARFIELD_ASSERT(out.size() >= kIpv6HeaderBytes);
  NEARFIELD_ASSERT(!header.source.is_v4() && !header.destination.is_v4());
  std::byte* to = out.data();
  // No flow label: RFC 6437 allows 0, and no one behind us balances by it.
  write_32(to, 0x60000000u | (header.ecn & 3u) << 20);
  write_16(to + 4, header.payload_bytes);
  write_16(to + 6, static_cast<unsigned>(header.protocol) << 8 | header.hop_limit);
  write_v6_address(header.source, to + 8);
  write_v6_address(header.destination, to + 24);
  return kIpv6HeaderBytes;
}

std::size_t write_ip_header(const PacketHeader& header, std::span<std::byte> out) {
  return header.source.is_v4() ? write_ipv4_header(header, out) : write_ipv6_header(header, out);
}

}  // namespace nearfield::net::ip
