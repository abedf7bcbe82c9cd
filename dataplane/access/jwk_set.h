// JWK Sets (RFC 7517) into keys. Strict where a mistake would weaken the node (short secrets,
// points off the curve, an "alg" that is missing), lenient where issuers publish one set for many
// verifiers: keys of kinds that no token here uses are skipped.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/access/key.h"

namespace nearfield::access {

inline constexpr std::size_t kMaximumKeySetBytes = std::size_t{256} << 10;
inline constexpr std::size_t kMaximumKeysInSet = 64;

// `origin` names the set in errors ("key set 'issuer', file /etc/keys.json"). Of two keys of the
// same kid and algorithm that are one key with and without its secret, the one with the secret
// stays; other doubles are an error.
Result<std::vector<std::shared_ptr<const Key>>> parse_jwk_set(std::string_view json,
                                                              const std::string& origin);

// The same of a file. `what` begins every error ("key set 'issuer'"), the file's name follows.
Result<std::vector<std::shared_ptr<const Key>>> load_jwk_set(const std::string& path,
                                                             const std::string& what);

}  // namespace nearfield::access
