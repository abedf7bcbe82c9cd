// What a proxy takes out and puts in as a message passes (RFC 9110 7.6), both ways, and what is
// left out of a stored copy.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cache/base/clock.h"
#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

// Removes Connection, what it lists, and the fields that never pass a hop: Keep-Alive,
// Proxy-Connection, Proxy-Authenticate, Proxy-Authorization, Proxy-Authentication-Info, TE,
// Trailer(*), Transfer-Encoding, Upgrade. Fields that a message cannot lose (Content-Length, Host,
// Cache-Control, Content-Range, Date, ETag ...) stay even if Connection lists them.
// (*) Trailer stays with keep_trailer, for a message whose trailers are passed on.
void remove_hop_by_hop(Fields& fields, bool keep_trailer = false);

// Removes what must not be in a stored response: the hop-by-hop fields and those that private="..."
// and no-cache="..." name. Trailers are not merged into fields (RFC 9110 6.5.1). Set-Cookie stays,
// as RFC 9111 7.3 asks.
void prepare_for_storage(Fields& response, const CacheDirectives& directives,
                         const CachePolicy& policy = {});

// A response whose Date is missing or unreadable gets the time it was received (RFC 9110 6.6.1). To
// be done on reception, before storing, updating and forwarding.
void ensure_date(Fields& response, WallTime received);

// Adds "1.1 nearfield" as a new Via member (RFC 9110 7.6.3). `received_minor` is the version the
// message came in with.
void append_via(Fields& fields, std::uint8_t received_minor, std::string_view pseudonym);
// The same for a request, which may have come by HTTP/2: "2 nearfield".
void append_via(Fields& fields, const RequestHead& received, std::string_view pseudonym);
// True when Via already names this pseudonym: the request has gone in a circle.
bool via_contains(const Fields& request, std::string_view pseudonym);

// Max-Forwards of OPTIONS and TRACE (RFC 9110 7.6.2).
enum class MaxForwards : std::uint8_t { kForward, kAnswerHere };
// Decrements in place. Other methods, and a value that is no number, are forwarded untouched.
MaxForwards update_max_forwards(RequestHead& request);

// For a fetch that is the cache's own, not the listener's: removes the preconditions, Range and
// If-Range.
void remove_conditions(Fields& request);
// Makes the request conditional on the stored response's validators: If-None-Match, and
// If-Modified-Since from Last-Modified. False when the stored response has none.
bool add_validators(Fields& request, const Fields& stored);
// For resuming or filling a part: Range "bytes=first-[last]" and, with a strong validator,
// If-Range. False (and nothing added but Range) without one. `response_time` stands in for a Date
// that the stored response lacks; without both its Last-Modified counts as weak.
bool add_range(Fields& request, std::uint64_t first, std::optional<std::uint64_t> last,
               const Fields& stored, WallTime response_time = {});

}  // namespace nearfield::http
