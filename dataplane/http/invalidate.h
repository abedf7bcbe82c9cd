// Invalidation (RFC 9111 4.4): which keys a successful unsafe request makes stale: its own target,
// and what Location and Content-Location point at when that is of the same origin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/cache_key.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

// Cache keys without repeats, at most three, normalised as append_cache_key does; empty for a safe
// method and for a response that is an error (4xx, 5xx) or interim.
std::vector<std::string> invalidated_keys(const RequestHead& request, std::uint16_t status,
                                          const Fields& response, const QueryRules& rules);

// The normal form of `reference` (a Location or Content-Location), resolved against the target of
// `request` (RFC 3986 5.2): a cache key. nullopt when it is malformed or of another origin (scheme,
// host and port).
std::optional<std::string> resolve_same_origin(const RequestHead& request,
                                               std::string_view reference, const QueryRules& rules);

// Content-Location names the request's own target.
bool content_location_is_target(const RequestHead& request, const Fields& response);

}  // namespace nearfield::http
