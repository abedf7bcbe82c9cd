#include "dataplane/http/storability.h"

#include <algorithm>

#include "dataplane/http/invalidate.h"
#include "dataplane/http/range.h"
#include "dataplane/http/vary.h"

namespace nearfield::http {

std::string_view storability_token(Storability verdict) {
  switch (verdict) {
    case Storability::kStorable:
      return "storable";
    case Storability::kMethod:
      return "method";
    case Storability::kRequestNoStore:
      return "request-no-store";
    case Storability::kNoStore:
      return "no-store";
    case Storability::kPrivate:
      return "private";
    case Storability::kAuthorization:
      return "authorization";
    case Storability::kStatus:
      return "status";
    case Storability::kSetCookie:
      return "set-cookie";
    case Storability::kVaryAny:
      return "vary-any";
    case Storability::kPartial:
      return "partial";
    case Storability::kUseless:
      return "no-lifetime";
  }
  return "unknown";
}

bool is_understood(std::uint16_t status) {
  if (is_heuristically_cacheable(status)) return true;
  switch (status) {
    case 201:
    case 202:
    case 302:
    case 303:
    case 307:
    case 400:
    case 401:
    case 403:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

namespace {

bool is_explicit(LifetimeSource source) {
  return source == LifetimeSource::kSharedMaxAge || source == LifetimeSource::kMaxAge ||
         source == LifetimeSource::kExpires;
}

bool method_allows(const RequestHead& request, std::uint16_t status, const Fields& response,
                   const Freshness& freshness, const CachePolicy& policy) {
  if (request.method == Method::kGet) return true;
  if (request.method != Method::kPost || !policy.store_post_responses) return false;
  return status == 200 && is_explicit(freshness.source) &&
         content_location_is_target(request, response);
}

bool has_validator(const Fields& response) {
  return response.contains("ETag") || response.contains("Last-Modified");
}

}  // namespace

Storability may_store(const RequestHead& request, const CacheDirectives& request_directives,
                      std::uint16_t status, const Fields& response,
                      const CacheDirectives& response_directives, const Freshness& freshness,
                      const CachePolicy& policy) {
  const CacheDirectives& directives = response_directives;
  if (!method_allows(request, status, response, freshness, policy)) return Storability::kMethod;
  if (status < 200 || status == 304) return Storability::kStatus;
  if (request_directives.no_store && policy.honour_request_directives) {
    return Storability::kRequestNoStore;
  }
  // must-understand: no-store is for caches that do not know the status (RFC 9111 5.2.2.3).
  if (directives.must_understand && !is_understood(status)) return Storability::kStatus;
  if (directives.no_store && !directives.must_understand) return Storability::kNoStore;
  if (directives.is_private) return Storability::kPrivate;
  if (request.fields.contains("Authorization") && !directives.is_public &&
      !directives.must_revalidate && !directives.s_maxage) {
    return Storability::kAuthorization;
  }
  if (!is_explicit(freshness.source) && !directives.is_public &&
      !is_heuristically_cacheable(status)) {
    return Storability::kStatus;
  }
  if (policy.set_cookie == SetCookie::kPass && response.contains("Set-Cookie")) {
    return Storability::kSetCookie;
  }
  if (!vary_names(response)) return Storability::kVaryAny;
  if (status == 206) {
    const auto range = response.count("Content-Range") == 1
                           ? parse_content_range(*response.find("Content-Range"))
                           : std::nullopt;
    if (!range || !range->range) return Storability::kPartial;
  }
  const bool never_fresh = freshness.no_cache || freshness.lifetime <= freshness.initial_age;
  const bool serves_stale =
      !freshness.no_cache && !freshness.stale_forbidden &&
      (freshness.stale_while_revalidate.count() > 0 ||
       freshness.stale_if_error.value_or(std::chrono::seconds(0)).count() > 0);
  if (never_fresh && !has_validator(response) && !serves_stale) return Storability::kUseless;
  return Storability::kStorable;
}

}  // namespace nearfield::http
