// Frames from the link: Ethernet, IPv4, IPv6 and its extensions, ICMP, ARP and neighbour discovery,
// through all parsers and one neighbour table, with steps of time between. The input is a row of
// frames: one byte for the step and for what is mended, two for the length, the frame. What must
// hold: everything parsed lies within the frame, the table stays bounded, what we send ourselves
// can be parsed, a deadline that was advanced to lies behind.
#include <algorithm>
#include <array>
#include <vector>

#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/checksum.h"
#include "dataplane/net/ip/icmp.h"
#include "dataplane/net/ip/neighbour_message.h"
#include "dataplane/net/ip/neighbour_table.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::ip;

namespace {

constexpr std::uint32_t kCapacity = 16;

bool is_within(std::span<const std::byte> inner, std::span<const std::byte> outer) {
  return inner.empty() || (inner.data() >= outer.data() &&
                           inner.data() + inner.size() <= outer.data() + outer.size());
}

class CheckingSink final : public FrameSink {
 public:
  bool send_frame(std::span<const std::byte> bytes) override {
    const auto frame = parse_ethernet(bytes);
    FUZZ_CHECK(frame.has_value());
    if (frame->header.ether_type == kEtherTypeArp) {
      FUZZ_CHECK(parse_arp(*frame).has_value());
    } else {
      const ParsedPacket packet = parse_ipv6(frame->payload);
      FUZZ_CHECK(packet && parse_neighbour_message(*packet));
    }
    return ++frames % 7 != 0;
  }
  std::uint64_t frames = 0;
};

void check_answer(std::span<const std::byte> out, std::size_t length) {
  if (length == 0) return;
  const bool is_v4 = read_8(out.data()) >> 4 == 4;
  const ParsedPacket answer = is_v4 ? parse_ipv4(out.first(length)) : parse_ipv6(out.first(length));
  FUZZ_CHECK(answer && icmp_checksum_is_good(*answer));
}

// Checksums right, or no input would get far.
void mend(std::span<std::byte> packet, std::uint16_t ether_type) {
  if (ether_type != kEtherTypeIpv6 || packet.size() < kIpv6HeaderBytes + 4) return;
  const std::size_t length = read_16(packet.data() + 4);
  if (read_8(packet.data() + 6) != kProtocolIcmpv6 || length < 4 ||
      length > packet.size() - kIpv6HeaderBytes) {
    return;
  }
  const std::span<std::byte> message = packet.subspan(kIpv6HeaderBytes, length);
  Address source;
  Address destination;
  std::copy_n(packet.data() + 8, 16, std::as_writable_bytes(std::span(source.bytes)).data());
  std::copy_n(packet.data() + 24, 16, std::as_writable_bytes(std::span(destination.bytes)).data());
  if (source.is_v4() || destination.is_v4()) return;
  write_16(message.data() + 2, 0);
  Checksum sum =
      pseudo_header(source, destination, kProtocolIcmpv6, static_cast<std::uint32_t>(length));
  sum.add(message);
  write_16(message.data() + 2, sum.finish());
}

void receive(const Packet& packet, NeighbourTable& table, RateLimit& limit, MonotonicTime now,
             FrameSink& sink) {
  std::array<std::byte, kIpv6HeaderBytes + kMaximumEchoBytes> out;
  parse_icmp_error(packet);
  icmp_checksum_is_good(packet);
  table.receive_neighbour_discovery(packet, now, sink);
  check_answer(out, write_echo_reply(packet, limit, now, out));
  check_answer(out, write_port_unreachable(packet, limit, now, out));
  check_answer(out, write_protocol_unreachable(packet, limit, now, out));
  table.resolve(packet.source, now);
  if (packet.hop_limit == 1) table.confirm(packet.source, now);
}

const Routes& routes() {
  static const Routes result = [] {
    const LocalAddress local[] = {{*Address::parse("192.0.2.10"), 24},
                                  {*Address::parse("2001:db8::10"), 64},
                                  {*Address::parse("fe80::10"), 64}};
    return *Routes::create(local, {});
  }();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  NeighbourTable table(
      {.mac = {{2, 0, 0, 0, 0, 0x10}}, .vlan_id = {}, .capacity = kCapacity, .key = {1, 2}},
      routes());
  RateLimit limit(1000, 10);
  CheckingSink sink;
  MonotonicTime now{std::chrono::seconds(1000)};
  std::vector<std::byte> frame_bytes;
  for (int frames = 0; size >= 3 && frames < 64; ++frames) {
    const unsigned step = data[0];
    const std::size_t length = std::min<std::size_t>(data[1] << 8 | data[2], size - 3);
    const auto input = std::as_bytes(std::span(data + 3, length));
    frame_bytes.assign(input.begin(), input.end());
    data += 3 + length;
    size -= 3 + length;
    now += std::chrono::milliseconds((step & 0x7f) * (step & 0x7f));
    table.advance(now, sink);
    FUZZ_CHECK(table.next_deadline() > now);

    const auto frame = parse_ethernet(frame_bytes);
    if (!frame) continue;
    FUZZ_CHECK(is_within(frame->payload, frame_bytes));
    const auto payload = std::span(frame_bytes).last(frame->payload.size());
    if ((step & 0x80) == 0) mend(payload, frame->header.ether_type);
    if (frame->header.ether_type == kEtherTypeArp) table.receive_arp(*frame, now, sink);
    for (const bool is_v4 : {true, false}) {
      const ParsedPacket packet =
          is_v4 ? parse_ipv4(payload, (step & 0x80) == 0) : parse_ipv6(payload);
      if (packet) {
        FUZZ_CHECK(is_within(packet->whole, payload) && is_within(packet->payload, packet->whole));
        FUZZ_CHECK(packet->is_v4 == is_v4 && packet->source.is_v4() == is_v4);
        FUZZ_CHECK(packet->destination.is_v4() == is_v4);
        FUZZ_CHECK(read_8(packet->whole.data() + packet->protocol_offset) == packet->protocol);
        receive(*packet, table, limit, now, sink);
      } else if (packet.error().problem) {
        FUZZ_CHECK(packet.error().problem->pointer < packet.error().packet.whole.size());
        std::array<std::byte, kMaximumIcmpErrorBytes> out;
        check_answer(out,
                     write_parameter_problem(packet.error(), routes().local_addresses()[1].address,
                                             limit, now, out));
      }
    }
    FUZZ_CHECK(table.size() <= kCapacity);
  }
  return 0;
}
