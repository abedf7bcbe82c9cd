// How a message says where its body ends (RFC 9112 6): read from the fields in the strictest way,
// because every difference between two readers of one connection is a way to smuggle a request.
#pragma once

#include <cstdint>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

struct FramingFields {
  bool chunked = false;
  bool has_length = false;
  std::uint64_t length = 0;
  // Not empty: what is wrong, static text. unknown_coding: it is a transfer coding we do not know.
  std::string_view fault;
  bool unknown_coding = false;
};

// At most one Content-Length of digits only (up to 2^63-1); at most one Transfer-Encoding that is
// exactly "chunked", on HTTP/1.1 only; never both.
FramingFields read_framing(const Fields& fields, std::uint8_t version_minor);

// Connection: close and keep-alive against the version's default (RFC 9112 9.3).
bool wants_keep_alive(const Fields& fields, std::uint8_t version_minor);

// Fields that a trailer section may not carry (RFC 9110 6.5.1): framing, routing, authentication,
// caching controls.
void remove_forbidden_trailers(Fields& trailers);

}  // namespace nearfield::http
