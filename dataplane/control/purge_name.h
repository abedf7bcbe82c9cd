// The names that a purge means: a URL as people have it, brought into the form the cache keeps
// names in (http/cache_key.h).
#pragma once

#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "dataplane/access/policy.h"
#include "dataplane/http/cache_key.h"

namespace nearfield::control {

// "http://Music.example:80/a%7Eb?CMCD=1" -> the key of that request under `rules` and `access`:
// what is a token by any access rule is left out, so that a listener's URL purges what that
// listener got.
Result<std::string> purge_name(std::string_view url, const http::QueryRules& rules,
                               const access::AccessPolicy& access);

// What the keys of everything under `url` begin with. A URL without a path means the whole host and
// nothing that merely begins like it. A query in it is compared as it stands: rules say which
// parameters to drop, not which prefixes of them. Fails when a token is in it: no key begins so,
// and what begins like the rest may be far more than was meant.
Result<std::string> purge_prefix(std::string_view url, const access::AccessPolicy& access);

}  // namespace nearfield::control
