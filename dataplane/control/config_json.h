// The configuration as it is in force, for GET /v1/config: the keys of the file, with the unit
// added where the file writes it in the value
// ("header_timeout_ms": 10000, "ram_bytes": 1073741824).
#pragma once

#include <string>

#include "dataplane/control/config.h"

namespace nearfield::control {

std::string config_json(const Config& config);

}  // namespace nearfield::control
