#include "dataplane/http/freshness.h"

#include <algorithm>

#include "dataplane/http/date.h"

namespace nearfield::http {

using std::chrono::floor;
using std::chrono::milliseconds;
using std::chrono::seconds;

std::chrono::milliseconds Freshness::precise_age(PreciseTime now) const {
  // corrected_initial_age + resident_time
  return initial_age + std::max(now - response_time, milliseconds(0));
}

std::chrono::seconds Freshness::age(PreciseTime now) const {
  return std::min(floor<seconds>(precise_age(now)), kMaxSeconds);
}

std::chrono::seconds age_value(const Fields& response) {
  const auto value = response.find("Age");
  if (!value) return seconds(0);
  // RFC 9111 5.1: of a list (a cache before us that repeated the field) the first member counts.
  const std::string_view first = trim_ows(value->substr(0, value->find(',')));
  if (first.empty()) return seconds(0);
  std::int64_t age = 0;
  for (char c : first) {
    if (!is_digit(c)) return seconds(0);
    if (age < kMaxSeconds.count()) age = age * 10 + (c - '0');
  }
  return std::min(seconds(age), kMaxSeconds);
}

WallTime date_value(const Fields& response, WallTime response_time) {
  if (response.count("Date") != 1) return response_time;
  return parse_http_date(*response.find("Date"), response_time).value_or(response_time);
}

std::chrono::milliseconds corrected_initial_age(const Fields& response,
                                                const ExchangeTimes& times) {
  const WallTime received = floor<seconds>(times.response_time);
  const seconds apparent_age = std::max(received - date_value(response, received), seconds(0));
  const milliseconds delay = std::max(times.response_time - times.request_time, milliseconds(0));
  return std::min<milliseconds>(std::max<milliseconds>(apparent_age, age_value(response) + delay),
                                kMaxSeconds);
}

bool is_heuristically_cacheable(std::uint16_t status) {
  switch (status) {
    case 200:
    case 203:
    case 204:
    case 206:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
    case 414:
    case 501:
      return true;
    default:
      return false;
  }
}

namespace {

Lifetime expires_lifetime(const Fields& response, WallTime response_time) {
  Lifetime lifetime{seconds(0), LifetimeSource::kExpires};
  if (response.count("Expires") != 1) return lifetime;
  if (const auto expires = parse_http_date(*response.find("Expires"), response_time)) {
    lifetime.seconds =
        std::clamp(*expires - date_value(response, response_time), seconds(0), kMaxSeconds);
  }
  return lifetime;
}

Lifetime heuristic_lifetime(std::uint16_t status, const Fields& response,
                            const CacheDirectives& directives, WallTime response_time,
                            const CachePolicy& policy) {
  if (policy.heuristic_percent == 0 || response.contains("Set-Cookie")) return {};
  if (!is_heuristically_cacheable(status) && !directives.is_public) return {};
  if (response.count("Last-Modified") != 1) return {};
  const auto modified = parse_http_date(*response.find("Last-Modified"), response_time);
  if (!modified) return {};
  const seconds unchanged = date_value(response, response_time) - *modified;
  if (unchanged <= seconds(0)) return {};
  return {std::min(unchanged * policy.heuristic_percent / 100, policy.heuristic_max),
          LifetimeSource::kHeuristic};
}

}  // namespace

Lifetime freshness_lifetime(std::uint16_t status, const Fields& response,
                            const CacheDirectives& directives, WallTime response_time,
                            const CachePolicy& policy) {
  if (directives.s_maxage) return {*directives.s_maxage, LifetimeSource::kSharedMaxAge};
  if (directives.max_age) return {*directives.max_age, LifetimeSource::kMaxAge};
  if (!directives.targeted && response.contains("Expires")) {
    return expires_lifetime(response, response_time);
  }
  return heuristic_lifetime(status, response, directives, response_time, policy);
}

Freshness compute_freshness(std::uint16_t status, const Fields& response,
                            const CacheDirectives& directives, const ExchangeTimes& times,
                            const CachePolicy& policy) {
  Freshness freshness;
  const Lifetime lifetime =
      freshness_lifetime(status, response, directives, floor<seconds>(times.response_time), policy);
  freshness.response_time = times.response_time;
  freshness.initial_age = corrected_initial_age(response, times);
  freshness.lifetime = lifetime.seconds;
  freshness.source = lifetime.source;
  freshness.no_cache = directives.no_cache;
  freshness.stale_forbidden =
      directives.must_revalidate || directives.proxy_revalidate || directives.s_maxage.has_value();
  freshness.immutable = directives.immutable;
  freshness.stale_while_revalidate = directives.stale_while_revalidate.value_or(seconds(0));
  freshness.stale_if_error = directives.stale_if_error;
  return freshness;
}

}  // namespace nearfield::http
