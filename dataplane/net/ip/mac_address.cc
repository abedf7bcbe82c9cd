#include "dataplane/net/ip/mac_address.h"

#include <cstddef>

namespace nearfield::net::ip {
namespace {

constexpr std::size_t kTextBytes = 17;

// -1 when it is no hexadecimal digit.
int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string MacAddress::text() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string result;
  result.reserve(kTextBytes);
  for (const std::uint8_t byte : bytes) {
    if (!result.empty()) result += ':';
    result += kDigits[byte >> 4];
    result += kDigits[byte & 15];
  }
  return result;
}

Result<MacAddress> MacAddress::parse(std::string_view text) {
  const auto error = [] {
    return std::unexpected(Error{
        "not a MAC address: write six pairs of hexadecimal digits such as 02:00:5e:10:00:01"});
  };
  if (text.size() != kTextBytes || (text[2] != ':' && text[2] != '-')) return error();
  MacAddress result;
  for (std::size_t i = 0; i < result.bytes.size(); ++i) {
    const int high = digit(text[3 * i]);
    const int low = digit(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i > 0 && text[3 * i - 1] != text[2])) return error();
    result.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return result;
}

}  // namespace nearfield::net::ip
