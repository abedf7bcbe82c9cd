// IPv4 and IPv6 packets as strangers send them: whole ones are taken, with options, padding and
// extension headers; all others are refused with a reason and, for IPv6, with what to tell.
#include "dataplane/net/ip/packet.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield::net;
using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

namespace {

Bytes packet_with(const char* source, const char* destination, std::uint8_t protocol,
                  const Bytes& payload, std::uint8_t hop_limit = 64) {
  Bytes out(kIpv6HeaderBytes);
  out.resize(write_ip_header({.source = address(source),
                              .destination = address(destination),
                              .protocol = protocol,
                              .ecn = kEct0,
                              .hop_limit = hop_limit,
                              .payload_bytes = static_cast<std::uint16_t>(payload.size())},
                             out));
  return out + payload;
}

Bytes v4(const Bytes& payload) { return packet_with("192.0.2.1", "198.51.100.2", 6, payload); }
Bytes v6(std::uint8_t next, const Bytes& payload, const char* destination = "2001:db8::2") {
  return packet_with("2001:db8::1", destination, next, payload);
}

DropReason reason(const ParsedPacket& packet) {
  CHECK(!packet.has_value());
  return packet.error().reason;
}

}  // namespace

TEST_GROUP(Packet){};

TEST(Packet, Ipv4IsReadBackWithoutItsPadding) {
  const Bytes wire = v4(hex("0102")) + hex("00000000");
  const ParsedPacket packet = parse_ipv4(wire);
  CHECK(packet.has_value());
  CHECK(packet->source == address("192.0.2.1"));
  CHECK(packet->destination == address("198.51.100.2"));
  CHECK(packet->is_v4 && packet->dont_fragment);
  UNSIGNED_LONGS_EQUAL(6, packet->protocol);
  UNSIGNED_LONGS_EQUAL(kEct0, packet->ecn);
  UNSIGNED_LONGS_EQUAL(64, packet->hop_limit);
  UNSIGNED_LONGS_EQUAL(22, packet->whole.size());
  UNSIGNED_LONGS_EQUAL(2, packet->payload.size());
  POINTERS_EQUAL(wire.data() + 20, packet->payload.data());
}

TEST(Packet, Ipv4OptionsAreSkipped) {
  Bytes wire = v4(hex("9404 0000 aabb"));
  wire[0] = std::byte{0x46};
  const ParsedPacket packet = parse_ipv4(wire, true);
  CHECK(packet.has_value());
  UNSIGNED_LONGS_EQUAL(2, packet->payload.size());
}

TEST(Packet, TheIpv4ChecksumCountsUnlessTheNicDidIt) {
  Bytes wire = v4({});
  wire[8] = std::byte{63};
  CHECK(reason(parse_ipv4(wire)) == DropReason::kBadHeaderChecksum);
  CHECK(parse_ipv4(wire, true).has_value());
}

TEST(Packet, BrokenIpv4HeadersAreRefused) {
  const Bytes good = v4(hex("01020304"));
  for (std::size_t length = 0; length < good.size(); ++length) {
    CHECK(reason(parse_ipv4(std::span(good).first(length))) == DropReason::kTruncated);
  }
  Bytes wire = good;
  wire[0] = std::byte{0x65};
  CHECK(reason(parse_ipv4(wire, true)) == DropReason::kBadHeader);
  wire[0] = std::byte{0x44};
  CHECK(reason(parse_ipv4(wire, true)) == DropReason::kBadHeader);
  wire[0] = std::byte{0x4f};  // header longer than the packet
  CHECK(reason(parse_ipv4(wire, true)) == DropReason::kBadHeader);
  wire = good;
  wire[3] = std::byte{19};
  CHECK(reason(parse_ipv4(wire, true)) == DropReason::kBadHeader);
}

TEST(Packet, Ipv4FragmentsAreRefusedFirstOrLater) {
  for (const unsigned field : {0x2000u, 0x0001u, 0x3fffu}) {
    Bytes wire = v4(hex("01020304"));
    wire[6] = static_cast<std::byte>(field >> 8);
    wire[7] = static_cast<std::byte>(field & 0xff);
    CHECK(reason(parse_ipv4(wire, true)) == DropReason::kFragment);
  }
}

TEST(Packet, MartiansAreRefused) {
  for (const char* source : {"0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"}) {
    CHECK(reason(parse_ipv4(packet_with(source, "192.0.2.1", 6, {}))) ==
          DropReason::kMartianSource);
  }
  CHECK(reason(parse_ipv4(packet_with("192.0.2.1", "127.0.0.1", 6, {}))) ==
        DropReason::kMartianDestination);
  for (const char* source : {"::", "::1", "ff02::1"}) {
    CHECK(reason(parse_ipv6(packet_with(source, "2001:db8::1", 6, {}))) ==
          DropReason::kMartianSource);
  }
  CHECK(reason(parse_ipv6(packet_with("2001:db8::1", "::1", 6, {}))) ==
        DropReason::kMartianDestination);
}

TEST(Packet, AMappedAddressInAnIpv6PacketIsNoIpv4Address) {
  Bytes wire = v6(6, {});
  const Bytes mapped = hex("00000000000000000000ffff c0000201");
  std::copy(mapped.begin(), mapped.end(), wire.begin() + 8);
  CHECK(reason(parse_ipv6(wire)) == DropReason::kMartianSource);
  wire = v6(6, {});
  std::copy(mapped.begin(), mapped.end(), wire.begin() + 24);
  CHECK(reason(parse_ipv6(wire)) == DropReason::kMartianDestination);
}

TEST(Packet, TheUnspecifiedSourcePassesForDuplicateAddressDetectionOnly) {
  CHECK(parse_ipv6(packet_with("::", "ff02::1:ff00:1", 58, hex("87"), 255)).has_value());
  CHECK(reason(parse_ipv6(packet_with("::", "ff02::1:ff00:1", 58, hex("87"), 254))) ==
        DropReason::kMartianSource);
}

TEST(Packet, Ipv6IsReadBackWithoutItsPadding) {
  const Bytes wire = v6(6, hex("0102")) + hex("0000");
  const ParsedPacket packet = parse_ipv6(wire);
  CHECK(packet.has_value());
  CHECK(packet->source == address("2001:db8::1"));
  CHECK(packet->destination == address("2001:db8::2"));
  CHECK(!packet->is_v4);
  UNSIGNED_LONGS_EQUAL(6, packet->protocol);
  UNSIGNED_LONGS_EQUAL(6, packet->protocol_offset);
  UNSIGNED_LONGS_EQUAL(kEct0, packet->ecn);
  UNSIGNED_LONGS_EQUAL(64, packet->hop_limit);
  UNSIGNED_LONGS_EQUAL(2, packet->payload.size());
  for (std::size_t length = 0; length < 42; ++length) {
    CHECK(reason(parse_ipv6(std::span(wire).first(length))) == DropReason::kTruncated);
  }
}

TEST(Packet, ExtensionHeadersAreWalked) {
  // Hop-by-hop with a router alert, destination options, a routing header without segments left,
  // an atomic fragment, TCP.
  const ParsedPacket packet = parse_ipv6(
      v6(0, hex("3c00 0502 0000 0100  2b00 0104 0000 0000  2c00 0000 0000 0000  0600 0000 1234 5678"
                " aabbcc")));
  CHECK(packet.has_value());
  UNSIGNED_LONGS_EQUAL(6, packet->protocol);
  UNSIGNED_LONGS_EQUAL(64, packet->protocol_offset);
  CHECK(packet->had_fragment_header);
  UNSIGNED_LONGS_EQUAL(3, packet->payload.size());
}

TEST(Packet, Ipv6FragmentsAreRefused) {
  CHECK(reason(parse_ipv6(v6(44, hex("0600 0001 1234 5678 aa")))) == DropReason::kFragment);
  CHECK(reason(parse_ipv6(v6(44, hex("0600 0008 1234 5678 aa")))) == DropReason::kFragment);
}

TEST(Packet, ASourceRouteIsRefusedAndPointedAt) {
  const ParsedPacket packet = parse_ipv6(v6(43, hex("0600 0001 0000 0000")));
  CHECK(reason(packet) == DropReason::kSourceRoute);
  CHECK(packet.error().problem.has_value());
  UNSIGNED_LONGS_EQUAL(0, packet.error().problem->code);
  UNSIGNED_LONGS_EQUAL(42, packet.error().problem->pointer);
}

TEST(Packet, UnknownOptionsDoWhatTheirFirstBitsSay) {
  CHECK(parse_ipv6(v6(60, hex("0600 1e04 0000 0000"))).has_value());
  const ParsedPacket silent = parse_ipv6(v6(60, hex("0600 5e04 0000 0000")));
  CHECK(reason(silent) == DropReason::kUnknownOption);
  CHECK(!silent.error().problem);
  const ParsedPacket loud = parse_ipv6(v6(60, hex("0600 0100 9e02 0000")));
  CHECK(reason(loud) == DropReason::kUnknownOption);
  UNSIGNED_LONGS_EQUAL(2, loud.error().problem->code);
  UNSIGNED_LONGS_EQUAL(44, loud.error().problem->pointer);
  CHECK(loud.error().problem->even_to_multicast);
  CHECK(!parse_ipv6(v6(60, hex("0600 0100 de02 0000"))).error().problem->even_to_multicast);
}

TEST(Packet, AHopByHopHeaderElsewhereIsUnknown) {
  const ParsedPacket packet = parse_ipv6(v6(60, hex("0000 0104 0000 0000 0600 0104 0000 0000")));
  CHECK(reason(packet) == DropReason::kBadHeader);
  UNSIGNED_LONGS_EQUAL(1, packet.error().problem->code);
  UNSIGNED_LONGS_EQUAL(40, packet.error().problem->pointer);
}

TEST(Packet, BrokenAndEndlessExtensionsAreRefused) {
  CHECK(reason(parse_ipv6(v6(60, hex("0600 0104")))) == DropReason::kBadHeader);
  CHECK(reason(parse_ipv6(v6(60, hex("0601 0104 0000 0000")))) == DropReason::kBadHeader);
  CHECK(reason(parse_ipv6(v6(60, hex("0600 0105 0000 0000")))) == DropReason::kBadHeader);
  CHECK(reason(parse_ipv6(v6(60, hex("0600 0103 0000 0001")))) == DropReason::kBadHeader);
  CHECK(reason(parse_ipv6(v6(59, {}))) == DropReason::kNoNextHeader);
  Bytes chain;
  for (std::size_t i = 0; i <= kMaximumExtensions; ++i) {
    chain = chain + hex("3c00 0104 0000 0000");
  }
  CHECK(reason(parse_ipv6(v6(60, chain))) == DropReason::kTooManyExtensions);
  Bytes pads = hex("0605");
  pads.resize(48);  // 46 one-byte pads
  CHECK(reason(parse_ipv6(v6(60, pads))) == DropReason::kTooManyExtensions);
}
