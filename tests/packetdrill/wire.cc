// See wire.h. IP headers are RFC 791 and RFC 8200 without options; checksums RFC 1071.
#include "tests/packetdrill/wire.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace nearfield::packetdrill {
namespace {

constexpr std::size_t kV4HeaderBytes = 20;
constexpr std::size_t kV6HeaderBytes = 40;
constexpr std::uint8_t kIcmp = 1;
constexpr std::uint8_t kTcp = 6;
constexpr std::uint8_t kUdp = 17;
constexpr std::uint8_t kIcmpV6 = 58;

std::uint32_t number(std::span<const std::byte> bytes, std::size_t at, std::size_t length) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < length; ++i) {
    value = value << 8 | std::to_integer<std::uint32_t>(bytes[at + i]);
  }
  return value;
}

void put(std::span<std::byte> bytes, std::size_t at, std::size_t length, std::uint32_t value) {
  for (std::size_t i = length; i-- > 0; value >>= 8) {
    bytes[at + i] = static_cast<std::byte>(value & 0xff);
  }
}

std::uint64_t sum(std::span<const std::byte> bytes, std::uint64_t start = 0) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    start += std::to_integer<std::uint64_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
  }
  return start;
}

std::uint16_t checksum(std::uint64_t total) {
  while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
  return static_cast<std::uint16_t>(~total);
}

net::Address address_at(std::span<const std::byte> bytes, std::size_t at, bool v4) {
  net::Address address;
  if (v4) address.bytes[10] = address.bytes[11] = 0xff;
  const std::size_t length = v4 ? 4 : 16;
  std::memcpy(address.bytes.data() + 16 - length, bytes.data() + at, length);
  return address;
}

struct Layer {
  bool v4 = false;
  std::uint8_t protocol = 0;
  std::uint8_t traffic_class = 0;
  net::Address source;
  net::Address destination;
  std::span<const std::byte> payload;
};

// `whole`: the length must match; a quoted packet may be cut short.
std::optional<Layer> read_ip(std::span<const std::byte> packet, bool whole) {
  if (packet.empty()) return std::nullopt;
  Layer layer;
  const auto version = std::to_integer<unsigned>(packet[0] >> 4);
  layer.v4 = version == 4;
  std::size_t header = kV6HeaderBytes;
  std::size_t total = 0;
  if (layer.v4) {
    header = std::to_integer<std::size_t>(packet[0] & std::byte{15}) * 4;
    if (header < kV4HeaderBytes || packet.size() < header) return std::nullopt;
    total = number(packet, 2, 2);
    layer.traffic_class = static_cast<std::uint8_t>(packet[1]);
    layer.protocol = static_cast<std::uint8_t>(packet[9]);
    layer.source = address_at(packet, 12, true);
    layer.destination = address_at(packet, 16, true);
  } else {
    if (version != 6 || packet.size() < header) return std::nullopt;
    total = header + number(packet, 4, 2);
    layer.traffic_class = static_cast<std::uint8_t>(number(packet, 0, 2) >> 4);
    layer.protocol = static_cast<std::uint8_t>(packet[6]);
    layer.source = address_at(packet, 8, false);
    layer.destination = address_at(packet, 24, false);
  }
  if (total < header || (whole && total > packet.size())) return std::nullopt;
  layer.payload = packet.first(std::min(total, packet.size())).subspan(header);
  return layer;
}

}  // namespace

std::optional<IncomingSegment> read_segment(std::span<const std::byte> packet) {
  const auto layer = read_ip(packet, true);
  if (!layer || layer->protocol != kTcp) return std::nullopt;
  return IncomingSegment{.source = layer->source,
                         .destination = layer->destination,
                         .ecn = static_cast<std::uint8_t>(layer->traffic_class & 3),
                         .bytes = layer->payload};
}

std::optional<IncomingError> read_error(std::span<const std::byte> packet) {
  const auto layer = read_ip(packet, true);
  if (!layer || layer->payload.size() < 8) return std::nullopt;
  const auto type = std::to_integer<unsigned>(layer->payload[0]);
  const auto code = std::to_integer<unsigned>(layer->payload[1]);
  IncomingError error;
  if (layer->protocol == kIcmp && layer->v4) {
    // Destination unreachable, time exceeded, parameter problem.
    if (type != 3 && type != 11 && type != 12) return std::nullopt;
    error.too_big = type == 3 && code == 4;
    if (error.too_big) error.mtu = number(layer->payload, 6, 2);  // RFC 1191 4
  } else if (layer->protocol == kIcmpV6 && !layer->v4) {
    if (type < 1 || type > 4) return std::nullopt;
    error.too_big = type == 2;
    if (error.too_big) error.mtu = number(layer->payload, 4, 4);  // RFC 4443 3.2
  } else {
    return std::nullopt;
  }
  const auto quoted = read_ip(layer->payload.subspan(8), false);
  if (!quoted || quoted->protocol != kTcp || quoted->payload.size() < 8) return std::nullopt;
  error.local = {quoted->source, static_cast<std::uint16_t>(number(quoted->payload, 0, 2))};
  error.peer = {quoted->destination, static_cast<std::uint16_t>(number(quoted->payload, 2, 2))};
  error.sequence = number(quoted->payload, 4, 4);
  return error;
}

bool is_datagram(std::span<const std::byte> packet) {
  const auto layer = read_ip(packet, true);
  return layer && layer->protocol == kUdp && layer->payload.size() >= 8;
}

void Wire::send_back(std::span<const std::byte> packet) {
  const bool v4 = std::to_integer<unsigned>(packet[0] >> 4) == 4;
  const std::size_t header =
      v4 ? std::to_integer<std::size_t>(packet[0] & std::byte{15}) * 4 : kV6HeaderBytes;
  const auto address_bytes = v4 ? 4 : 16;
  SentPacket sent{.at = clock_.now(), .bytes = {packet.begin(), packet.end()}};
  // Swapped pairs: both checksums stay right.
  const auto source = sent.bytes.begin() + (v4 ? 12 : 8);
  std::swap_ranges(source, source + address_bytes, source + address_bytes);
  const auto port = sent.bytes.begin() + static_cast<std::ptrdiff_t>(header);
  std::swap_ranges(port, port + 2, port + 2);
  packets_.push_back(std::move(sent));
}

std::optional<net::tcp::Ticket> Wire::transmit(const net::tcp::OutgoingSegment& segment) {
  const std::uint32_t piece = segment.payload_bytes == 0 ? 1 : segment.piece_bytes;
  const std::size_t pieces = std::max(1u, (segment.payload_bytes + piece - 1) / piece);
  if (packets_.size() + pieces > kMaximumPackets) return std::nullopt;
  std::uint32_t offset = 0;
  do {
    const std::uint32_t length = std::min(piece, segment.payload_bytes - offset);
    send_piece(segment, offset, length);
    offset += length;
  } while (offset < segment.payload_bytes);
  return ++last_ticket_;
}

void Wire::send_piece(const net::tcp::OutgoingSegment& segment, std::uint32_t offset,
                      std::uint32_t length) {
  net::tcp::Header header = segment.header;
  const bool last = offset + length == segment.payload_bytes;
  header.sequence = header.sequence + offset;
  header.flags.psh = header.flags.psh && last;
  header.flags.fin = header.flags.fin && last;
  header.flags.cwr = header.flags.cwr && offset == 0;

  const bool v4 = segment.flow->local.address.is_v4();
  const std::size_t ip_bytes = v4 ? kV4HeaderBytes : kV6HeaderBytes;
  const std::size_t tcp_bytes = net::tcp::header_bytes(header.options);
  SentPacket sent{.at = clock_.now(), .bytes = {}};
  sent.bytes.resize(ip_bytes + tcp_bytes + length);
  const std::span<std::byte> packet(sent.bytes);
  const std::span<std::byte> transport = packet.subspan(ip_bytes);
  net::tcp::write_header(header, transport);
  std::size_t written = tcp_bytes;
  std::array<iovec, 16> vectors;
  while (written < tcp_bytes + length) {
    std::uint64_t covered = 0;
    const std::uint64_t from = segment.plan_offset + offset + (written - tcp_bytes);
    const std::size_t used =
        segment.plan->peek(from, tcp_bytes + length - written, vectors, &covered);
    for (const iovec& vector : std::span(vectors).first(used)) {
      std::memcpy(transport.data() + written, vector.iov_base, vector.iov_len);
      written += vector.iov_len;
    }
  }

  const std::size_t address_bytes = v4 ? 4 : 16;
  const std::size_t source_at = v4 ? 12 : 8;
  const auto& local = segment.flow->local.address.bytes;
  const auto& peer = segment.flow->peer.address.bytes;
  std::memcpy(packet.data() + source_at, local.data() + 16 - address_bytes, address_bytes);
  std::memcpy(packet.data() + source_at + address_bytes, peer.data() + 16 - address_bytes,
              address_bytes);
  const std::uint8_t ecn = segment.ecn_capable ? 2 : 0;
  if (v4) {
    packet[0] = std::byte{0x45};
    packet[1] = std::byte{ecn};
    put(packet, 2, 2, static_cast<std::uint32_t>(packet.size()));
    put(packet, 6, 2, segment.may_fragment ? 0 : 0x4000);
    packet[8] = std::byte{64};
    packet[9] = std::byte{kTcp};
    put(packet, 10, 2, checksum(sum(packet.first(kV4HeaderBytes))));
  } else {
    put(packet, 0, 4, 0x60000000u | std::uint32_t{ecn} << 20);
    put(packet, 4, 2, static_cast<std::uint32_t>(transport.size()));
    packet[6] = std::byte{kTcp};
    packet[7] = std::byte{64};
  }
  const std::uint64_t pseudo =
      sum(packet.subspan(source_at, 2 * address_bytes)) + kTcp + transport.size();
  put(transport, 16, 2, checksum(sum(transport, pseudo)));
  packets_.push_back(std::move(sent));
}

SentPacket Wire::take() {
  SentPacket packet = std::move(packets_.front());
  packets_.pop_front();
  return packet;
}

}  // namespace nearfield::packetdrill
