// CachePolicy: where RFC 9111 leaves a choice to the operator of a shared cache. Defaults are the
// cautious, RFC-conforming ones; the configuration fills it in once and hands it to the pure
// functions of this folder.
#pragma once

#include <chrono>
#include <cstdint>

namespace nearfield::http {

enum class SetCookie : std::uint8_t { kStore, kStrip, kPass };

struct CachePolicy {
  // Heuristic freshness: this share of the time since Last-Modified (RFC 9111 4.2.2 suggests 10 %),
  // at most the bound. 0 percent switches heuristics off.
  std::uint32_t heuristic_percent = 10;
  std::chrono::seconds heuristic_max{24 * 3600};
  // How long past its freshness a response may stand in for an origin that fails, where the
  // response itself does not say and nothing forbids it (RFC 9111 4.2.4, "disconnected").
  std::chrono::seconds default_stale_if_error{24 * 3600};
  // A response with Set-Cookie and explicit freshness: RFC 9111 7.3 leaves it to the origin, which
  // must say private if it means that. kStrip stores it without the cookies, kPass does not store
  // it.
  SetCookie set_cookie = SetCookie::kStore;
  // Whether a 200 to POST with explicit freshness and a Content-Location of its own target answers
  // later GETs (RFC 9110 9.3.3).
  bool store_post_responses = false;
  // Whether Cache-Control and Pragma of requests count. An operator whose clients abuse no-cache
  // can switch it off.
  bool honour_request_directives = true;
};

}  // namespace nearfield::http
