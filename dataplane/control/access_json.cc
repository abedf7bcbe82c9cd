// See access_json.h.
#include "dataplane/control/access_json.h"

#include <boost/json.hpp>
#include <utility>

namespace nearfield::control {

namespace json = boost::json;

json::object access_status_object(const AccessSnapshot& access) {
  std::uint64_t allowed = 0;
  std::uint64_t refused = 0;
  for (std::size_t reason = 0; reason < access::kReasons; ++reason) {
    (is_allowed(static_cast<access::Reason>(reason)) ? allowed : refused) +=
        access.decisions[reason];
  }
  return {{"rules", access.rules},
          {"clock_trusted", access.clock_trusted},
          {"clock_behind_seconds", access.clock_behind.count()},
          {"allowed", allowed},
          {"refused", refused}};
}

json::object access_counters_object(const AccessSnapshot& access) {
  json::object decisions;
  for (std::size_t reason = 0; reason < access::kReasons; ++reason) {
    decisions.emplace(reason_name(static_cast<access::Reason>(reason)), access.decisions[reason]);
  }
  json::object result{{"known_good", access.known_good},
                      {"known_bad", access.known_bad},
                      {"signatures_verified", access.signatures_verified},
                      {"macs_verified", access.macs_verified},
                      {"renewals", access.renewals}};
  result.emplace("decisions", std::move(decisions));
  return result;
}

}  // namespace nearfield::control
