// ICMP of both families: echoes, errors about our packets, and what we tell strangers and what
// never.
#include "dataplane/net/ip/icmp.h"

#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "dataplane/net/ip/checksum.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

namespace {

Bytes packet_with(const char* source, const char* destination, std::uint8_t protocol,
                  const Bytes& payload) {
  Bytes out(kIpv6HeaderBytes);
  out.resize(write_ip_header({.source = address(source),
                              .destination = address(destination),
                              .protocol = protocol,
                              .payload_bytes = static_cast<std::uint16_t>(payload.size())},
                             out));
  return out + payload;
}

Packet parsed(const Bytes& wire) {
  const bool is_v4 = (std::to_integer<unsigned>(wire[0]) >> 4) == 4;
  const ParsedPacket packet = is_v4 ? parse_ipv4(wire) : parse_ipv6(wire);
  CHECK(packet.has_value());
  return *packet;
}

// The first bytes of a TCP segment of ours: 443 -> 40000, sequence 0x01020304.
const Bytes kQuotedTcp = hex("01bb 9c40 01020304");

}  // namespace

TEST_GROUP(Icmp) {
  RateLimit limit{10, 5};
  MonotonicTime now{std::chrono::seconds(100)};
  Bytes out = Bytes(kIpv6HeaderBytes + kMaximumEchoBytes);

  Packet reply(std::size_t length) {
    CHECK(length > 0);
    out.resize(length);
    const Packet packet = parsed(out);
    CHECK(icmp_checksum_is_good(packet));
    return packet;
  }
};

TEST(Icmp, EchoesOfBothFamiliesAreAnswered) {
  const Bytes v4 = packet_with("192.0.2.1", "192.0.2.10", 1, hex("0800 0000 1234 0001 616263"));
  Packet answer = reply(write_echo_reply(parsed(v4), limit, now, out));
  CHECK(answer.source == address("192.0.2.10") && answer.destination == address("192.0.2.1"));
  CHECK(std::ranges::equal(answer.payload.subspan(4), hex("1234 0001 616263")));
  LONGS_EQUAL(0, std::to_integer<int>(answer.payload[0]));

  const Bytes v6 = packet_with("2001:db8::1", "2001:db8::2", 58, hex("8000 0000 1234 0001 616263"));
  out.resize(kIpv6HeaderBytes + kMaximumEchoBytes);
  answer = reply(write_echo_reply(parsed(v6), limit, now, out));
  LONGS_EQUAL(129, std::to_integer<int>(answer.payload[0]));
}

TEST(Icmp, EchoesToGroupsTooLongOnesAndOtherMessagesAreNot) {
  const Bytes echo = hex("0800 0000 1234 0001");
  CHECK(0 ==
        write_echo_reply(parsed(packet_with("192.0.2.1", "224.0.0.1", 1, echo)), limit, now, out));
  CHECK(0 == write_echo_reply(
                 parsed(packet_with("192.0.2.1", "192.0.2.10", 1, hex("0000 0000 1234 0001"))),
                 limit, now, out));
  const Bytes huge = echo + Bytes(kMaximumEchoBytes - 7);
  CHECK(0 ==
        write_echo_reply(parsed(packet_with("192.0.2.1", "192.0.2.10", 1, huge)), limit, now, out));
}

TEST(Icmp, TheBucketBoundsAnswersAndFillsAgain) {
  const Bytes wire = packet_with("192.0.2.1", "192.0.2.10", 1, hex("0800 0000 1234 0001"));
  int answers = 0;
  for (int i = 0; i < 20; ++i) answers += write_echo_reply(parsed(wire), limit, now, out) > 0;
  LONGS_EQUAL(5, answers);
  now += std::chrono::milliseconds(100);
  CHECK(write_echo_reply(parsed(wire), limit, now, out) > 0);
  CHECK(write_echo_reply(parsed(wire), limit, now, out) == 0);
  CHECK(write_echo_reply(parsed(wire), limit, now - std::chrono::seconds(9), out) == 0);
}

TEST(Icmp, FragmentationNeededNamesTheConnectionAndTheMtu) {
  const Bytes ours = packet_with("192.0.2.10", "203.0.113.7", 6, kQuotedTcp);
  const auto error = parse_icmp_error(
      parsed(packet_with("198.51.100.1", "192.0.2.10", 1, hex("0304 0000 0000 0578") + ours)));
  CHECK(error.has_value());
  CHECK(error->kind == IcmpErrorKind::kPacketTooBig);
  CHECK(error->local == address("192.0.2.10") && error->peer == address("203.0.113.7"));
  UNSIGNED_LONGS_EQUAL(443, error->local_port);
  UNSIGNED_LONGS_EQUAL(40000, error->peer_port);
  UNSIGNED_LONGS_EQUAL(0x01020304, error->sequence);
  UNSIGNED_LONGS_EQUAL(1400, error->mtu);
  UNSIGNED_LONGS_EQUAL(28, error->quoted_bytes);
}

TEST(Icmp, PacketTooBigOfIpv6) {
  const Bytes ours = packet_with("2001:db8::10", "2001:db8:7::7", 6, kQuotedTcp);
  const auto error = parse_icmp_error(
      parsed(packet_with("2001:db8::1", "2001:db8::10", 58, hex("0200 0000 0000 0500") + ours)));
  CHECK(error.has_value());
  CHECK(error->kind == IcmpErrorKind::kPacketTooBig);
  UNSIGNED_LONGS_EQUAL(1280, error->mtu);
  UNSIGNED_LONGS_EQUAL(0x01020304, error->sequence);
}

TEST(Icmp, KindsOfErrors) {
  const auto kind = [](const char* head) {
    const Bytes ours = packet_with("192.0.2.10", "203.0.113.7", 6, kQuotedTcp);
    return parse_icmp_error(parsed(packet_with("198.51.100.1", "192.0.2.10", 1, hex(head) + ours)))
        ->kind;
  };
  CHECK(kind("0303 0000 0000 0000") == IcmpErrorKind::kPortUnreachable);
  CHECK(kind("0302 0000 0000 0000") == IcmpErrorKind::kPortUnreachable);
  CHECK(kind("0301 0000 0000 0000") == IcmpErrorKind::kNetworkUnreachable);
  CHECK(kind("030d 0000 0000 0000") == IcmpErrorKind::kProhibited);
  CHECK(kind("0b00 0000 0000 0000") == IcmpErrorKind::kTimeExceeded);
  CHECK(kind("0c00 0000 0000 0000") == IcmpErrorKind::kParameterProblem);
}

TEST(Icmp, CutOrInventedQuotesAreNothing) {
  const Bytes ours = packet_with("192.0.2.10", "203.0.113.7", 6, kQuotedTcp);
  const Bytes message = hex("0304 0000 0000 0578") + ours;
  for (std::size_t length = 0; length < message.size(); ++length) {
    const Bytes cut(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(!parse_icmp_error(parsed(packet_with("198.51.100.1", "192.0.2.10", 1, cut))));
  }
  Bytes later_part = message;
  later_part[8 + 7] = std::byte{1};  // fragment offset
  CHECK(!parse_icmp_error(parsed(packet_with("198.51.100.1", "192.0.2.10", 1, later_part))));
}

TEST(Icmp, AClosedPortIsToldWithinTheFamilysShortestMtu) {
  const Bytes v4 = packet_with("192.0.2.1", "192.0.2.10", 17, Bytes(1400));
  Packet answer = reply(write_port_unreachable(parsed(v4), limit, now, out));
  UNSIGNED_LONGS_EQUAL(576, answer.whole.size());
  CHECK(std::ranges::equal(answer.payload.subspan(8), std::span(v4).first(548)));
  out.resize(kMaximumIcmpErrorBytes);
  const Bytes v6 = packet_with("2001:db8::1", "2001:db8::2", 17, Bytes(1400));
  answer = reply(write_port_unreachable(parsed(v6), limit, now, out));
  UNSIGNED_LONGS_EQUAL(1280, answer.whole.size());
  LONGS_EQUAL(1, std::to_integer<int>(answer.payload[0]));
  LONGS_EQUAL(4, std::to_integer<int>(answer.payload[1]));
}

TEST(Icmp, AnUnknownProtocolIsPointedAt) {
  const Bytes wire = packet_with("2001:db8::1", "2001:db8::2", 60, hex("8400 0104 0000 0000"));
  const Packet answer = reply(write_protocol_unreachable(parsed(wire), limit, now, out));
  CHECK(std::ranges::equal(answer.payload.first(2), hex("0401")));
  CHECK(std::ranges::equal(answer.payload.subspan(4, 4), hex("00000028")));
}

TEST(Icmp, NothingIsSaidAboutErrorsAndGroups) {
  for (const Bytes& wire :
       {packet_with("192.0.2.1", "224.0.0.1", 17, Bytes(8)),
        packet_with("192.0.2.1", "255.255.255.255", 17, Bytes(8)),
        packet_with("192.0.2.1", "192.0.2.10", 1, hex("0303 0000 0000 0000")),
        packet_with("192.0.2.1", "192.0.2.10", 1, hex("0500 0000 0000 0000")),
        packet_with("192.0.2.1", "192.0.2.10", 1, {}),
        packet_with("2001:db8::1", "ff02::1", 17, Bytes(8)),
        packet_with("2001:db8::1", "2001:db8::2", 58, hex("0100 0000 0000 0000")),
        packet_with("2001:db8::1", "2001:db8::2", 58, hex("8900 0000 0000 0000"))}) {
    CHECK(write_port_unreachable(parsed(wire), limit, now, out) == 0);
    CHECK(write_protocol_unreachable(parsed(wire), limit, now, out) == 0);
  }
}

TEST(Icmp, AnOptionMayAskForAnAnswerToAMulticastPacket) {
  const Address ours = address("2001:db8::2");
  Bytes wire = packet_with("2001:db8::1", "ff02::1", 60, hex("0600 9e04 0000 0000"));
  const Packet answer =
      reply(write_parameter_problem(parse_ipv6(wire).error(), ours, limit, now, out));
  CHECK(answer.source == ours);
  CHECK(std::ranges::equal(answer.payload.subspan(4, 4), hex("0000002a")));
  wire = packet_with("2001:db8::1", "ff02::1", 60, hex("0600 de04 0000 0000"));
  out.resize(kMaximumIcmpErrorBytes);
  CHECK(0 == write_parameter_problem(parse_ipv6(wire).error(), ours, limit, now, out));
}
