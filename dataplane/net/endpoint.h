// Endpoint: an IPv4 or IPv6 address and a port, as a value; and the Unix path of a control socket
// is not one.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/error.h"

namespace nearfield::net {

// IPv4 addresses are held as IPv4-mapped IPv6 (RFC 4291 2.5.5.2), so that there is one form to
// compare and truncate.
struct Address {
  std::array<std::uint8_t, 16> bytes{};

  bool is_v4() const;
  // The first `v4_bits` (0-32) or `v6_bits` (0-128) kept, the rest zero: what logs and per-prefix
  // limits use.
  Address truncated(int v4_bits, int v6_bits) const;
  std::string text() const;  // 192.0.2.1 or 2001:db8::1
  static Result<Address> parse(std::string_view text);
  auto operator<=>(const Address&) const = default;
};

struct Endpoint {
  Address address;
  std::uint16_t port = 0;

  std::string text() const;  // 192.0.2.1:80 or [2001:db8::1]:80
  // "192.0.2.1:80", "[::1]:80", ":80" and "*:80" (any address, both families).
  static Result<Endpoint> parse(std::string_view text);
  auto operator<=>(const Endpoint&) const = default;
};

}  // namespace nearfield::net
