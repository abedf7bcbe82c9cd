// MacAddress: the 48-bit address of a network interface, as a value.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/error.h"

namespace nearfield::net::ip {

struct MacAddress {
  std::array<std::uint8_t, 6> bytes{};

  static constexpr MacAddress broadcast() { return {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}; }
  bool is_group() const { return (bytes[0] & 1) != 0; }  // multicast or broadcast
  bool is_zero() const { return *this == MacAddress{}; }
  std::string text() const;  // 02:00:5e:10:00:01
  // Six pairs of hexadecimal digits, joined by ':' or by '-'.
  static Result<MacAddress> parse(std::string_view text);
  auto operator<=>(const MacAddress&) const = default;
};

}  // namespace nearfield::net::ip
