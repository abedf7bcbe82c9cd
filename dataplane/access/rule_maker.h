// One rule as it is in force, out of its options. For this folder only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "dataplane/access/options.h"
#include "dataplane/access/policy.h"
#include "dataplane/access/rules.h"

namespace nearfield::access {

// What rules refer to.
struct RuleSurroundings {
  // Null: one that was told to be broken, so that nobody knows its keys.
  std::map<std::string, std::shared_ptr<const KeySet>, std::less<>> key_sets;
  bool has_territory_database = false;  // broken or not
};

// Tells what is wrong below `place`, the rule's own. What comes back is of use when nothing was
// told; host and path are empty when they were what is wrong, and right otherwise.
std::unique_ptr<Rule> make_rule(const RuleOptions& options, const RuleSurroundings& surroundings,
                                const std::string& place, const TellProblem& tell);

}  // namespace nearfield::access
