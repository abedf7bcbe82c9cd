// explain(): the whole chain of reasoning for one request, for the operator at the control socket.
// It says what every claim demands and whether that holds, and never shows a token, a signature or
// a key: a token is "token 1, query parameter URISigningPackage, 412 bytes".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/access/check.h"

namespace nearfield::access {

struct ExplainStep {
  enum class Verdict : std::uint8_t { kInformation, kHolds, kRefuses };
  Verdict verdict = Verdict::kInformation;
  std::string subject;  // "rule", "token 1", "signature", "exp", "cdniuc", "territory", "licence"
  std::string detail;   // one line for people
};

struct Explanation {
  Reason reason = Reason::kNoRules;
  std::string target;  // without tokens
  std::string rule;
  std::vector<ExplainStep> steps;  // in the order in which they were decided
};

// Verifies signatures anew: nothing is cached, counted, limited or used up, and claims are judged
// also when the signature or an earlier one refuses; a token that cannot be read has none.
// `replay` and `time_floor` may be null: nothing was used, and no clock was heard before. Any
// thread.
Explanation explain(const AccessPolicy& policy, const AccessRequest& request,
                    const ReplayTable* replay, const TimeFloor* time_floor = nullptr);

}  // namespace nearfield::access
