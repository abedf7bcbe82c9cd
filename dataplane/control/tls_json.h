// What of a node's TLS is shown as JSON; docs/operations.md describes it.
#pragma once

#include <string>

#include "cache/base/clock.h"
#include "dataplane/control/tls_snapshot.h"

namespace boost::json {
class object;
}

namespace nearfield::control {

// The member "tls" of the status.
void add_tls_status(boost::json::object& status, const TlsSnapshot& tls, WallTime now);
// Every counter by its name.
boost::json::object tls_counters_object(const TlsTotals& totals);
// The document of GET /v1/tls.
std::string tls_json(const TlsSnapshot& tls, WallTime now);

}  // namespace nearfield::control
