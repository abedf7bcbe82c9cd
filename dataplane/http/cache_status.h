// Cache-Status (RFC 9211): how this cache handled a request, as one member of a Structured Fields
// list. A cache appends its member after those of caches nearer the origin.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"

namespace nearfield::http {

// Why the request went to the origin.
enum class Forwarded : std::uint8_t {
  kNo,  // a hit
  kBypass,
  kMethod,
  kUriMiss,
  kVaryMiss,
  kMiss,
  kRequest,
  kStale,
  kPartial,
};

struct CacheStatus {
  Forwarded forwarded = Forwarded::kNo;
  std::optional<std::uint16_t>
      forward_status;  // what the origin said, where it differs from what is sent on
  std::optional<std::chrono::seconds> ttl;  // remaining freshness; negative when stale
  bool made_here = false;  // not forwarded, and no hit either: an error of this node
  bool stored = false;
  bool collapsed = false;  // waited for another request's fetch
  // A token such as storability_token() gives; anything that is not a token is written as a string.
  std::string_view detail;
};

// "nearfield; hit; ttl=30". `name` is this cache's name, a token.
void append_cache_status(std::string& out, std::string_view name, const CacheStatus& status);
// Adds it to the response after whatever members are there already.
void add_cache_status(Fields& response, std::string_view name, const CacheStatus& status);

}  // namespace nearfield::http
