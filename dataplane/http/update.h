// Freshening a stored response: which of its fields a 304 or a HEAD response replaces (RFC
// 9111 3.2), which stored response a 304 is about (4.3.4), and when a HEAD response shows that the
// stored one is out of date (4.3.5).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

// Every field of `fresh` replaces the stored fields of its name (Set-Cookie too), except what
// belongs to the connection or to the stored bytes (Content-Length, Content-Encoding,
// Content-Range), and a weak ETag that says the same as a stored strong one. Fields that `fresh`
// lacks stay, but for Age and Date, which speak of one exchange. `fresh` must be stripped for
// storage and have a Date (forward.h).
void update_stored_fields(Fields& stored, const Fields& fresh);
// Whether a field of a 304 or HEAD response may replace a stored one.
bool is_updatable(std::string_view name);

// Whether a 304 with these fields confirms this stored response. `was_asked_with` says that the
// stored response's own validators were in the request: then a 304 without any validator confirms
// it as well.
bool confirms(const Fields& not_modified, const Fields& stored, bool was_asked_with);

enum class HeadEffect : std::uint8_t {
  kNone,        // nothing learnt (not 200)
  kUpdate,      // same representation: update_stored_fields
  kInvalidate,  // another representation or length: the stored one is stale from now on
};
// `stored_size_bytes`: of the stored representation, which may have come without a Content-Length;
// where it is not known the stored Content-Length stands in, and without one a length in the HEAD
// response counts as another.
HeadEffect head_effect(std::uint16_t status, const Fields& head_response, const Fields& stored,
                       std::optional<std::uint64_t> stored_size_bytes = std::nullopt);

}  // namespace nearfield::http
