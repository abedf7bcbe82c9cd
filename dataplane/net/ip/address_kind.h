// What an address is good for: unicast, multicast, loopback and so on (RFC 1122 3.2.1.3, RFC 6890,
// RFC 4291 2.4), and the addresses that follow from others.
//
// The awkward part is that Address holds IPv4 as IPv4-mapped IPv6: an IPv6 packet with a mapped
// address on the wire would be taken for IPv4, so packet.h refuses those.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/mac_address.h"

namespace nearfield::net::ip {

// From four bytes (mapped) or sixteen (as they are), as on the wire; `from` must hold them.
Address v4_address(const std::byte* from);
Address v6_address(const std::byte* from);
// The address as its family has it on the wire; `to` must hold 4 or 16 bytes. The first one is for
// IPv4 addresses only, the second one writes the mapped form of those.
void write_v4_address(const Address& address, std::byte* to);
void write_v6_address(const Address& address, std::byte* to);

bool is_unspecified(const Address& address);        // 0.0.0.0/8 ("this network") or ::
bool is_loopback(const Address& address);           // 127.0.0.0/8 or ::1
bool is_multicast(const Address& address);          // 224.0.0.0/4 or ff00::/8
bool is_limited_broadcast(const Address& address);  // 255.255.255.255
bool is_link_local(const Address& address);         // 169.254.0.0/16 or fe80::/10
// May stand as the one address of a host: none of unspecified, loopback, multicast, broadcast.
bool is_unicast(const Address& address);

// Whether the first `bits` agree: 0-32 of an IPv4 prefix, 0-128 of an IPv6 one. Addresses of
// different families never do.
bool in_prefix(const Address& address, const Address& prefix, int bits);

// ff02::1:ffXX:XXXX, where a host listens for solicitations of its address (RFC 4291 2.7.1).
Address solicited_node_multicast(const Address& v6);
Address all_nodes_multicast();  // ff02::1
// 33:33 and the last four bytes (RFC 2464 7).
MacAddress multicast_mac(const Address& v6_multicast);
// fe80::/64 with the modified EUI-64 identifier of the MAC address (RFC 4291 appendix A).
Address link_local_address(const MacAddress& mac);

}  // namespace nearfield::net::ip
