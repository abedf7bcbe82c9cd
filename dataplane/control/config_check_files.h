// The files that a configuration names: certificates, keys, databases. What is wrong with them is
// said at the keys that name them, all of it at once. Part of loading a configuration (config.cc).
//
// Only reads. `complain` gets a key's path and what is wrong with it; `warnings` what is bearable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/access/policy.h"
#include "dataplane/control/config.h"

namespace nearfield::control {

// The rules, keys and databases of [access], ready to be used; null when something was complained
// of.
std::shared_ptr<const access::AccessPolicy> read_access(const access::AccessOptions& options,
                                                        const ComplainOfKey& complain,
                                                        std::vector<std::string>& warnings);

// What a start reads for listeners with TLS and for origins. Nothing is kept.
void check_tls_files(const Config& config, WallTime now, const ComplainOfKey& complain,
                     std::vector<std::string>& warnings);

}  // namespace nearfield::control
