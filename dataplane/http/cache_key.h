// The cache key of a request: its target URI in one normal form, "http://host[:port]/path[?query]",
// readable in logs and usable as a prefix for purging. Normalised: host to lower case, the default
// port dropped, percent-encodings to upper case hex and decoded where they stand for a letter,
// digit, '-', '_' or '~' (RFC 3986 6.2.2.1-2: the same resource by definition). Not normalised,
// because an origin sees the target as received and may tell them apart, which would let one
// listener choose what others get: dot segments (so "%2E" stays too), doubled slashes, '+', the
// order of parameters.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

// Which query parameters do not name another object.
class QueryRules {
 public:
  QueryRules() = default;
  // Each pattern is a parameter name ("CMCD") or a prefix with a final star ("token*"),
  // case-sensitive, compared after percent-normalisation, at most 64 of them. `forward_dropped`:
  // whether the origin still sees them. Fails on an empty name, a star elsewhere, or a character
  // that cannot stand in a name ('&', '=', '#', space).
  static Result<QueryRules> make(std::span<const std::string> patterns, bool forward_dropped);

  bool drops(std::string_view name) const;
  bool empty() const { return exact_.empty() && prefixes_.empty(); }
  bool forward_dropped() const { return forward_dropped_; }

 private:
  std::vector<std::string> exact_;
  std::vector<std::string> prefixes_;
  bool forward_dropped_ = true;
};

// Whether every '%' begins an encoding: is followed by two hexadecimal digits.
bool is_well_encoded(std::string_view text);

// Appends the key. When the rules leave nothing of a query the '?' goes as well; a bare '?' as
// received stays.
void append_cache_key(std::string& out, Scheme scheme, std::string_view authority,
                      std::string_view path, std::optional<std::string_view> query,
                      const QueryRules& rules);
inline void append_cache_key(std::string& out, const RequestHead& request,
                             const QueryRules& rules) {
  append_cache_key(out, request.scheme, request.authority, request.path(), request.query(), rules);
}

// The target the origin is asked for: as received, less the dropped parameters if the rules say so.
void append_forward_target(std::string& out, const RequestHead& request, const QueryRules& rules);

}  // namespace nearfield::http
