// Conditional requests at a cache (RFC 9110 13, RFC 9111 4.3.2): what a listener's preconditions
// mean for a stored response that may be used.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cache/base/clock.h"
#include "dataplane/http/etag.h"
#include "dataplane/http/fields.h"

namespace nearfield::http {

// The validators of a stored response; views into its fields.
struct Validators {
  std::optional<EntityTag> tag;
  // The field as received, well-formed or not; "" without one. An If-None-Match that is no list of
  // tags matches only this, byte for byte.
  std::string_view tag_text;
  std::optional<WallTime> last_modified;
  // Date of the response, or when it was received: how strong last_modified is, and what stands in
  // for it when absent.
  WallTime date{};

  static Validators of(const Fields& response, WallTime response_time);
  // Last-Modified is strong when the response's Date is at least 60 s later (RFC 9110 8.8.2.2).
  bool last_modified_is_strong() const;
};

enum class Precondition : std::uint8_t {
  kServe,        // answer with the representation (or its ranges)
  kNotModified,  // 304
  kFailed,       // 412
};

// For GET and HEAD on a stored 200, in the order of RFC 9110 13.2.2: If-Match, else
// If-Unmodified-Since; If-None-Match, else If-Modified-Since. An unreadable date is as if absent.
// Without Last-Modified, If-Modified-Since compares with Date (RFC 9111 4.3.2). Only for a stored
// status of 200 (or 206 as a part of it): others are served as they are.
Precondition evaluate_preconditions(const Fields& request, const Validators& stored, WallTime now);

// Whether Range is to be honoured: true without If-Range; with one, only on a strong match of the
// tag or an exact match of a strong Last-Modified (RFC 9110 13.1.5, 14.2).
bool if_range_holds(const Fields& request, const Validators& stored, WallTime now);

// The request carries any of the four preconditions (not If-Range).
bool has_preconditions(const Fields& request);

// The fields a 304 carries of the stored response (RFC 9110 15.4.5): everything but the
// representation metadata that is not a validator; Content-Location, Date, ETag, Vary,
// Cache-Control, Expires, and the rest that is not Content-*.
bool belongs_in_not_modified(std::string_view name);

}  // namespace nearfield::http
