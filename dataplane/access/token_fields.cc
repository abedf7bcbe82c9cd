// Token headers and cookies of a request: found, and taken out.
#include <algorithm>
#include <string>

#include "dataplane/access/check.h"
#include "dataplane/access/policy_parts.h"
#include "dataplane/access/target.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

bool is_token_cookie(std::string_view pair, const std::vector<std::string>& names) {
  const std::string_view name = http::trim_ows(pair.substr(0, pair.find('=')));
  return std::ranges::any_of(names, [name](const std::string& each) { return each == name; });
}

bool has_token_cookie(std::string_view field, const std::vector<std::string>& names) {
  bool found = false;
  each_pair(field, [&](std::string_view pair) { found |= is_token_cookie(pair, names); });
  return found;
}

// A player's requests name the address it was loaded from, whose token is as good as its own.
bool refers_with_token(const http::Fields& fields, const AccessPolicy& policy) {
  bool found = false;
  std::string cleaned;
  fields.each_value("Referer", [&](std::string_view value) {
    found |= loggable(policy, value, cleaned).size() != value.size();
  });
  return found;
}

}  // namespace

std::string target_without_tokens(const AccessPolicy& policy, std::string_view target) {
  std::string stripped;
  std::vector<FoundToken> found;
  return strip_tokens(target, policy.parts().names, stripped, found) ? stripped
                                                                     : std::string(target);
}

std::string_view loggable(const AccessPolicy& policy, std::string_view text, std::string& cleaned) {
  return without_names(text, policy.parts().secret_names, cleaned);
}

bool carries_token_fields(const AccessPolicy& policy, const http::Fields* fields) {
  if (fields == nullptr) return false;
  const AccessPolicy::Parts& parts = policy.parts();
  if (std::ranges::any_of(parts.headers,
                          [fields](const std::string& name) { return fields->contains(name); })) {
    return true;
  }
  bool found = refers_with_token(*fields, policy);
  fields->each_value(
      "Cookie", [&](std::string_view value) { found |= has_token_cookie(value, parts.cookies); });
  return found;
}

void remove_token_fields(const AccessPolicy& policy, http::Fields& fields) {
  const AccessPolicy::Parts& parts = policy.parts();
  for (const std::string& name : parts.headers) fields.remove(name);
  if (refers_with_token(fields, policy)) fields.remove("Referer");
  std::string kept;
  bool removed = false;
  fields.each_value("Cookie", [&](std::string_view value) {
    each_pair(value, [&](std::string_view pair) {
      if (is_token_cookie(pair, parts.cookies)) {
        removed = true;
      } else if (!pair.empty()) {
        kept += kept.empty() ? "" : "; ";
        kept += pair;
      }
    });
  });
  if (!removed) return;
  fields.remove("Cookie");
  if (!kept.empty()) fields.add("Cookie", kept);
}

}  // namespace nearfield::access
