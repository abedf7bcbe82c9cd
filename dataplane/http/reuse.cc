#include "dataplane/http/reuse.h"

#include <algorithm>

namespace nearfield::http {

using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// Older than the request's max-age. Zero means "ask the origin", however young the response is.
bool too_old(const CacheDirectives& request, milliseconds age) {
  return request.max_age && (request.max_age->count() == 0 || age > *request.max_age);
}

// How stale the request accepts it; nullopt: not at all.
std::optional<seconds> accepted_staleness(const CacheDirectives& request) {
  if (request.max_stale) return request.max_stale;
  if (request.max_stale_any) return kMaxSeconds;
  return std::nullopt;
}

}  // namespace

ReuseDecision decide_reuse(const Freshness& stored, const CacheDirectives& request, PreciseTime now,
                           const CachePolicy& policy) {
  const bool honour = policy.honour_request_directives && request.present;
  ReuseDecision decision;
  decision.only_if_cached = honour && request.only_if_cached;
  if (stored.no_cache) {
    decision.cause = ValidateCause::kStale;
    return decision;
  }
  const milliseconds age = stored.precise_age(now);
  const milliseconds remaining = stored.lifetime - age;
  if (honour) {
    const bool not_fresh_enough = request.min_fresh && remaining < *request.min_fresh;
    if (request.no_cache || too_old(request, age) || not_fresh_enough) {
      decision.cause =
          remaining > milliseconds(0) ? ValidateCause::kRequest : ValidateCause::kStale;
      return decision;
    }
  }
  if (remaining > milliseconds(0)) {
    decision.reuse = Reuse::kFresh;
    return decision;
  }
  decision.cause = ValidateCause::kStale;
  if (stored.stale_forbidden) return decision;
  const milliseconds staleness = -remaining;
  if (honour) {
    if (const auto accepted = accepted_staleness(request); accepted && staleness <= *accepted) {
      decision.reuse = Reuse::kStaleAllowed;
      decision.cause = ValidateCause::kNotNeeded;
      return decision;
    }
  }
  // max-age without max-stale also says "not stale" (RFC 9111 5.2.1.1).
  const bool refuses_stale = honour && request.max_age;
  if (staleness < stored.stale_while_revalidate && !refuses_stale) {
    decision.reuse = Reuse::kStaleRevalidate;
    decision.cause = ValidateCause::kNotNeeded;
  }
  return decision;
}

bool may_serve_on_error(const Freshness& stored, const CacheDirectives& request, PreciseTime now,
                        const CachePolicy& policy) {
  const bool honour = policy.honour_request_directives && request.present;
  if (stored.no_cache) return false;
  const milliseconds age = stored.precise_age(now);
  const milliseconds remaining = stored.lifetime - age;
  if (honour) {
    // A client that asked for certainty is told that there is none.
    if (request.no_cache || too_old(request, age) ||
        (request.min_fresh && remaining < *request.min_fresh)) {
      return false;
    }
  }
  if (remaining > milliseconds(0)) return true;
  if (stored.stale_forbidden) return false;
  const milliseconds staleness = -remaining;
  if (stored.stale_if_error) return staleness <= *stored.stale_if_error;
  if (honour && request.stale_if_error) return staleness <= *request.stale_if_error;
  return staleness <= policy.default_stale_if_error;
}

}  // namespace nearfield::http
