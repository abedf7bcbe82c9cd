#include "dataplane/access/reason.h"

namespace nearfield::access {

std::string_view reason_name(Reason reason) {
  static constexpr std::array<std::string_view, kReasons> kNames = {"no_rules",
                                                                    "open",
                                                                    "token_holds",
                                                                    "no_rule",
                                                                    "denied_by_rule",
                                                                    "no_token",
                                                                    "too_large",
                                                                    "malformed",
                                                                    "algorithm",
                                                                    "unknown_key",
                                                                    "bad_signature",
                                                                    "expired",
                                                                    "not_yet_valid",
                                                                    "too_long",
                                                                    "wrong_issuer",
                                                                    "wrong_audience",
                                                                    "wrong_uri",
                                                                    "wrong_client",
                                                                    "wrong_method",
                                                                    "wrong_header",
                                                                    "wrong_territory",
                                                                    "outside_licence",
                                                                    "clock_not_sane",
                                                                    "unsupported_claim",
                                                                    "replayed",
                                                                    "ambiguous_target",
                                                                    "busy"};
  return kNames[static_cast<std::size_t>(reason)];
}

}  // namespace nearfield::access
