#include "dataplane/net/ip/address_kind.h"

#include <algorithm>
#include <cstring>

namespace nearfield::net::ip {
namespace {

constexpr std::size_t kV4Offset = 12;

}  // namespace

Address v4_address(const std::byte* from) {
  Address result;
  result.bytes[10] = result.bytes[11] = 0xff;
  std::memcpy(result.bytes.data() + kV4Offset, from, 4);
  return result;
}

Address v6_address(const std::byte* from) {
  Address result;
  std::memcpy(result.bytes.data(), from, 16);
  return result;
}

void write_v4_address(const Address& address, std::byte* to) {
  std::memcpy(to, address.bytes.data() + kV4Offset, 4);
}

void write_v6_address(const Address& address, std::byte* to) {
  std::memcpy(to, address.bytes.data(), 16);
}

bool is_unspecified(const Address& address) {
  return address.is_v4() ? address.bytes[kV4Offset] == 0 : address == Address{};
}

bool is_loopback(const Address& address) {
  if (address.is_v4()) return address.bytes[kV4Offset] == 127;
  return address.bytes[15] == 1 && std::all_of(address.bytes.begin(), address.bytes.end() - 1,
                                               [](std::uint8_t byte) { return byte == 0; });
}

bool is_multicast(const Address& address) {
  return address.is_v4() ? address.bytes[kV4Offset] >> 4 == 14 : address.bytes[0] == 0xff;
}

bool is_limited_broadcast(const Address& address) {
  return address.is_v4() && std::all_of(address.bytes.begin() + kV4Offset, address.bytes.end(),
                                        [](std::uint8_t byte) { return byte == 0xff; });
}

bool is_link_local(const Address& address) {
  if (address.is_v4()) {
    return address.bytes[kV4Offset] == 169 && address.bytes[kV4Offset + 1] == 254;
  }
  return address.bytes[0] == 0xfe && (address.bytes[1] & 0xc0) == 0x80;
}

bool is_unicast(const Address& address) {
  return !is_unspecified(address) && !is_loopback(address) && !is_multicast(address) &&
         !is_limited_broadcast(address);
}

bool in_prefix(const Address& address, const Address& prefix, int bits) {
  if (address.is_v4() != prefix.is_v4()) return false;
  if (prefix.is_v4()) bits += 96;
  const std::size_t whole = static_cast<std::size_t>(bits) / 8;
  if (std::memcmp(address.bytes.data(), prefix.bytes.data(), whole) != 0) return false;
  if (bits % 8 == 0) return true;
  return ((address.bytes[whole] ^ prefix.bytes[whole]) >> (8 - bits % 8)) == 0;
}

Address solicited_node_multicast(const Address& v6) {
  Address result{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}};
  std::copy(v6.bytes.begin() + 13, v6.bytes.end(), result.bytes.begin() + 13);
  return result;
}

Address all_nodes_multicast() { return {{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}; }

MacAddress multicast_mac(const Address& v6_multicast) {
  MacAddress result{{0x33, 0x33, 0, 0, 0, 0}};
  std::copy(v6_multicast.bytes.begin() + 12, v6_multicast.bytes.end(), result.bytes.begin() + 2);
  return result;
}

Address link_local_address(const MacAddress& mac) {
  const auto& m = mac.bytes;
  return {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2), m[1], m[2], 0xff,
           0xfe, m[3], m[4], m[5]}};
}

}  // namespace nearfield::net::ip
