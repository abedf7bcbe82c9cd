#include "dataplane/http/authority.h"

namespace nearfield::http {
namespace {

constexpr std::size_t kMaxHostBytes = 255;  // RFC 1035 2.3.4

bool is_host_char(char c) {
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-' || c == '.' || c == '_' ||
         c == '~';
}

bool is_address_char(char c) {
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'f') || is_digit(c) || c == ':' || c == '.';
}

// How many bytes at the start are the host; 0 when it is none.
std::size_t host_size(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return 0;
    for (char c : text.substr(1, end - 1)) {
      if (!is_address_char(c)) return 0;
    }
    return end + 1;
  }
  std::size_t size = 0;
  while (size < text.size() && is_host_char(text[size])) ++size;
  return size;
}

}  // namespace

bool append_authority(std::string& out, std::string_view text, Scheme scheme) {
  const std::size_t size = host_size(text);
  if (size == 0 || size > kMaxHostBytes) return false;
  const std::string_view host = text.substr(0, size);
  std::string_view port = text.substr(size);
  std::uint64_t number = 0;
  if (!port.empty()) {
    if (port.front() != ':') return false;
    port.remove_prefix(1);
    if (!port.empty()) {
      const auto parsed = parse_decimal(port);
      if (!parsed || *parsed == 0 || *parsed > 65535 || port.size() > 5) return false;
      number = *parsed;
    }
  }
  append_lower(out, host);
  if (number != 0 && number != (scheme == Scheme::kHttp ? 80u : 443u)) {
    out += ':';
    append_number(out, number);
  }
  return true;
}

SplitAuthority split_authority(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos)
    return {.host = authority, .port = {}};
  return {.host = authority.substr(0, colon), .port = authority.substr(colon + 1)};
}

}  // namespace nearfield::http
