// Options into what an AccessPolicy is made of, in one pass that tells every problem. For this
// folder only.
#pragma once

#include <memory>

#include "dataplane/access/options.h"
#include "dataplane/access/policy.h"
#include "dataplane/access/policy_parts.h"

namespace nearfield::access {

// Null when a problem was told.
std::unique_ptr<AccessPolicy::Parts> make_policy_parts(const AccessOptions& options,
                                                       const TellProblem& tell);
// With databases that are open already (or null); the paths of the options are not looked at.
std::unique_ptr<AccessPolicy::Parts> make_policy_parts(
    const AccessOptions& options, std::shared_ptr<const PrefixDatabase> territories,
    std::shared_ptr<const PrefixDatabase> networks, const TellProblem& tell);

}  // namespace nearfield::access
