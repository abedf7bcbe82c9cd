// What of a configuration must fit together when packets are our own.
#pragma once

#include "dataplane/control/config.h"

namespace nearfield::control {

// Complains by key path, and fills in the number of workers when it is left to us.
void check_dpdk(Config& config, const ComplainOfKey& complain);

}  // namespace nearfield::control
