// Freshness: the age arithmetic of RFC 9111 4.2, done once when a response is stored or freshened,
// so that a hit compares two numbers. Times are milliseconds, so that a lifetime of one second is
// one second and not "until the next tick"; an age is rounded down once, when it is written. Pure
// functions of the response, the times of its exchange and the policy.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "dataplane/http/cache_control.h"
#include "dataplane/http/cache_policy.h"
#include "dataplane/http/fields.h"

namespace nearfield::http {

// A WallTime converts to it by itself.
using PreciseTime = std::chrono::sys_time<std::chrono::milliseconds>;

// When the request that brought this response (or freshened it) left, and when the response's head
// arrived.
struct ExchangeTimes {
  PreciseTime request_time;
  PreciseTime response_time;
};

enum class LifetimeSource : std::uint8_t { kNone, kSharedMaxAge, kMaxAge, kExpires, kHeuristic };

struct Lifetime {
  std::chrono::seconds seconds{0};
  LifetimeSource source = LifetimeSource::kNone;
};

// All a hit needs to know, precomputed; trivially copyable.
struct Freshness {
  PreciseTime response_time{};
  std::chrono::milliseconds initial_age{0};  // corrected_initial_age
  std::chrono::seconds lifetime{0};
  LifetimeSource source = LifetimeSource::kNone;
  bool no_cache = false;         // never without validation
  bool stale_forbidden = false;  // must-revalidate, proxy-revalidate, s-maxage
  bool immutable = false;
  std::chrono::seconds stale_while_revalidate{0};
  std::optional<std::chrono::seconds> stale_if_error;

  // current_age; never below initial_age, also when the clock stepped back.
  std::chrono::milliseconds precise_age(PreciseTime now) const;
  // The same for an Age field: whole seconds, rounded down, at most kMaxSeconds.
  std::chrono::seconds age(PreciseTime now) const;
  bool is_fresh(PreciseTime now) const { return lifetime > precise_age(now); }
  // lifetime - age, rounded down: negative once stale. What Cache-Status calls ttl.
  std::chrono::seconds remaining(PreciseTime now) const {
    return std::chrono::floor<std::chrono::seconds>(lifetime - precise_age(now));
  }
};

// The Age field (RFC 9111 5.1): the first value of the first field; negative, not a number or
// absent counts as 0, too large as kMaxSeconds.
std::chrono::seconds age_value(const Fields& response);
// The Date field; response_time where it is missing or unreadable (RFC 9110 6.6.1).
WallTime date_value(const Fields& response, WallTime response_time);
// max(apparent age, corrected age value) (RFC 9111 4.2.3).
std::chrono::milliseconds corrected_initial_age(const Fields& response, const ExchangeTimes& times);
// RFC 9111 4.2.1-2: s-maxage, max-age, Expires less Date, a share of the time since Last-Modified.
// An Expires that is repeated, unreadable or "0" is in the past. No heuristic beside Set-Cookie:
// what is meant for one must say so to be shared.
Lifetime freshness_lifetime(std::uint16_t status, const Fields& response,
                            const CacheDirectives& directives, WallTime response_time,
                            const CachePolicy& policy);

Freshness compute_freshness(std::uint16_t status, const Fields& response,
                            const CacheDirectives& directives, const ExchangeTimes& times,
                            const CachePolicy& policy);

// Status codes with heuristic freshness by definition (RFC 9110 15.1).
bool is_heuristically_cacheable(std::uint16_t status);

}  // namespace nearfield::http
