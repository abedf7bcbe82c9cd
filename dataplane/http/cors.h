// Cross-origin resource sharing as players in browsers need it: the answer to a preflight, and the
// fields on everything else. Answered here, not at the origin: a preflight costs a round trip
// before the first note. Fields an origin already set stay.
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

struct CorsConfig {
  bool enabled = true;
  // "*" allows everyone; else the exact origins ("https://player.example"), of which the asking one
  // is echoed.
  std::vector<std::string> allowed_origins = {"*"};
  // With echoed origins only: Access-Control-Allow-Credentials (never beside "*", by the Fetch
  // standard).
  bool allow_credentials = false;
  std::string allowed_methods = "GET, HEAD, OPTIONS";
  std::string allowed_fields =
      "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Content-Type, "
      "CMCD-Object, CMCD-Request, "
      "CMCD-Session, CMCD-Status";
  std::string exposed_fields =
      "Content-Length, Content-Range, Accept-Ranges, Age, Cache-Status, Date, ETag, Server-Timing";
  std::chrono::seconds max_age{86400};
  // Timing-Allow-Origin, so that a player may measure its own start-up; "" leaves it out.
  std::string timing_allow_origin = "*";
};

// Adds the names that the lists do not have to those of allowed and of exposed fields.
void allow_and_expose(CorsConfig& config, std::span<const std::string> names);

// OPTIONS with Origin and Access-Control-Request-Method.
bool is_preflight(const RequestHead& request);
// The fields of a 204 answer. An origin that is not allowed gets none, and its browser refuses by
// itself.
void append_preflight_fields(Fields& response, const RequestHead& request,
                             const CorsConfig& config);
// What any other response gets beside the fields that it has (`present`, null for none), on the
// listener's side only (never stored): Allow-Origin, Expose-Headers, Timing-Allow-Origin and, when
// the origin is echoed, Vary: Origin. Nothing of a name that is there already, and nothing of CORS
// where the origin speaks it.
Fields cors_fields(const Fields* present, const RequestHead& request, const CorsConfig& config);

}  // namespace nearfield::http
