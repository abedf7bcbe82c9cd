// What to do with a stored response that matches a request (RFC 9111 4, 4.2.4, RFC 5861): one
// decision, made from numbers computed when it was stored and from the request's directives.
#pragma once

#include <cstdint>

#include "cache/base/clock.h"
#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/freshness.h"

namespace nearfield::http {

enum class Reuse : std::uint8_t {
  kFresh,            // serve
  kStaleAllowed,     // stale, and the request's max-stale takes it: serve
  kStaleRevalidate,  // serve, and validate in the background (stale-while-revalidate)
  kValidate,         // ask the origin first (conditionally, where there is a validator)
};

// Why kValidate: becomes fwd= of Cache-Status (RFC 9211 2.2).
enum class ValidateCause : std::uint8_t {
  kNotNeeded,
  kStale,    // fwd=stale
  kRequest,  // a directive of the request: fwd=request
};

struct ReuseDecision {
  Reuse reuse = Reuse::kValidate;
  ValidateCause cause = ValidateCause::kNotNeeded;
  // The request says only-if-cached: where the decision is kValidate (or there is nothing stored)
  // the answer is 504.
  bool only_if_cached = false;
};

ReuseDecision decide_reuse(const Freshness& stored, const CacheDirectives& request, PreciseTime now,
                           const CachePolicy& policy);

// The origin could not be reached, timed out, or answered 500, 502, 503 or 504 while this response
// was to be validated: may it be served nevertheless? stale-if-error of the response, then of the
// request, else the policy's default; never against no-cache, must-revalidate, proxy-revalidate or
// s-maxage (RFC 9111 4.2.4), nor beyond what the request accepts.
bool may_serve_on_error(const Freshness& stored, const CacheDirectives& request, PreciseTime now,
                        const CachePolicy& policy);

// The statuses meant above (RFC 5861 4).
constexpr bool is_origin_error(std::uint16_t status) {
  return status == 500 || status == 502 || status == 503 || status == 504;
}

}  // namespace nearfield::http
