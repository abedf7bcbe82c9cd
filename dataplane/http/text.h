// The small grammar of RFC 9110 5.6 that every field parser shares: tokens, optional whitespace,
// case-insensitive comparison, comma lists that respect quoted strings. Everything is a view into
// the caller's bytes, linear in time, and never reads a locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace nearfield::http {

// ASCII only: bytes above 0x7f are left as they are.
constexpr char to_lower(char c) { return (c >= 'A' && c <= 'Z') ? static_cast<char>(c | 0x20) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
// 0 to 15; -1: not a digit of base 16.
constexpr int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  const char lower = to_lower(c);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}
constexpr bool is_ows(char c) { return c == ' ' || c == '\t'; }

// tchar of RFC 9110 5.6.2.
bool is_token_char(char c);
// True for a non-empty run of tchar.
bool is_token(std::string_view text);
// True when every byte may stand in a field value: HTAB, SP, VCHAR, obs-text (RFC 9110 5.5).
bool is_field_value(std::string_view text);

bool equals_ignoring_case(std::string_view a, std::string_view b);
// Without spaces and tabs at both ends.
std::string_view trim_ows(std::string_view text);
void append_lower(std::string& out, std::string_view text);
void append_number(std::string& out, std::uint64_t number);

// All digits and nothing else; empty, a sign, or a value above 2^64-1 gives nullopt.
std::optional<std::uint64_t> parse_decimal(std::string_view digits);

// Walks a comma list: trimmed, non-empty elements, a comma inside a quoted-string does not
// separate. An unterminated quoted string runs to the end of the value.
class ListReader {
 public:
  explicit ListReader(std::string_view value) : rest_(value) {}
  // The next element, or nullopt after the last.
  std::optional<std::string_view> next();

 private:
  std::string_view rest_;
};

// True when `value`, a comma list, has `token` as one of its elements (case-insensitively).
bool list_contains(std::string_view value, std::string_view token);

}  // namespace nearfield::http
