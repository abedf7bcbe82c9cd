// Cache-Control, CDN-Cache-Control and Pragma as one struct of what a shared cache acts on (RFC
// 9111 5.2, 5.4, RFC 5861, RFC 8246, RFC 9213). Reading is tolerant where tolerance is safe and
// strict where it is not: unknown directives and unbalanced quotes are skipped; of a repeated
// directive the first counts (RFC 9111 4.2.1); a number that is no number makes the response stale
// rather than fresh; a number too large is kMaxSeconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

// Delta-seconds above this count as this (RFC 9111 1.2.2: 2^31).
inline constexpr std::chrono::seconds kMaxSeconds{2147483648LL};

struct CacheDirectives {
  // Whether a field with at least one directive was there at all.
  bool present = false;
  // These come from a targeted field: Cache-Control and Expires do not count (RFC 9213 2.2).
  bool targeted = false;

  bool no_store = false;
  bool no_cache = false;  // without a field list
  bool is_public = false;
  bool is_private = false;  // without a field list
  bool must_revalidate = false;
  bool proxy_revalidate = false;
  bool must_understand = false;
  bool no_transform = false;
  bool immutable = false;
  bool only_if_cached = false;
  bool max_stale_any = false;  // max-stale without a number: any staleness will do

  std::optional<std::chrono::seconds> max_age;
  std::optional<std::chrono::seconds> s_maxage;
  std::optional<std::chrono::seconds> stale_while_revalidate;
  std::optional<std::chrono::seconds> stale_if_error;
  std::optional<std::chrono::seconds> min_fresh;
  std::optional<std::chrono::seconds> max_stale;

  // Field names of the qualified forms no-cache="a, b" and private="a, b", joined by commas in
  // lower case; these fields are left out of what is stored (RFC 9111 5.2.2.4, 5.2.2.7).
  std::string no_cache_fields;
  std::string private_fields;
};

// For storing and reusing a response: CDN-Cache-Control if it is there, not empty and parses as a
// Structured Fields dictionary, else Cache-Control.
CacheDirectives parse_response_directives(const Fields& response);
// Cache-Control, or, without it, "Pragma: no-cache" as no-cache.
CacheDirectives parse_request_directives(const Fields& request);

// The pieces, for tests and fuzzing. `value` is one field's value or several joined by commas.
void parse_cache_control(std::string_view value, CacheDirectives& out);
// False (and `out` as it was) when the value is not a dictionary or is empty.
bool parse_targeted_cache_control(std::string_view value, CacheDirectives& out);

}  // namespace nearfield::http
