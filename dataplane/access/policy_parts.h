// What an AccessPolicy is made of; for this folder only.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/access/policy.h"
#include "dataplane/access/rules.h"
#include "dataplane/access/target.h"

namespace nearfield::access {

struct AccessPolicy::Parts {
  std::vector<std::shared_ptr<const KeySet>> key_sets;
  std::vector<std::string> files_with_secrets;  // each once
  std::vector<std::unique_ptr<Rule>> rules;
  RuleIndex index;
  Mode unmatched = Mode::kDenied;
  TokenNames names;  // in targets, of all rules
  // Every name that a token has by any rule, and by default: never logged.
  std::vector<std::string> secret_names{UriSigningPlaces().attribute, CatPlaces().parameter,
                                        CatPlaces().header};
  std::vector<std::string> headers;  // that carry tokens, of all rules
  std::vector<std::string> cookies;
  std::shared_ptr<const PrefixDatabase> territories;  // may be null
  std::shared_ptr<const PrefixDatabase> networks;     // may be null
  ClockOptions clock;
};

// The rule for a host (without port, lower case) and a path (without tokens and query). With
// `is_ambiguous` origins may read the path in a way that another rule is for, or none.
struct FoundRule {
  const Rule* rule = nullptr;
  bool is_ambiguous = false;
};
FoundRule find_rule(const AccessPolicy::Parts& parts, std::string_view host, std::string_view path);

}  // namespace nearfield::access
