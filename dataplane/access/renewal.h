// New tokens for old ones (RFC 9246 3, catr of CTA-5007-A): when one is due, and the field it
// travels in.
#pragma once

#include <optional>
#include <string>

#include "dataplane/access/candidates.h"
#include "dataplane/access/check.h"
#include "dataplane/access/rules.h"
#include "dataplane/access/token.h"

namespace nearfield::access {

// How a renewed token will travel; nullopt when none is due, or the listener cannot be given one.
struct RenewalPlan {
  bool in_cookie = true;
  std::string name;  // of cookie or header
  std::string path;  // of the cookie
};
std::optional<RenewalPlan> plan_renewal(const Rule& rule, const Token& token,
                                        const Candidate& candidate, std::string_view path,
                                        WallTime now);

// The field with the token in it.
Renewal renewal_field(const RenewalPlan& plan, const Token& token, http::Scheme scheme,
                      std::string_view new_token);

// Signs; costs as much as half a verification.
std::string make_renewed_token(const Rule& rule, const Token& token, WallTime now);

}  // namespace nearfield::access
