// Request targets as access control sees them: tokens taken out, percent-encodings in normal form,
// ambiguous paths recognised. Nothing here trusts the target beyond what the request parser
// promises.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/http/request_head.h"
#include "dataplane/http/text.h"

namespace nearfield::access {

// Names that tokens may have in the targets of any rule. They are looked for percent-encoded or
// not, also when that was encoded again (the '%' of it); attributes in whatever case, and in paths
// behind an encoded ';' too. A query is cut at '&' only: ';' and "%26" are parts of its values.
struct TokenNames {
  std::vector<std::string> attributes;  // path parameters and query parameters (RFC 9246 2)
  std::vector<std::string> parameters;  // query parameters only; short words, whose case counts
};

struct FoundToken {
  std::string_view name;
  std::string_view value;  // as it stands
  bool in_path = false;
};

// Takes every parameter of these names out, in path and query, with the delimiter that belongs to
// it (RFC 9246 2.1.15: the one before it, or, when another parameter follows, the one after it).
// Returns false, and leaves `stripped` alone, when there is none. The views of `found` are into
// `target`, in the order in which they stand; at most 8, further ones are taken out unseen. So is
// what is not spelt as in `names`: it must not pass for a part of the object's name, and is no
// token either. Allocates only when it takes something out.
bool strip_tokens(std::string_view target, const TokenNames& names, std::string& stripped,
                  std::vector<FoundToken>& found);

// For what is logged or shown: a target or URI without anything that reads "name=value", in any
// spelling and wherever a word may begin. The text itself, without allocation, when there is none;
// else `cleaned`.
std::string_view without_names(std::string_view text, std::span<const std::string> names,
                               std::string& cleaned);

// A path in the normal form of RFC 3986 6.2.2: hexadecimal digits of encodings upper case,
// unreserved characters decoded.
void append_normal_path(std::string& out, std::string_view path);
inline void append_normal_query(std::string& out, std::string_view query) {
  append_normal_path(out, query);
}

// Whether origins may disagree about which resource the path names: no leading '/', dot segments,
// doubled slashes, encoded or backward slashes, encoded NUL, broken encodings, a dot segment or
// a doubled slash that path parameters hide ("..;x", "/;x/").
bool is_ambiguous_path(std::string_view path);

// A path in normal form without its path parameters, as some origins read it; the same text when
// there are none. "%3B" counts as ';'.
std::string without_path_parameters(std::string_view path);

// Host and port of an authority in lower case; the port as text, that of the scheme when there is
// none.
struct HostPort {
  std::string_view host;
  std::string_view port;
  bool is_default_port = true;
};
HostPort split_authority(std::string_view authority, http::Scheme scheme);

// The URI in normal form (RFC 3986 6.2.2-3): "https://host[:port]/path[?query]", default port
// dropped. `target` without tokens.
std::string normal_uri(http::Scheme scheme, std::string_view authority, std::string_view target);

// Calls visit(pair) for each cookie of one Cookie field ("name=value"), without spaces around it.
template <typename Visit>
void each_pair(std::string_view field, Visit visit) {
  while (true) {
    const std::size_t end = field.find(';');
    visit(http::trim_ows(field.substr(0, end)));
    if (end == std::string_view::npos) return;
    field.remove_prefix(end + 1);
  }
}

// The value of a cookie of this name in one Cookie field; every occurrence calls visit(value).
template <typename Visit>
void each_cookie(std::string_view field, std::string_view name, Visit visit) {
  each_pair(field, [&](std::string_view pair) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.substr(0, equals) != name) return;
    std::string_view value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    visit(value);
  });
}

}  // namespace nearfield::access
