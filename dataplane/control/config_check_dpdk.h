// What of a configuration must fit together when packets are our own.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "dataplane/control/config.h"

namespace nearfield::control {

// Complains by key path, and fills in the number of workers when it is left to us.
void check_dpdk(Config& config,
                const std::function<void(std::string_view key, std::string reason)>& complain);

}  // namespace nearfield::control
