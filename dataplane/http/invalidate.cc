#include "dataplane/http/invalidate.h"

#include <algorithm>

#include "dataplane/http/authority.h"

namespace nearfield::http {
namespace {

constexpr std::size_t kMaxReferenceBytes = 8 * 1024;

// RFC 3986 5.2.4 on an absolute path.
std::string remove_dot_segments(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    // path begins with '/'.
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(1, end - 1);
    const bool is_last = end == path.size();
    if (segment == ".." || segment == ".") {
      if (segment == "..") out.resize(out.rfind('/') == std::string::npos ? 0 : out.rfind('/'));
      if (is_last) out += '/';
    } else {
      out += '/';
      out += segment;
    }
    path.remove_prefix(end);
  }
  return out.empty() ? "/" : out;
}

// "scheme:" at the start of a reference, without the colon.
std::string_view scheme_of(std::string_view reference) {
  for (std::size_t i = 0; i < reference.size(); ++i) {
    const char c = to_lower(reference[i]);
    if (c == ':') return i > 0 ? reference.substr(0, i) : std::string_view();
    const bool is_scheme_char =
        (c >= 'a' && c <= 'z') || (i > 0 && (is_digit(c) || c == '+' || c == '-' || c == '.'));
    if (!is_scheme_char) break;
  }
  return {};
}

}  // namespace

std::optional<std::string> resolve_same_origin(const RequestHead& request,
                                               std::string_view reference,
                                               const QueryRules& rules) {
  if (reference.size() > kMaxReferenceBytes || request.authority.empty()) return std::nullopt;
  reference = reference.substr(0, reference.find('#'));
  if (std::ranges::any_of(reference, [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) == 0x7f;
      })) {
    return std::nullopt;
  }
  if (const std::string_view scheme = scheme_of(reference); !scheme.empty()) {
    if (!equals_ignoring_case(scheme, scheme_text(request.scheme))) return std::nullopt;
    reference.remove_prefix(scheme.size() + 1);
    if (!reference.starts_with("//")) return std::nullopt;
  }
  const bool has_authority = reference.starts_with("//");
  if (has_authority) {
    reference.remove_prefix(2);
    const std::size_t end = std::min(reference.find_first_of("/?"), reference.size());
    std::string authority;
    if (!append_authority(authority, reference.substr(0, end), request.scheme) ||
        authority != request.authority) {
      return std::nullopt;
    }
    reference.remove_prefix(end);
  }

  const std::size_t path_end = std::min(reference.find('?'), reference.size());
  const std::string_view path = reference.substr(0, path_end);
  std::optional<std::string_view> query;
  if (path_end < reference.size()) query = reference.substr(path_end + 1);

  std::string resolved;
  if (path.starts_with('/')) {
    resolved = remove_dot_segments(path);
  } else if (has_authority) {
    resolved = "/";
  } else if (path.empty()) {
    resolved = request.path();
    if (!query) query = request.query();
  } else {
    const std::string_view base = request.path();
    const std::size_t slash = base.rfind('/');
    std::string merged(base.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
    if (merged.empty()) merged = "/";
    merged += path;
    resolved = remove_dot_segments(merged);
  }
  std::string key;
  append_cache_key(key, request.scheme, request.authority, resolved, query, rules);
  return key;
}

bool content_location_is_target(const RequestHead& request, const Fields& response) {
  if (response.count("Content-Location") != 1) return false;
  const auto location = resolve_same_origin(request, *response.find("Content-Location"), {});
  std::string target;
  append_cache_key(target, request, {});
  return location == target;
}

std::vector<std::string> invalidated_keys(const RequestHead& request, std::uint16_t status,
                                          const Fields& response, const QueryRules& rules) {
  std::vector<std::string> keys;
  if (is_safe(request.method) || status < 200 || status >= 400) return keys;
  append_cache_key(keys.emplace_back(), request, rules);
  for (std::string_view name : {"Location", "Content-Location"}) {
    const auto reference = response.find(name);
    if (!reference) continue;
    auto key = resolve_same_origin(request, *reference, rules);
    if (key && std::ranges::find(keys, *key) == keys.end()) keys.push_back(*std::move(key));
  }
  return keys;
}

}  // namespace nearfield::http
