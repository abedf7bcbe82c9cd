// One pass; runs of plain bytes are appended whole.
#include "dataplane/control/json_text.h"

#include <cstdint>
#include <format>
#include <iterator>

namespace nearfield::control {
namespace {

// The length of the well-formed UTF-8 sequence at the beginning of `bytes`, 0 when there is none
// (RFC 3629 section 4).
std::size_t sequence_length(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const auto tail = [&](std::size_t i, std::uint8_t low = 0x80, std::uint8_t high = 0xbf) {
    return i < bytes.size() && at(i) >= low && at(i) <= high;
  };
  const std::uint8_t first = at(0);
  if (first >= 0xc2 && first <= 0xdf) return tail(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const std::uint8_t low = first == 0xe0 ? 0xa0 : 0x80;   // no overlong forms
    const std::uint8_t high = first == 0xed ? 0x9f : 0xbf;  // no surrogates
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const std::uint8_t low = first == 0xf0 ? 0x90 : 0x80;
    const std::uint8_t high = first == 0xf4 ? 0x8f : 0xbf;  // up to U+10FFFF
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

bool is_plain(char c) {
  const auto byte = static_cast<std::uint8_t>(c);
  return byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\';
}

void append_escaped(std::string& out, char c) {
  switch (c) {
    case '"':
    case '\\':
      out += '\\';
      out += c;
      break;
    case '\n':
      out += "\\n";
      break;
    case '\r':
      out += "\\r";
      break;
    case '\t':
      out += "\\t";
      break;
    default:
      std::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint8_t>(c));
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view bytes) {
  out += '"';
  while (!bytes.empty()) {
    std::size_t plain = 0;
    while (plain < bytes.size() && is_plain(bytes[plain])) ++plain;
    out.append(bytes.substr(0, plain));
    bytes.remove_prefix(plain);
    if (bytes.empty()) break;
    if (static_cast<std::uint8_t>(bytes.front()) < 0x80) {
      append_escaped(out, bytes.front());
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t length = sequence_length(bytes);
    if (length == 0) {
      out += "\xef\xbf\xbd";
      bytes.remove_prefix(1);
    } else {
      const std::string_view sequence = bytes.substr(0, length);
      if (sequence == "\xe2\x80\xa8") {
        out += "\\u2028";
      } else if (sequence == "\xe2\x80\xa9") {
        out += "\\u2029";
      } else {
        out.append(sequence);
      }
      bytes.remove_prefix(length);
    }
  }
  out += '"';
}

}  // namespace nearfield::control
