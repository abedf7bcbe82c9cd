#include "dataplane/http/cache_key.h"

#include <algorithm>

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

constexpr std::size_t kMaxPatterns = 64;

// Unreserved of RFC 3986 2.3 but '.', which could become a dot segment.
bool is_decodable(char c) {
  const char lower = to_lower(c);
  return (lower >= 'a' && lower <= 'z') || is_digit(c) || c == '-' || c == '_' || c == '~';
}

// Appends with percent-encodings normalised. Text with a broken encoding stays as it is throughout:
// decoding a part of it could complete the broken one ("%2%46" -> "%2F"), and give one resource the
// key of another.
void append_normal(std::string& out, std::string_view text) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  if (!text.contains('%') || !is_well_encoded(text)) {
    out += text;
    return;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = hex_value(text[i + 1]);
    const int low = hex_value(text[i + 2]);
    const char decoded = static_cast<char>(high * 16 + low);
    if (is_decodable(decoded)) {
      out += decoded;
    } else {
      out += '%';
      out += kHex[static_cast<std::size_t>(high)];
      out += kHex[static_cast<std::size_t>(low)];
    }
    i += 2;
  }
}

bool drops_parameter(const QueryRules& rules, std::string_view parameter) {
  const std::string_view name = parameter.substr(0, parameter.find('='));
  if (!name.contains('%')) return rules.drops(name);
  std::string normal;
  append_normal(normal, name);
  return rules.drops(normal);
}

// Appends '?' and the parameters that the rules leave, each through `append`.
template <typename Append>
void append_query(std::string& out, std::string_view query, const QueryRules& rules,
                  Append append) {
  bool dropped = false;
  bool first = true;
  while (true) {
    const std::size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    if (drops_parameter(rules, parameter)) {
      dropped = true;
    } else if (!(parameter.empty() && end == std::string_view::npos && first && dropped)) {
      out += first ? '?' : '&';
      append(out, parameter);
      first = false;
    }
    if (end == std::string_view::npos) return;
    query.remove_prefix(end + 1);
  }
}

}  // namespace

bool is_well_encoded(std::string_view text) {
  for (std::size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 3)) {
    if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
      return false;
  }
  return true;
}

Result<QueryRules> QueryRules::make(std::span<const std::string> patterns, bool forward_dropped) {
  if (patterns.size() > kMaxPatterns) {
    return failure("more than " + std::to_string(kMaxPatterns) +
                   " query parameter patterns: use prefixes such as 'token*'");
  }
  QueryRules rules;
  rules.forward_dropped_ = forward_dropped;
  for (const std::string& pattern : patterns) {
    std::string_view name = pattern;
    const bool is_prefix = name.ends_with('*');
    if (is_prefix) name.remove_suffix(1);
    const bool clean = std::ranges::all_of(name, [](char c) {
      return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f &&
             !std::string_view("&=#*").contains(c);
    });
    if (name.empty() || !clean) {
      return failure(
          "query parameter pattern '" + pattern +
          "' is neither a name nor a prefix with a final star: write e.g. 'CMCD' or 'token*'");
    }
    std::string normal;
    append_normal(normal, name);
    (is_prefix ? rules.prefixes_ : rules.exact_).push_back(std::move(normal));
  }
  return rules;
}

bool QueryRules::drops(std::string_view name) const {
  return std::ranges::any_of(exact_, [name](const std::string& exact) { return exact == name; }) ||
         std::ranges::any_of(
             prefixes_, [name](const std::string& prefix) { return name.starts_with(prefix); });
}

void append_cache_key(std::string& out, Scheme scheme, std::string_view authority,
                      std::string_view path, std::optional<std::string_view> query,
                      const QueryRules& rules) {
  out += scheme_text(scheme);
  out += "://";
  out += authority;
  append_normal(out, path);
  if (!query) return;
  if (rules.empty()) {
    out += '?';
    append_normal(out, *query);
  } else {
    append_query(out, *query, rules,
                 [](std::string& key, std::string_view text) { append_normal(key, text); });
  }
}

void append_forward_target(std::string& out, const RequestHead& request, const QueryRules& rules) {
  const auto query = request.query();
  if (!query || rules.empty() || rules.forward_dropped()) {
    out += request.target;
    return;
  }
  out += request.path();
  append_query(out, *query, rules,
               [](std::string& target, std::string_view text) { target += text; });
}

}  // namespace nearfield::http
