#include "dataplane/access/renewal.h"

#include <algorithm>

#include "dataplane/http/forward.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

// CATs that do not say when: in their last minute.
constexpr std::chrono::seconds kDefaultDeadline{60};

// RFC 9246 2.1.13: the first `depth` segments of the path; nullopt when it has fewer.
std::optional<std::string> path_prefix(std::string_view path, std::uint32_t depth) {
  if (depth == 0) return "/";
  std::size_t end = 0;
  for (std::uint32_t i = 0; i < depth; ++i) {
    if (end >= path.size() || path[end] != '/') return std::nullopt;
    end = std::min(path.find('/', end + 1), path.size());
  }
  return std::string(path.substr(0, end));
}

// What may stand in Set-Cookie without starting another attribute.
bool is_attribute_text(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    return c == ';' || c == ',' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

// Whether a new token may be sent in a header of this name: in none that the node's answer stands
// or falls with (framing, routing, caching, content), nor in one that goes no further than the next
// hop, whatever an issuer writes (RFC 9110 7.6.1, RFC 9113 8.2.2). Cookies have a way of their own.
bool may_carry_token(std::string_view name) {
  http::Fields fields;
  fields.add(name, "token");
  http::remove_hop_by_hop(fields);
  // What no trailer may say no renewal may either.
  http::remove_forbidden_trailers(fields);
  constexpr std::string_view kContent = "content-";
  return !fields.empty() && !http::equals_ignoring_case(name.substr(0, kContent.size()), kContent);
}

bool is_due(const Token& token, const Candidate& candidate, WallTime now) {
  const auto left = token.expires ? *token.expires - now : std::chrono::seconds::max();
  if (token.kind == TokenKind::kCat) {
    return token.expires && left <= token.renewal->deadline.value_or(kDefaultDeadline);
  }
  // The first of a chain comes in the URI and must become a cookie before the next request; from
  // then on half of the lifetime is soon enough, for every renewal costs a signature.
  const bool starts_chain = candidate.place != Place::kCookie;
  return starts_chain || left <= token.renewal->lifetime / 2;
}

}  // namespace

std::optional<RenewalPlan> plan_renewal(const Rule& rule, const Token& token,
                                        const Candidate& candidate, std::string_view path,
                                        WallTime now) {
  using Transport = RenewalTerms::Transport;
  // One that is for one use is used up: another with its id would be refused, and with another id
  // be a second use.
  if (rule.renewal_key == nullptr || !token.renewal || token.single_use ||
      !is_due(token, candidate, now)) {
    return std::nullopt;
  }
  const RenewalTerms& terms = *token.renewal;
  RenewalPlan plan;
  const bool as_header =
      terms.transport == Transport::kHeader ||
      (terms.transport == Transport::kAsReceived && candidate.place == Place::kHeader);
  const bool as_cookie =
      terms.transport == Transport::kCookie ||
      (terms.transport == Transport::kAsReceived && candidate.place == Place::kCookie);
  if (as_header) {
    plan.in_cookie = false;
    plan.name = terms.header_name.empty() ? rule.cat.header : terms.header_name;
  } else if (as_cookie) {
    const std::string& usual =
        token.kind == TokenKind::kCat ? rule.cat.cookie : rule.uri_signing.cookie;
    plan.name = terms.cookie_name.empty() ? usual : terms.cookie_name;
    const auto prefix = path_prefix(path, terms.depth);
    if (!prefix || !is_attribute_text(*prefix)) return std::nullopt;
    plan.path = *prefix;
  } else {
    return std::nullopt;  // by redirection, which only an origin could do
  }
  if (!http::is_token(plan.name)) return std::nullopt;
  if (!plan.in_cookie && !may_carry_token(plan.name)) return std::nullopt;
  if (!std::ranges::all_of(terms.parameters, is_attribute_text)) return std::nullopt;
  return plan;
}

Renewal renewal_field(const RenewalPlan& plan, const Token& token, http::Scheme scheme,
                      std::string_view new_token) {
  Renewal field;
  if (!plan.in_cookie) {
    field.field_name = plan.name;
    field.field_value = new_token;
    for (const std::string& each : token.renewal->parameters) field.field_value += ";" + each;
    return field;
  }
  field.field_name = "Set-Cookie";
  field.field_value = plan.name + "=" + std::string(new_token);
  if (!token.renewal->parameters.empty()) {
    for (const std::string& each : token.renewal->parameters) field.field_value += "; " + each;
    return field;
  }
  field.field_value += "; Path=" + plan.path +
                       "; Max-Age=" + std::to_string(token.renewal->lifetime.count()) +
                       "; HttpOnly";
  // A player's page is often of another site than the node, and browsers then send a cookie only
  // when it says so, which takes https.
  if (scheme == http::Scheme::kHttps) field.field_value += "; Secure; SameSite=None";
  return field;
}

std::string make_renewed_token(const Rule& rule, const Token& token, WallTime now) {
  return token.kind == TokenKind::kCat
             ? renew_common_access_token(token, *rule.renewal_key, now, rule.renewal_issuer)
             : renew_signed_uri_token(token, *rule.renewal_key, now, rule.renewal_issuer);
}

}  // namespace nearfield::access
