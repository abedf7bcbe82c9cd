// ICMP (RFC 792, RFC 1122 3.2.2) and ICMPv6 (RFC 4443) as far as a server needs them: it answers
// echo requests, reads errors about its own packets, and tells strangers when nobody listens.
//
// Invariant: an answer is at most as long as what it answers or as the shortest MTU of its family,
// and costs a token of the caller's limit (RFC 4443 2.4 f, RFC 1812 4.3.2.8). Nothing is ever said
// about errors, multicast, broadcast, fragments or packets without a proper source (RFC 1122 3.2.2,
// RFC 4443 2.4 e). Fragments and improper sources never get here: packet.h drops them.
//
// The awkward part is that an error quotes a packet of ours which a stranger can invent: whoever
// uses an IcmpError compares the ports and the sequence number with a connection first (RFC 5927).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "cache/base/clock.h"
#include "dataplane/net/ip/packet.h"
#include "dataplane/net/rate_limit.h"

namespace nearfield::net::ip {

inline constexpr std::size_t kIcmpHeaderBytes = 8;
// Of an ICMP message that is echoed, header included: what an MTU of 1500 carries over IPv4.
inline constexpr std::size_t kMaximumEchoBytes = 1480;
// Errors quote as much as fits in the shortest MTU of the family (RFC 1812 4.3.2.3: 576, RFC 4443
// 2.4 c: 1280).
inline constexpr std::size_t kMaximumIcmpErrorBytes = 1280;

enum class IcmpErrorKind : std::uint8_t {
  kNetworkUnreachable,  // no route, or the host does not answer: soft (RFC 5461)
  kPortUnreachable,     // also: protocol unreachable, unknown next header
  kProhibited,          // administratively
  kPacketTooBig,        // fragmentation needed (RFC 1191), packet too big (RFC 8201)
  kTimeExceeded,
  kParameterProblem,
};

struct IcmpError {
  IcmpErrorKind kind = IcmpErrorKind::kNetworkUnreachable;
  Address local;  // from the quoted packet, whose source we are
  Address peer;
  std::uint8_t protocol = 0;
  std::uint16_t local_port = 0;  // 0 when protocol is neither TCP nor UDP
  std::uint16_t peer_port = 0;
  std::uint32_t sequence = 0;  // of the quoted TCP header
  // kPacketTooBig: the next hop's MTU as reported; 0 from routers older than RFC 1191. May be
  // anything: the user bounds it.
  std::uint32_t mtu = 0;
  // The length of the packet that was too big as quoted: for guessing an MTU when none is reported
  // (RFC 1191 5).
  std::uint16_t quoted_bytes = 0;
};

// Whether the message's own checksum is right. Everything below expects that it is: call it first,
// or know it from the NIC.
bool icmp_checksum_is_good(const Packet& packet);

// Nothing when the message is no error, is cut short, or quotes a fragment's later part.
std::optional<IcmpError> parse_icmp_error(const Packet& packet);

bool is_echo_request(const Packet& packet);
// Writes the whole IP packet that answers an echo request to one of our addresses into `out`
// (kIpv6HeaderBytes + kMaximumEchoBytes always suffice). Returns its length; 0 when there is
// nothing to send.
std::size_t write_echo_reply(const Packet& request, RateLimit& limit, MonotonicTime now,
                             std::span<std::byte> out);

// Write the whole IP packet that refuses `offending`, which was sent to one of our addresses and,
// as the caller knows, not to a link-layer broadcast or multicast address. `out`:
// kMaximumIcmpErrorBytes. Return its length; 0 when the rules above say that nothing be sent.
//
// Nobody listens on the port (UDP; TCP answers with a reset).
std::size_t write_port_unreachable(const Packet& offending, RateLimit& limit, MonotonicTime now,
                                   std::span<std::byte> out);
// The protocol is unknown: ICMP protocol unreachable, ICMPv6 parameter problem code 1.
std::size_t write_protocol_unreachable(const Packet& offending, RateLimit& limit, MonotonicTime now,
                                       std::span<std::byte> out);
// parse_ipv6() found a problem that is to be told. `source`: one of our addresses, which matters
// when the packet was sent to a multicast address.
std::size_t write_parameter_problem(const Rejection& rejection, const Address& source,
                                    RateLimit& limit, MonotonicTime now, std::span<std::byte> out);

}  // namespace nearfield::net::ip
