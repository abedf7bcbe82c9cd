#include "dataplane/net/ip/icmp.h"

#include <algorithm>
#include <cstring>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/net/ip/address_kind.h"
#include "dataplane/net/ip/checksum.h"

namespace nearfield::net::ip {
namespace {

// Types and codes of RFC 792 and RFC 1122 3.2.2.1.
constexpr std::uint8_t kV4EchoReply = 0;
constexpr std::uint8_t kV4Unreachable = 3;
constexpr std::uint8_t kV4EchoRequest = 8;
constexpr std::uint8_t kV4TimeExceeded = 11;
constexpr std::uint8_t kV4ParameterProblem = 12;
constexpr std::uint8_t kV4CodeProtocol = 2;
constexpr std::uint8_t kV4CodePort = 3;
constexpr std::uint8_t kV4CodeFragmentationNeeded = 4;

// Types and codes of RFC 4443.
constexpr std::uint8_t kV6Unreachable = 1;
constexpr std::uint8_t kV6PacketTooBig = 2;
constexpr std::uint8_t kV6TimeExceeded = 3;
constexpr std::uint8_t kV6ParameterProblem = 4;
constexpr std::uint8_t kV6EchoRequest = 128;
constexpr std::uint8_t kV6EchoReply = 129;
constexpr std::uint8_t kV6Redirect = 137;
constexpr std::uint8_t kV6FirstInformation = 128;  // below: errors (RFC 4443 2.1)
constexpr std::uint8_t kV6CodePort = 4;
constexpr std::uint8_t kV6CodeNextHeader = 1;

constexpr std::size_t kMaximumV4ErrorBytes = 576;

std::optional<IcmpErrorKind> v4_kind(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case kV4Unreachable:
      switch (code) {
        case kV4CodeProtocol:
        case kV4CodePort:
          return IcmpErrorKind::kPortUnreachable;
        case kV4CodeFragmentationNeeded:
          return IcmpErrorKind::kPacketTooBig;
        case 9:  // network, host, communication: prohibited
        case 10:
        case 13:
          return IcmpErrorKind::kProhibited;
        default:
          return IcmpErrorKind::kNetworkUnreachable;
      }
    case kV4TimeExceeded:
      return IcmpErrorKind::kTimeExceeded;
    case kV4ParameterProblem:
      return IcmpErrorKind::kParameterProblem;
    default:
      return std::nullopt;
  }
}

std::optional<IcmpErrorKind> v6_kind(std::uint8_t type, std::uint8_t code) {
  switch (type) {
    case kV6Unreachable:
      if (code == kV6CodePort) return IcmpErrorKind::kPortUnreachable;
      // 1 prohibited, 5 source address failed policy, 6 reject route.
      if (code == 1 || code == 5 || code == 6) return IcmpErrorKind::kProhibited;
      return IcmpErrorKind::kNetworkUnreachable;
    case kV6PacketTooBig:
      return IcmpErrorKind::kPacketTooBig;
    case kV6TimeExceeded:
      return IcmpErrorKind::kTimeExceeded;
    case kV6ParameterProblem:
      return code == kV6CodeNextHeader ? IcmpErrorKind::kPortUnreachable
                                       : IcmpErrorKind::kParameterProblem;
    default:
      return std::nullopt;
  }
}

// The quoted packet's addresses and protocol; `transport` is what is left of it behind. We never
// send extension headers, so the protocol of a quoted IPv6 packet of ours is its next header.
bool read_quoted(std::span<const std::byte> quoted, bool is_v4, IcmpError& error,
                 std::span<const std::byte>& transport) {
  const std::byte* from = quoted.data();
  if (is_v4) {
    if (quoted.size() < kIpv4HeaderBytes || read_8(from) >> 4 != 4) return false;
    const std::size_t length = std::size_t{4} * (read_8(from) & 15);
    if (length < kIpv4HeaderBytes || length > quoted.size()) return false;
    if ((read_16(from + 6) & 0x1fff) != 0) return false;  // a later part has no ports
    error.protocol = read_8(from + 9);
    error.local = v4_address(from + 12);
    error.peer = v4_address(from + 16);
    error.quoted_bytes = read_16(from + 2);
    transport = quoted.subspan(length);
    return true;
  }
  if (quoted.size() < kIpv6HeaderBytes || read_8(from) >> 4 != 6) return false;
  error.protocol = read_8(from + 6);
  error.local = v6_address(from + 8);
  error.peer = v6_address(from + 24);
  if (error.local.is_v4() || error.peer.is_v4()) return false;
  error.quoted_bytes = static_cast<std::uint16_t>(
      std::min<std::size_t>(kIpv6HeaderBytes + read_16(from + 4), 65535));
  transport = quoted.subspan(kIpv6HeaderBytes);
  return true;
}

// Whether an ICMP message is an error, or so unknown that it may be one.
bool is_error_message(const Packet& packet) {
  if (packet.payload.empty()) return true;
  const std::uint8_t type = read_8(packet.payload.data());
  if (!packet.is_v4) {
    return type < kV6FirstInformation || type == kV6Redirect;
  }
  // Unreachable, source quench, redirect, time exceeded, parameter problem; and whatever RFC 1122
  // has not heard of.
  return type != kV4EchoReply && type != kV4EchoRequest && (type < 13 || type > 18);
}

bool is_icmp(const Packet& packet) {
  return packet.protocol == (packet.is_v4 ? kProtocolIcmp : kProtocolIcmpv6);
}

// Writes the IP header and the checksum around a message that lies behind the space for the header.
// Its checksum field must be zero.
std::size_t finish_message(const Address& source, const Address& destination,
                           std::size_t message_bytes, std::span<std::byte> out) {
  const bool is_v4 = source.is_v4();
  const std::uint8_t protocol = is_v4 ? kProtocolIcmp : kProtocolIcmpv6;
  const std::size_t header_length =
      write_ip_header({.source = source,
                       .destination = destination,
                       .protocol = protocol,
                       .dont_fragment = true,
                       .payload_bytes = static_cast<std::uint16_t>(message_bytes)},
                      out);
  const std::span<std::byte> message = out.subspan(header_length, message_bytes);
  Checksum checksum;
  if (!is_v4) {
    checksum =
        pseudo_header(source, destination, protocol, static_cast<std::uint32_t>(message_bytes));
  }
  checksum.add(message);
  write_16(message.data() + 2, checksum.finish());
  return header_length + message_bytes;
}

struct Message {
  std::uint8_t type = 0;
  std::uint8_t code = 0;
  std::uint32_t rest = 0;  // the second word
  bool even_to_multicast = false;
};

// `offending.whole` is quoted as far as it fits.
std::size_t write_error(const Message& what, const Packet& offending, const Address& source,
                        RateLimit& limit, MonotonicTime now, std::span<std::byte> out) {
  const bool to_group =
      is_multicast(offending.destination) || is_limited_broadcast(offending.destination);
  if (to_group && !what.even_to_multicast) return 0;
  if (!is_unicast(offending.source) || !is_unicast(source)) return 0;
  if (source.is_v4() != offending.is_v4) return 0;
  if (is_icmp(offending) && is_error_message(offending)) return 0;
  if (!limit.allow(now)) return 0;

  NEARFIELD_ASSERT(out.size() >= kMaximumIcmpErrorBytes);
  const std::size_t header_length = offending.is_v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  const std::size_t longest = offending.is_v4 ? kMaximumV4ErrorBytes : kMaximumIcmpErrorBytes;
  const std::size_t quoted =
      std::min(offending.whole.size(), longest - header_length - kIcmpHeaderBytes);
  std::byte* message = out.data() + header_length;
  write_8(message, what.type);
  write_8(message + 1, what.code);
  write_16(message + 2, 0);
  write_32(message + 4, what.rest);
  std::memcpy(message + kIcmpHeaderBytes, offending.whole.data(), quoted);
  return finish_message(source, offending.source, kIcmpHeaderBytes + quoted, out);
}

}  // namespace

bool icmp_checksum_is_good(const Packet& packet) {
  if (packet.payload.size() < 4) return false;
  Checksum checksum;
  if (!packet.is_v4) {
    checksum = pseudo_header(packet.source, packet.destination, kProtocolIcmpv6,
                             static_cast<std::uint32_t>(packet.payload.size()));
  }
  checksum.add(packet.payload);
  return checksum.finish() == 0;
}

std::optional<IcmpError> parse_icmp_error(const Packet& packet) {
  if (!is_icmp(packet) || packet.payload.size() < kIcmpHeaderBytes) return std::nullopt;
  const std::byte* message = packet.payload.data();
  const std::uint8_t type = read_8(message);
  const std::uint8_t code = read_8(message + 1);
  const auto kind = packet.is_v4 ? v4_kind(type, code) : v6_kind(type, code);
  if (!kind) return std::nullopt;
  IcmpError error;
  error.kind = *kind;
  std::span<const std::byte> transport;
  if (!read_quoted(packet.payload.subspan(kIcmpHeaderBytes), packet.is_v4, error, transport)) {
    return std::nullopt;
  }
  if (error.protocol == kProtocolTcp || error.protocol == kProtocolUdp) {
    // RFC 792 promises eight bytes of it: ports and the sequence number.
    if (transport.size() < 8) return std::nullopt;
    error.local_port = read_16(transport.data());
    error.peer_port = read_16(transport.data() + 2);
    if (error.protocol == kProtocolTcp) error.sequence = read_32(transport.data() + 4);
  }
  if (error.kind == IcmpErrorKind::kPacketTooBig) {
    error.mtu = packet.is_v4 ? read_16(message + 6) : read_32(message + 4);
  }
  return error;
}

bool is_echo_request(const Packet& packet) {
  return is_icmp(packet) && packet.payload.size() >= kIcmpHeaderBytes &&
         read_8(packet.payload.data()) == (packet.is_v4 ? kV4EchoRequest : kV6EchoRequest) &&
         read_8(packet.payload.data() + 1) == 0;
}

std::size_t write_echo_reply(const Packet& request, RateLimit& limit, MonotonicTime now,
                             std::span<std::byte> out) {
  if (!is_echo_request(request) || request.payload.size() > kMaximumEchoBytes) return 0;
  if (!is_unicast(request.destination) || !is_unicast(request.source)) return 0;
  const std::size_t header_length = request.is_v4 ? kIpv4HeaderBytes : kIpv6HeaderBytes;
  if (out.size() < header_length + request.payload.size() || !limit.allow(now)) return 0;
  std::byte* message = out.data() + header_length;
  std::memcpy(message, request.payload.data(), request.payload.size());
  write_8(message, request.is_v4 ? kV4EchoReply : kV6EchoReply);
  write_16(message + 2, 0);
  return finish_message(request.destination, request.source, request.payload.size(), out);
}

std::size_t write_port_unreachable(const Packet& offending, RateLimit& limit, MonotonicTime now,
                                   std::span<std::byte> out) {
  const Message what{.type = offending.is_v4 ? kV4Unreachable : kV6Unreachable,
                     .code = offending.is_v4 ? kV4CodePort : kV6CodePort};
  return write_error(what, offending, offending.destination, limit, now, out);
}

std::size_t write_protocol_unreachable(const Packet& offending, RateLimit& limit, MonotonicTime now,
                                       std::span<std::byte> out) {
  Message what{.type = kV4Unreachable, .code = kV4CodeProtocol};
  if (!offending.is_v4) {
    what = {
        .type = kV6ParameterProblem, .code = kV6CodeNextHeader, .rest = offending.protocol_offset};
  }
  return write_error(what, offending, offending.destination, limit, now, out);
}

std::size_t write_parameter_problem(const Rejection& rejection, const Address& source,
                                    RateLimit& limit, MonotonicTime now, std::span<std::byte> out) {
  if (!rejection.problem || rejection.packet.is_v4) return 0;
  const ParameterProblem& problem = *rejection.problem;
  const Message what{.type = kV6ParameterProblem,
                     .code = problem.code,
                     .rest = problem.pointer,
                     .even_to_multicast = problem.even_to_multicast};
  return write_error(what, rejection.packet, source, limit, now, out);
}

}  // namespace nearfield::net::ip
