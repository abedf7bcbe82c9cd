#include "dataplane/control/url.h"

#include <algorithm>
#include <format>

#include "dataplane/http/authority.h"
#include "dataplane/http/text.h"

namespace nearfield::control {
namespace {

constexpr std::size_t kMaximumUrlBytes = 64 * 1024;

}  // namespace

Result<Url> Url::parse(std::string_view text) {
  const auto bad = [](std::string_view why) {
    return failure(
        std::format("the URL {}: write it like http://music.example/album/track.mp4", why));
  };
  if (text.size() > kMaximumUrlBytes) return bad("is longer than 64 KiB");
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; })) {
    return bad("has spaces, control bytes or bytes beyond ASCII (percent-encode them)");
  }
  Url url;
  std::string scheme(text.substr(0, text.find(':')));
  std::ranges::transform(scheme, scheme.begin(), http::to_lower);
  if (scheme == "https") {
    url.scheme = http::Scheme::kHttps;
  } else if (scheme != "http") {
    return bad("does not begin with http:// or https://");
  }
  std::string_view rest = text.substr(scheme.size());
  if (!rest.starts_with("://")) return bad("does not begin with http:// or https://");
  rest.remove_prefix(3);
  if (rest.contains('#')) return bad("has a fragment ('#'), which no request carries");
  const std::size_t end = std::min(rest.find_first_of("/?"), rest.size());
  if (!http::append_authority(url.authority, rest.substr(0, end), url.scheme)) {
    return bad("has no usable host");
  }
  rest.remove_prefix(end);
  const std::size_t question = rest.find('?');
  if (question != std::string_view::npos) url.query = rest.substr(question + 1);
  url.path = rest.substr(0, question);
  if (url.path.empty()) url.path = "/";
  return url;
}

std::string Url::target() const {
  std::string text(path);
  if (query) text.append("?").append(*query);
  return text;
}

}  // namespace nearfield::control
