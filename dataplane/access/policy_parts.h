// What an AccessPolicy is made of; for this folder only.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/access/policy.h"
#include "dataplane/access/rules.h"
#include "dataplane/access/target.h"

namespace nearfield::access {

struct AccessPolicy::Parts {
  std::vector<std::shared_ptr<const KeySet>> key_sets;
  std::vector<std::unique_ptr<Rule>> rules;
  RuleIndex index;
  Mode unmatched = Mode::kDenied;
  TokenNames names;                  // in targets, of all rules
  std::vector<std::string> headers;  // that carry tokens, of all rules
  std::vector<std::string> cookies;
  std::shared_ptr<const PrefixDatabase> territories;  // may be null
  std::shared_ptr<const PrefixDatabase> networks;     // may be null
  ClockOptions clock;
};

}  // namespace nearfield::access
