// JSON strings from bytes that anyone may have chosen: always valid JSON, always valid UTF-8, one
// line.
#pragma once

#include <string>
#include <string_view>

namespace nearfield::control {

// Appends `bytes` in quotes. What is not UTF-8 (RFC 3629) becomes U+FFFD, one for each bad byte;
// control bytes, quotes and backslashes are escaped, DEL and the line separators U+2028/U+2029 too,
// as some readers split lines there.
void append_json_string(std::string& out, std::string_view bytes);

}  // namespace nearfield::control
