// Whatever segment and wherever a packet was cut from it: its headers parse, say what the segment
// says, and their checksums are those of the whole packet. The Transmitter's tests have DPDK verify
// the same from the outside.
#include "dataplane/net/dpdk/header_template.h"

#include <algorithm>
#include <span>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/sim/sim_random.h"

namespace nearfield::net::dpdk {
namespace {

using Sums = HeaderTemplate::Sums;

tcp::Flow flow_of(bool v4) {
  return {*Endpoint::parse(v4 ? "192.0.2.10:443" : "[2001:db8::10]:443"),
          *Endpoint::parse(v4 ? "198.51.100.77:50123" : "[2001:db8:1::77]:50123")};
}

ip::FrameHeader link_of(bool tagged) {
  ip::FrameHeader link;
  link.destination = {{2, 0, 0, 0, 0, 2}};
  link.source = {{2, 0, 0, 0, 0, 1}};
  if (tagged) link.vlan_id = 42;
  return link;
}

tcp::OutgoingSegment segment_of(const tcp::Flow& flow, sim::Random& random) {
  tcp::OutgoingSegment segment;
  segment.flow = &flow;
  segment.header.source_port = flow.local.port;
  segment.header.destination_port = flow.peer.port;
  segment.header.sequence = {static_cast<std::uint32_t>(random.next())};
  segment.header.acknowledgment = {static_cast<std::uint32_t>(random.next())};
  segment.header.window = static_cast<std::uint16_t>(random.next());
  segment.header.flags = {.fin = true, .psh = true, .ack = true, .cwr = true};
  if (random.between(0, 1) == 0)
    segment.header.options.timestamps = {.value = static_cast<std::uint32_t>(random.next()),
                                         .echo = static_cast<std::uint32_t>(random.next())};
  if (random.between(0, 2) == 0) segment.header.options.sack.add({{1}, {0xfffffff0}});
  segment.piece_bytes = static_cast<std::uint16_t>(random.between(1, 1460));
  segment.payload_bytes = static_cast<std::uint32_t>(random.between(0, 8 * segment.piece_bytes));
  segment.ecn_capable = random.between(0, 1) == 0;
  segment.may_fragment = random.between(0, 1) == 0;
  return segment;
}

// Headers and payload of the packet at `offset`.
std::vector<std::byte> packet_of(const HeaderTemplate& headers, std::uint32_t offset,
                                 std::uint32_t bytes, Sums sums) {
  std::vector<std::byte> packet(HeaderTemplate::kCopyBytes);
  headers.copy_to(packet.data());
  packet.resize(headers.bytes());
  for (std::uint32_t i = 0; i < bytes; ++i)
    packet.push_back(static_cast<std::byte>((offset + i) * 7 + 1));
  ip::Checksum sum;
  sum.add(std::span(packet).subspan(headers.bytes()));
  headers.finish(packet.data(), offset, bytes, sums, sum);
  return packet;
}

// What of the sum over pseudo header and TCP is left: 0 when the checksum is right.
std::uint16_t remainder(const ip::Packet& packet) {
  ip::Checksum sum = ip::pseudo_header(packet.source, packet.destination, ip::kProtocolTcp,
                                       static_cast<std::uint32_t>(packet.payload.size()));
  sum.add(packet.payload);
  return sum.finish();
}

ip::Packet parsed(std::span<const std::byte> frame_bytes, bool ip_sum_is_the_nics) {
  const auto frame = ip::parse_ethernet(frame_bytes);
  CHECK(frame.has_value());
  const auto packet = frame->header.ether_type == ip::kEtherTypeIpv4
                          ? ip::parse_ipv4(frame->payload, ip_sum_is_the_nics)
                          : ip::parse_ipv6(frame->payload);
  CHECK(packet.has_value());
  return *packet;
}

}  // namespace

TEST_GROUP(HeaderTemplate){};

TEST(HeaderTemplate, makes_every_packet_of_a_segment) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    sim::Random random(seed);
    const tcp::Flow flow = flow_of(seed % 2 == 0);
    const tcp::OutgoingSegment segment = segment_of(flow, random);
    const HeaderTemplate headers(segment, link_of(seed % 3 == 0), 61, 0xfffe, true);
    std::uint32_t offset = 0;
    std::uint16_t number = 0xfffe;
    do {
      const std::uint32_t bytes =
          std::min<std::uint32_t>(segment.piece_bytes, segment.payload_bytes - offset);
      const auto bytes_of_it = packet_of(headers, offset, bytes, Sums::kHere);
      const ip::Packet packet = parsed(bytes_of_it, false);
      CHECK(packet.source == flow.local.address && packet.destination == flow.peer.address);
      LONGS_EQUAL(61, packet.hop_limit);
      LONGS_EQUAL(segment.ecn_capable ? ip::kEct0 : 0, packet.ecn);
      LONGS_EQUAL(0, remainder(packet));
      if (packet.is_v4) {
        CHECK(packet.dont_fragment == !segment.may_fragment);
        LONGS_EQUAL(number, std::to_integer<int>(packet.whole[4]) << 8 |
                                std::to_integer<int>(packet.whole[5]));
      }
      const auto tcp = tcp::parse_segment(packet.payload);
      CHECK(tcp.has_value());
      const bool is_last = offset + bytes == segment.payload_bytes;
      CHECK(tcp->header.sequence == segment.header.sequence + offset);
      CHECK(tcp->header.acknowledgment == segment.header.acknowledgment);
      LONGS_EQUAL(segment.header.window, tcp->header.window);
      CHECK(tcp->header.flags.fin == is_last && tcp->header.flags.psh == is_last);
      CHECK(tcp->header.flags.cwr == (offset == 0) && tcp->header.flags.ack);
      LONGS_EQUAL(bytes, tcp->payload.size());
      offset += bytes;
      ++number;
    } while (offset < segment.payload_bytes);
  }
}

// What a NIC expects to find: the sum of the pseudo header, with the length unless it cuts.
TEST(HeaderTemplate, leaves_the_rest_of_the_sum_to_the_nic) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    sim::Random random(seed);
    const tcp::Flow flow = flow_of(seed % 2 == 0);
    tcp::OutgoingSegment segment = segment_of(flow, random);
    segment.payload_bytes = 2u * segment.piece_bytes;
    const HeaderTemplate headers(segment, link_of(false), 64, 0, false);
    for (const Sums sums : {Sums::kNic, Sums::kNicPieces}) {
      const std::uint32_t bytes = sums == Sums::kNic ? segment.piece_bytes : segment.payload_bytes;
      const auto bytes_of_it = packet_of(headers, 0, bytes, sums);
      const ip::Packet packet = parsed(bytes_of_it, sums == Sums::kNicPieces);
      const auto length = static_cast<std::uint32_t>(packet.payload.size());
      const ip::Checksum pseudo = ip::pseudo_header(
          flow.local.address, flow.peer.address, ip::kProtocolTcp, sums == Sums::kNic ? length : 0);
      LONGS_EQUAL(ip::partial(pseudo), std::to_integer<int>(packet.payload[16]) << 8 |
                                           std::to_integer<int>(packet.payload[17]));
      if (packet.is_v4 && sums == Sums::kNicPieces) {
        LONGS_EQUAL(0, std::to_integer<int>(packet.whole[10] | packet.whole[11]));
      }
    }
  }
}

}  // namespace nearfield::net::dpdk
