// Hashes and MACs as values, and the base64url of RFC 4648 5 that tokens are written in.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield::access {

using Digest = std::array<std::uint8_t, 32>;
using Bytes = std::span<const std::uint8_t>;

inline Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}
inline std::string_view text_of(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Digest sha256(Bytes bytes);
Digest sha512_256(Bytes bytes);
Digest hmac_sha256(Bytes key, Bytes message);
// In a time that depends on the sizes only.
bool equal_in_constant_time(Bytes a, Bytes b);
// Overwrites in a way that compilers do not leave out.
void wipe(std::span<std::uint8_t> bytes);
std::string hex(Bytes bytes);
std::optional<Digest> parse_hex_digest(std::string_view text);

// nullopt for anything but the alphabet of base64url without padding, and for unused bits that are
// not zero, so that one value has one spelling.
std::optional<std::vector<std::uint8_t>> decode_base64url(std::string_view text);
void append_base64url(std::string& out, Bytes bytes);

struct DigestHash {
  std::size_t operator()(const Digest& digest) const;
};

}  // namespace nearfield::access
