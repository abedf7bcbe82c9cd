#include "dataplane/control/purge_name.h"

#include <optional>

#include "dataplane/access/check.h"
#include "dataplane/control/url.h"

namespace nearfield::control {

Result<std::string> purge_name(std::string_view url, const http::QueryRules& rules,
                               const access::AccessPolicy& access) {
  const auto parts = Url::parse(url);
  if (!parts) return std::unexpected(parts.error());
  // As for requests: tokens first, then the query rules.
  const std::string target = access::target_without_tokens(access, parts->target());
  const std::string_view text = target;
  const std::size_t mark = text.find('?');
  const auto query = mark == std::string_view::npos ? std::optional<std::string_view>()
                                                    : std::optional(text.substr(mark + 1));
  std::string key;
  http::append_cache_key(key, parts->scheme, parts->authority, text.substr(0, mark), query, rules);
  return key;
}

Result<std::string> purge_prefix(std::string_view url, const access::AccessPolicy& access) {
  const auto parts = Url::parse(url);
  if (!parts) return std::unexpected(parts.error());
  if (!http::is_well_encoded(url)) {
    return failure("the prefix ends within a percent-encoding: end it before the '%' or after");
  }
  if (const std::string target = parts->target();
      access::target_without_tokens(access, target) != target) {
    return failure("the prefix has a token in it, and no name in the cache has: end it before");
  }
  std::string key;
  http::append_cache_key(key, parts->scheme, parts->authority, parts->path, parts->query,
                         http::QueryRules());
  return key;
}

}  // namespace nearfield::control
