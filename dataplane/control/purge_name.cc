// Strict about what a request could never have asked for: such a name matches nothing, and "purged
// 0" would hide the slip.
#include "dataplane/control/purge_name.h"

#include <algorithm>
#include <format>
#include <optional>

#include "dataplane/http/authority.h"

namespace nearfield::control {
namespace {

struct Parts {
  http::Scheme scheme = http::Scheme::kHttp;
  std::string authority;  // in the normal form
  std::string_view path;  // "/" when the URL has none
  std::optional<std::string_view> query;
};

constexpr std::size_t kMaximumUrlBytes = 64 * 1024;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool has_broken_escape(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') continue;
    if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return true;
  }
  return false;
}

Result<Parts> split(std::string_view url) {
  const auto bad = [](std::string_view why) {
    return failure(
        std::format("the URL {}: write it like http://music.example/album/track.mp4", why));
  };
  if (url.size() > kMaximumUrlBytes) return bad("is longer than 64 KiB");
  if (!std::ranges::all_of(url, [](char c) { return c > ' ' && c < 0x7f; })) {
    return bad("has spaces, control bytes or bytes beyond ASCII (percent-encode them)");
  }
  Parts parts;
  std::string lower_scheme(url.substr(0, url.find(':')));
  std::ranges::transform(lower_scheme, lower_scheme.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (lower_scheme == "https") {
    parts.scheme = http::Scheme::kHttps;
  } else if (lower_scheme != "http") {
    return bad("does not begin with http:// or https://");
  }
  std::string_view rest = url.substr(lower_scheme.size());
  if (!rest.starts_with("://")) return bad("does not begin with http:// or https://");
  rest.remove_prefix(3);
  if (rest.contains('#')) return bad("has a fragment ('#'), which no request carries");
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!http::append_authority(parts.authority, rest.substr(0, end), parts.scheme)) {
    return bad("has no usable host");
  }
  rest.remove_prefix(end);
  const std::size_t question = rest.find('?');
  if (question != std::string_view::npos) parts.query = rest.substr(question + 1);
  parts.path = rest.substr(0, question);
  if (parts.path.empty()) parts.path = "/";
  return parts;
}

}  // namespace

Result<std::string> purge_name(std::string_view url, const http::QueryRules& rules) {
  const auto parts = split(url);
  if (!parts) return std::unexpected(parts.error());
  std::string key;
  http::append_cache_key(key, parts->scheme, parts->authority, parts->path, parts->query, rules);
  return key;
}

Result<std::string> purge_prefix(std::string_view url) {
  const auto parts = split(url);
  if (!parts) return std::unexpected(parts.error());
  if (has_broken_escape(url)) {
    return failure("the prefix ends within a percent-encoding: end it before the '%' or after");
  }
  std::string key;
  http::append_cache_key(key, parts->scheme, parts->authority, parts->path, parts->query,
                         http::QueryRules());
  return key;
}

}  // namespace nearfield::control
