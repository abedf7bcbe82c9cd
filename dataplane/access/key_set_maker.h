// One key set out of its files. For this folder only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/access/options.h"
#include "dataplane/access/policy.h"
#include "dataplane/access/rules.h"

namespace nearfield::access {

// Null when a problem was told; `place` is that of the set. Files with more than public keys are
// added to `files_with_secrets`, each once.
std::shared_ptr<const KeySet> make_key_set(const KeySetOptions& options, const std::string& place,
                                           const TellProblem& tell,
                                           std::vector<std::string>& files_with_secrets);

}  // namespace nearfield::access
