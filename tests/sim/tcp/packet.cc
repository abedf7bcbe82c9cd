// Headers byte by byte; see packet.h.
#include "tests/sim/tcp/packet.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace nearfield::sim::tcp {
namespace {

constexpr std::uint8_t kTcpProtocol = 6;
constexpr std::size_t kTcpHeaderBytes = 20;

void put8(Bytes& to, std::uint64_t value) { to.push_back(static_cast<std::byte>(value & 0xff)); }
void put16(Bytes& to, std::uint64_t value) {
  put8(to, value >> 8);
  put8(to, value);
}
void put32(Bytes& to, std::uint64_t value) {
  put16(to, value >> 16);
  put16(to, value);
}
void put_address(Bytes& to, const Address& address) {
  for (std::size_t index = 0; index < (address.is_v6 ? 16u : 4u); ++index)
    put8(to, address.octets[index]);
}
void set16(std::span<std::byte> at, std::uint64_t value) {
  at[0] = static_cast<std::byte>(value >> 8 & 0xff);
  at[1] = static_cast<std::byte>(value & 0xff);
}
std::uint8_t get8(std::span<const std::byte> from, std::size_t at) {
  return std::to_integer<std::uint8_t>(from[at]);
}
std::uint16_t get16(std::span<const std::byte> from, std::size_t at) {
  return static_cast<std::uint16_t>(get8(from, at) << 8 | get8(from, at + 1));
}
std::uint32_t get32(std::span<const std::byte> from, std::size_t at) {
  return static_cast<std::uint32_t>(get16(from, at)) << 16 | get16(from, at + 2);
}
Address get_address(std::span<const std::byte> from, std::size_t at, bool is_v6) {
  Address address;
  address.is_v6 = is_v6;
  for (std::size_t index = 0; index < (is_v6 ? 16u : 4u); ++index)
    address.octets[index] = get8(from, at + index);
  return address;
}

// The sum of 16-bit words as they lie in memory; the ones' complement sum does not care for the
// byte order until the end (RFC 1071 section 2).
std::uint64_t raw_sum(std::span<const std::byte> bytes) {
  std::uint64_t sum = 0;
  std::size_t index = 0;
  for (; index + 4 <= bytes.size(); index += 4) {
    std::uint32_t word;
    std::memcpy(&word, bytes.data() + index, 4);
    sum += word;
  }
  if (index < bytes.size()) {
    std::array<std::byte, 4> rest{};
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(index), bytes.end(), rest.begin());
    sum += std::bit_cast<std::uint32_t>(rest);
  }
  return sum;
}

std::uint16_t tcp_checksum(const Address& source, const Address& destination,
                           std::span<const std::byte> segment) {
  Bytes pseudo;
  pseudo.reserve(40);
  put_address(pseudo, source);
  put_address(pseudo, destination);
  put32(pseudo, segment.size());  // IPv4 has 16 bits here: the same sum
  put32(pseudo, kTcpProtocol);
  return internet_checksum(segment, raw_sum(pseudo));
}

std::size_t put_options(Bytes& to, const Segment& segment) {
  const std::size_t begin = to.size();
  if (segment.maximum_segment_bytes) {
    put16(to, 0x0204);
    put16(to, *segment.maximum_segment_bytes);
  }
  if (segment.window_scale) {
    put8(to, 1);
    put16(to, 0x0303);
    put8(to, *segment.window_scale);
  }
  if (segment.sack_permitted) put32(to, 0x01010402);
  if (segment.timestamps) {
    put32(to, 0x0101080a);
    put32(to, segment.timestamps->value);
    put32(to, segment.timestamps->echo);
  }
  const std::size_t room = (40 - (to.size() - begin) - 4) / 8;
  const std::size_t blocks = std::min(segment.sack_block_count, room);
  if (blocks > 0) {
    put16(to, 0x0101);
    put8(to, 5);
    put8(to, 2 + 8 * blocks);
    for (std::size_t index = 0; index < blocks; ++index) {
      put32(to, segment.sack_blocks[index].begin);
      put32(to, segment.sack_blocks[index].end);
    }
  }
  return to.size() - begin;
}

bool get_options(std::span<const std::byte> options, Segment& segment) {
  std::size_t at = 0;
  while (at < options.size()) {
    const std::uint8_t kind = get8(options, at);
    if (kind == 0) return true;
    if (kind == 1) {
      ++at;
      continue;
    }
    if (at + 2 > options.size()) return false;
    const std::size_t length = get8(options, at + 1);
    if (length < 2 || at + length > options.size()) return false;
    if (kind == 2) {
      if (length != 4) return false;
      segment.maximum_segment_bytes = get16(options, at + 2);
    } else if (kind == 3) {
      if (length != 3) return false;
      segment.window_scale = get8(options, at + 2);
    } else if (kind == 4) {
      if (length != 2) return false;
      segment.sack_permitted = true;
    } else if (kind == 5) {
      if (length < 10 || (length - 2) % 8 != 0) return false;
      segment.sack_block_count = (length - 2) / 8;
      for (std::size_t index = 0; index < segment.sack_block_count; ++index)
        segment.sack_blocks[index] = {get32(options, at + 2 + 8 * index),
                                      get32(options, at + 6 + 8 * index)};
    } else if (kind == 8) {
      if (length != 10) return false;
      segment.timestamps = Timestamps{get32(options, at + 2), get32(options, at + 6)};
    }
    at += length;
  }
  return true;
}

}  // namespace

Address make_v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  return {false, {a, b, c, d}};
}

Address make_v6(std::uint16_t last_group) {
  Address address{true, {0x20, 0x01, 0x0d, 0xb8}};
  address.octets[14] = static_cast<std::uint8_t>(last_group >> 8);
  address.octets[15] = static_cast<std::uint8_t>(last_group);
  return address;
}

std::uint16_t internet_checksum(std::span<const std::byte> bytes, std::uint64_t partial) {
  std::uint64_t sum = partial + raw_sum(bytes);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  const auto folded = static_cast<std::uint16_t>(~sum);
  return std::endian::native == std::endian::little ? std::byteswap(folded) : folded;
}

Bytes build(const Segment& segment) {
  const bool is_v6 = segment.source.address.is_v6;
  Bytes packet;
  packet.reserve(100 + segment.payload.size());
  const auto ecn = static_cast<std::uint8_t>(segment.ecn);
  if (is_v6) {
    put32(packet, 0x60000000u | static_cast<std::uint32_t>(ecn) << 20);
    put16(packet, 0);
    put8(packet, kTcpProtocol);
    put8(packet, 64);
  } else {
    put8(packet, 0x45);
    put8(packet, ecn);
    put16(packet, 0);
    put16(packet, 0);
    put16(packet, segment.may_be_fragmented ? 0 : 0x4000);
    put8(packet, 64);
    put8(packet, kTcpProtocol);
    put16(packet, 0);
  }
  put_address(packet, segment.source.address);
  put_address(packet, segment.destination.address);
  const std::size_t ip_bytes = packet.size();
  put16(packet, segment.source.port);
  put16(packet, segment.destination.port);
  put32(packet, segment.sequence);
  put32(packet, segment.acknowledgment);
  put8(packet, 0);
  put8(packet, segment.flags);
  put16(packet, segment.window);
  put16(packet, 0);
  put16(packet, segment.urgent_pointer);
  const std::size_t option_bytes = put_options(packet, segment);
  packet[ip_bytes + 12] = static_cast<std::byte>((kTcpHeaderBytes + option_bytes) / 4 << 4);
  packet.insert(packet.end(), segment.payload.begin(), segment.payload.end());

  const std::span all(packet);
  if (is_v6) {
    set16(all.subspan(4), packet.size() - ip_bytes);
  } else {
    set16(all.subspan(2), packet.size());
    set16(all.subspan(10), internet_checksum(all.first(ip_bytes)));
  }
  set16(all.subspan(ip_bytes + 16),
        tcp_checksum(segment.source.address, segment.destination.address, all.subspan(ip_bytes)));
  return packet;
}

const char* name_of(Flaw flaw) {
  switch (flaw) {
    case Flaw::not_ip:
      return "not an IP packet";
    case Flaw::wrong_length:
      return "a length field is wrong";
    case Flaw::header_checksum:
      return "wrong IPv4 header checksum";
    case Flaw::not_tcp:
      return "not TCP";
    case Flaw::fragment:
      return "a fragment";
    case Flaw::tcp_checksum:
      return "wrong TCP checksum";
    case Flaw::malformed_option:
      return "a malformed TCP option";
  }
  return "?";
}

std::expected<Segment, Flaw> read(std::span<const std::byte> packet) {
  if (packet.size() < 20) return std::unexpected(Flaw::wrong_length);
  Segment segment;
  segment.packet_bytes = packet.size();
  std::size_t ip_bytes = 0;
  const int version = get8(packet, 0) >> 4;
  if (version == 4) {
    ip_bytes = static_cast<std::size_t>(get8(packet, 0) & 0xf) * 4;
    if (ip_bytes < 20 || ip_bytes > packet.size() || get16(packet, 2) != packet.size())
      return std::unexpected(Flaw::wrong_length);
    if (internet_checksum(packet.first(ip_bytes)) != 0)
      return std::unexpected(Flaw::header_checksum);
    if ((get16(packet, 6) & 0x3fff) != 0) return std::unexpected(Flaw::fragment);
    if (get8(packet, 9) != kTcpProtocol) return std::unexpected(Flaw::not_tcp);
    segment.ecn = static_cast<Ecn>(get8(packet, 1) & 3);
    segment.may_be_fragmented = (get16(packet, 6) & 0x4000) == 0;
    segment.source.address = get_address(packet, 12, false);
    segment.destination.address = get_address(packet, 16, false);
  } else if (version == 6) {
    ip_bytes = 40;
    if (packet.size() < ip_bytes || get16(packet, 4) + ip_bytes != packet.size())
      return std::unexpected(Flaw::wrong_length);
    if (get8(packet, 6) != kTcpProtocol) return std::unexpected(Flaw::not_tcp);
    segment.ecn = static_cast<Ecn>(get8(packet, 1) >> 4 & 3);
    segment.source.address = get_address(packet, 8, true);
    segment.destination.address = get_address(packet, 24, true);
  } else {
    return std::unexpected(Flaw::not_ip);
  }
  const auto tcp = packet.subspan(ip_bytes);
  if (tcp.size() < kTcpHeaderBytes) return std::unexpected(Flaw::wrong_length);
  const std::size_t header_bytes = static_cast<std::size_t>(get8(tcp, 12) >> 4) * 4;
  if (header_bytes < kTcpHeaderBytes || header_bytes > tcp.size())
    return std::unexpected(Flaw::wrong_length);
  if (tcp_checksum(segment.source.address, segment.destination.address, tcp) != 0)
    return std::unexpected(Flaw::tcp_checksum);
  segment.source.port = get16(tcp, 0);
  segment.destination.port = get16(tcp, 2);
  segment.sequence = get32(tcp, 4);
  segment.acknowledgment = get32(tcp, 8);
  segment.flags = get8(tcp, 13);
  segment.window = get16(tcp, 14);
  segment.urgent_pointer = get16(tcp, 18);
  segment.option_bytes = header_bytes - kTcpHeaderBytes;
  if (!get_options(tcp.subspan(kTcpHeaderBytes, segment.option_bytes), segment))
    return std::unexpected(Flaw::malformed_option);
  segment.payload = tcp.subspan(header_bytes);
  return segment;
}

namespace {

void set_congestion(std::span<std::byte> packet, bool is_v6, unsigned bits) {
  const unsigned shift = is_v6 ? 4 : 0;
  packet[1] =
      (packet[1] & ~static_cast<std::byte>(3u << shift)) | static_cast<std::byte>(bits << shift);
  if (is_v6) return;
  const std::size_t ip_bytes = std::min<std::size_t>((get8(packet, 0) & 0xf) * 4u, packet.size());
  set16(packet.subspan(10), 0);
  set16(packet.subspan(10), internet_checksum(packet.first(ip_bytes)));
}

}  // namespace

bool mark_congestion(std::span<std::byte> packet) {
  if (packet.size() < 20) return false;
  const bool is_v6 = get8(packet, 0) >> 4 == 6;
  if ((get8(packet, 1) >> (is_v6 ? 4 : 0) & 3) == 0) return false;
  set_congestion(packet, is_v6, 3);
  return true;
}

void bleach_congestion(std::span<std::byte> packet) {
  if (packet.size() >= 20) set_congestion(packet, get8(packet, 0) >> 4 == 6, 0);
}

bool forbids_fragments(std::span<const std::byte> packet) {
  return packet.size() < 20 || get8(packet, 0) >> 4 != 4 || (get16(packet, 6) & 0x4000) != 0;
}

Bytes build_packet_too_big(std::span<const std::byte> packet, const Address& router,
                           std::size_t mtu) {
  const bool is_v6 = router.is_v6;
  const Address sender = get_address(packet, is_v6 ? 8 : 12, is_v6);
  // RFC 1812 4.3.2.3: as much as fits 576 bytes; RFC 4443 2.4(c): as fits 1280.
  const std::size_t most = is_v6 ? 1280 - 48 : 576 - 28;
  const auto quoted = packet.first(std::min(packet.size(), most));
  Bytes message;
  if (is_v6) {
    put16(message, 2 << 8);
    put16(message, 0);
    put32(message, mtu);
  } else {
    put16(message, 3 << 8 | 4);
    put32(message, 0);
    put16(message, mtu);
  }
  message.insert(message.end(), quoted.begin(), quoted.end());

  Bytes answer;
  if (is_v6) {
    put32(answer, 0x60000000);
    put16(answer, message.size());
    put16(answer, 58 << 8 | 64);
    put_address(answer, router);
    put_address(answer, sender);
    Bytes pseudo(answer.begin() + 8, answer.end());
    put32(pseudo, message.size());
    put32(pseudo, 58);
    set16(std::span(message).subspan(2), internet_checksum(message, raw_sum(pseudo)));
  } else {
    set16(std::span(message).subspan(2), internet_checksum(message));
    put16(answer, 0x4500);
    put16(answer, 20 + message.size());
    put32(answer, 0x00000000);
    put16(answer, 64 << 8 | 1);
    put16(answer, 0);
    put_address(answer, router);
    put_address(answer, sender);
    set16(std::span(answer).subspan(10), internet_checksum(answer));
  }
  answer.insert(answer.end(), message.begin(), message.end());
  return answer;
}

}  // namespace nearfield::sim::tcp
