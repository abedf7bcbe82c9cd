// The names that a purge means: a URL as people have it, brought into the form the cache keeps
// names in (http/cache_key.h).
#pragma once

#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "dataplane/http/cache_key.h"

namespace nearfield::control {

// "http://Music.example:80/a%7Eb?token=1" -> the key of that request under `rules`.
Result<std::string> purge_name(std::string_view url, const http::QueryRules& rules);

// What the keys of everything under `url` begin with. A URL without a path means the whole host and
// nothing that merely begins like it. A query in it is compared as it stands: rules say which
// parameters to drop, not which prefixes of them.
Result<std::string> purge_prefix(std::string_view url);

}  // namespace nearfield::control
