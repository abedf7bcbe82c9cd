// IPv4, IPv6 and TCP on the wire, read and built byte by byte from RFC 791, 8200, 9293, 2018 and
// 7323 for the simulation alone. It shares nothing with the code under test, so that a
// misunderstanding of a header there cannot cancel out here.
//
// Packets begin with the IP header. Reading verifies every length and both checksums.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace nearfield::sim::tcp {

using Bytes = std::vector<std::byte>;

struct Address {
  bool is_v6 = false;
  std::array<std::uint8_t, 16> octets{};  // IPv4: the first four
  auto operator<=>(const Address&) const = default;
};
Address make_v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d);
Address make_v6(std::uint16_t last_group);  // 2001:db8::<last_group>, RFC 3849

struct Endpoint {
  Address address;
  std::uint16_t port = 0;
  auto operator<=>(const Endpoint&) const = default;
};

inline constexpr std::uint8_t kFin = 0x01, kSyn = 0x02, kRst = 0x04, kPsh = 0x08, kAck = 0x10,
                              kUrg = 0x20, kEce = 0x40, kCwr = 0x80;

// The two bits of RFC 3168.
enum class Ecn : std::uint8_t { not_capable = 0, ect1 = 1, ect0 = 2, experienced = 3 };

struct SackBlock {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

struct Timestamps {
  std::uint32_t value = 0;
  std::uint32_t echo = 0;
};

struct Segment {
  Endpoint source;
  Endpoint destination;
  Ecn ecn = Ecn::not_capable;
  bool may_be_fragmented = false;  // IPv4 without DF
  std::uint32_t sequence = 0;
  std::uint32_t acknowledgment = 0;
  std::uint8_t flags = 0;
  std::uint16_t window = 0;
  std::uint16_t urgent_pointer = 0;
  std::optional<std::uint16_t> maximum_segment_bytes;
  std::optional<std::uint8_t> window_scale;
  bool sack_permitted = false;
  std::optional<Timestamps> timestamps;
  std::array<SackBlock, 4> sack_blocks{};
  std::size_t sack_block_count = 0;
  // Building: copied. Reading: refers to the packet.
  std::span<const std::byte> payload;
  // Reading only.
  std::size_t option_bytes = 0;
  std::size_t packet_bytes = 0;

  bool has(std::uint8_t flag) const { return (flags & flag) == flag; }
};

// Options longer than 40 bytes are a mistake of the caller: blocks that do not fit are left out.
Bytes build(const Segment& segment);

enum class Flaw {
  not_ip,
  wrong_length,
  header_checksum,
  not_tcp,
  fragment,
  tcp_checksum,
  malformed_option
};
const char* name_of(Flaw flaw);
std::expected<Segment, Flaw> read(std::span<const std::byte> packet);

// Marks an ECN-capable packet as having experienced congestion; false, and no change, when it is
// not capable.
bool mark_congestion(std::span<std::byte> packet);
// Makes it not capable.
void bleach_congestion(std::span<std::byte> packet);
// True for IPv6, and for IPv4 with DF.
bool forbids_fragments(std::span<const std::byte> packet);
// What a router answers to a packet that does not fit: RFC 792 type 3 code 4 with RFC 1191's MTU,
// or RFC 4443 type 2.
Bytes build_packet_too_big(std::span<const std::byte> packet, const Address& router,
                           std::size_t mtu);

// RFC 1071, over `bytes`, starting from a partial sum in network order.
std::uint16_t internet_checksum(std::span<const std::byte> bytes, std::uint64_t partial = 0);

}  // namespace nearfield::sim::tcp
