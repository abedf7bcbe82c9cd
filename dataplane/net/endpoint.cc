// Parsing and printing of addresses. inet_pton and inet_ntop know the text forms of both families
// (RFC 4291 2.2, RFC 5952 for printing); here is only what joins them to a port and the mapped
// form.
#include "dataplane/net/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "cache/base/assert.h"

namespace nearfield::net {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr int kMappedPrefixBits = 96;

// As it may stand in a message: one line, no control bytes, not endless.
std::string quoted(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::string result =
      "'" + std::string(text.substr(0, kLongest)) + (text.size() > kLongest ? "...'" : "'");
  std::ranges::replace_if(result, [](char byte) { return byte < ' ' || byte > '~'; }, '?');
  return result;
}

Error bad_address(std::string_view text) {
  return Error{quoted(text) +
               " is not an address: write an IPv4 address such as 192.0.2.1 or an IPv6 address "
               "such as 2001:db8::1"};
}

Error bad_endpoint(std::string_view text, std::string_view why) {
  return Error{quoted(text) + " is not an address and port (" + std::string(why) +
               "): write 192.0.2.1:80, [2001:db8::1]:80, or :80 for every address"};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (text.empty() || error != std::errc() || rest != end) return std::nullopt;
  return port;
}

}  // namespace

bool Address::is_v4() const {
  return std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin());
}

Address Address::truncated(int v4_bits, int v6_bits) const {
  NEARFIELD_ASSERT(v4_bits >= 0 && v4_bits <= 32 && v6_bits >= 0 && v6_bits <= 128);
  int keep_bits = is_v4() ? kMappedPrefixBits + v4_bits : v6_bits;
  Address result = *this;
  for (std::uint8_t& byte : result.bytes) {
    if (keep_bits <= 0) {
      byte = 0;
    } else if (keep_bits < 8) {
      byte = static_cast<std::uint8_t>(byte & (0xff << (8 - keep_bits)));
    }
    keep_bits -= 8;
  }
  return result;
}

std::string Address::text() const {
  char text[INET6_ADDRSTRLEN] = {};
  if (is_v4()) {
    ::inet_ntop(AF_INET, bytes.data() + kMappedPrefix.size(), text, sizeof(text));
  } else {
    ::inet_ntop(AF_INET6, bytes.data(), text, sizeof(text));
  }
  return text;
}

Result<Address> Address::parse(std::string_view text) {
  char copy[INET6_ADDRSTRLEN] = {};
  // A NUL inside would end the text early for inet_pton and let "127.0.0.1\0x" pass.
  if (text.size() >= sizeof(copy) || text.find('\0') != std::string_view::npos) {
    return std::unexpected(bad_address(text));
  }
  std::copy(text.begin(), text.end(), copy);
  Address address;
  if (::inet_pton(AF_INET, copy, address.bytes.data() + kMappedPrefix.size()) == 1) {
    std::copy(kMappedPrefix.begin(), kMappedPrefix.end(), address.bytes.begin());
    return address;
  }
  if (::inet_pton(AF_INET6, copy, address.bytes.data()) == 1) return address;
  return std::unexpected(bad_address(text));
}

std::string Endpoint::text() const {
  const std::string host = address.text();
  if (address.is_v4()) return host + ":" + std::to_string(port);
  return "[" + host + "]:" + std::to_string(port);
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::unexpected(bad_endpoint(text, "no port"));
  std::string_view host = text.substr(0, colon);
  const std::optional<std::uint16_t> port = parse_port(text.substr(colon + 1));
  if (!port) return std::unexpected(bad_endpoint(text, "the port is not a number from 0 to 65535"));

  Endpoint endpoint;
  endpoint.port = *port;
  if (host.empty() || host == "*") return endpoint;  // ::, which means both families
  if (host.front() == '[') {
    if (host.size() < 2 || host.back() != ']') {
      return std::unexpected(bad_endpoint(text, "the bracket is not closed"));
    }
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string_view::npos) {
      return std::unexpected(bad_endpoint(text, "only IPv6 addresses stand in brackets"));
    }
  } else if (host.find(':') != std::string_view::npos) {
    return std::unexpected(bad_endpoint(text, "an IPv6 address stands in brackets"));
  }
  const Result<Address> address = Address::parse(host);
  if (!address) return std::unexpected(bad_endpoint(text, "the host is not a numeric address"));
  endpoint.address = *address;
  return endpoint;
}

}  // namespace nearfield::net
