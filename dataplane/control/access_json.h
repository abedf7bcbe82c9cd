// What is shown of who may listen as JSON; docs/operations.md describes it.
#pragma once

#include "dataplane/control/access_snapshot.h"

namespace boost::json {
class object;
}

namespace nearfield::control {

// The member "access" of the status.
boost::json::object access_status_object(const AccessSnapshot& access);
// The member "access" of the counters.
boost::json::object access_counters_object(const AccessSnapshot& access);

}  // namespace nearfield::control
