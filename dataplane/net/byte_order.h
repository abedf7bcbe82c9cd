// Numbers of the network byte order (big endian, RFC 1700) in bytes of any alignment. The caller
// has checked that the bytes are there.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearfield::net {

inline std::uint8_t read_8(const std::byte* from) { return std::to_integer<std::uint8_t>(*from); }
inline std::uint16_t read_16(const std::byte* from) {
  return static_cast<std::uint16_t>(read_8(from) << 8 | read_8(from + 1));
}
inline std::uint32_t read_32(const std::byte* from) {
  return std::uint32_t{read_16(from)} << 16 | read_16(from + 2);
}
inline void write_8(std::byte* to, unsigned value) { *to = static_cast<std::byte>(value); }
inline void write_16(std::byte* to, unsigned value) {
  write_8(to, value >> 8 & 0xff);
  write_8(to + 1, value & 0xff);
}
inline void write_32(std::byte* to, std::uint32_t value) {
  write_16(to, value >> 16);
  write_16(to + 2, value & 0xffff);
}

}  // namespace nearfield::net
