// Numbers of the network byte order (big endian, RFC 1700) in bytes of any alignment. The caller
// has checked that the bytes are there.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace nearfield::net {

// A number in the other byte order, where this machine's is not the network's.
template <typename Number>
constexpr Number network_order(Number value) {
  return std::endian::native == std::endian::little ? std::byteswap(value) : value;
}

inline std::uint8_t read_8(const std::byte* from) { return std::to_integer<std::uint8_t>(*from); }
inline std::uint16_t read_16(const std::byte* from) {
  std::uint16_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return network_order(value);
}
inline std::uint32_t read_32(const std::byte* from) {
  std::uint32_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return network_order(value);
}
inline void write_8(std::byte* to, unsigned value) { *to = static_cast<std::byte>(value); }
// Of `value` the low 16 bits.
inline void write_16(std::byte* to, unsigned value) {
  const std::uint16_t swapped = network_order(static_cast<std::uint16_t>(value));
  std::memcpy(to, &swapped, sizeof swapped);
}
inline void write_32(std::byte* to, std::uint32_t value) {
  const std::uint32_t swapped = network_order(value);
  std::memcpy(to, &swapped, sizeof swapped);
}
inline void write_64(std::byte* to, std::uint64_t value) {
  const std::uint64_t swapped = network_order(value);
  std::memcpy(to, &swapped, sizeof swapped);
}

}  // namespace nearfield::net
