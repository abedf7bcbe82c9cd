// HTTP dates (RFC 9110 5.6.7): three forms are read, one is written.
// Reading is strict about shape (exact widths, single spaces, commas, "GMT", a date that exists),
// because a lenient reader gives a broken Expires a future it was never meant to have; it is lax
// only about letter case. The weekday must be a weekday's name but need not fit the date.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "cache/base/clock.h"

namespace nearfield::http {

// `now` decides the century of the obsolete RFC 850 form: a two-digit year that would lie more than
// 50 years ahead is the most recent past year with these digits. A leap second (:60) reads as the
// first second of the next minute.
std::optional<WallTime> parse_http_date(std::string_view text, WallTime now);

// IMF-fixdate, always 29 characters: "Sun, 06 Nov 1994 08:49:37 GMT". Years outside 0..9999 are
// clamped.
struct HttpDate {
  std::array<char, 29> text;
  operator std::string_view() const { return {text.data(), text.size()}; }
};
HttpDate format_http_date(WallTime time);

}  // namespace nearfield::http
