#include "dataplane/access/candidates.h"

namespace nearfield::access {
namespace {

void add_from_target(Candidates& out, TokenKind kind, std::string_view name, bool in_path_too,
                     std::span<const FoundToken> in_target) {
  if (name.empty()) return;
  for (const FoundToken& each : in_target) {
    if (each.name != name || (each.in_path && !in_path_too)) continue;
    out.add({kind, each.in_path ? Place::kPath : Place::kQuery, each.name, each.value});
    return;  // the first one counts (RFC 9246 2)
  }
}

void add_from_cookies(Candidates& out, TokenKind kind, std::string_view name,
                      const http::Fields* fields) {
  if (name.empty() || fields == nullptr) return;
  // Cookies of several paths may have one name; RFC 6265 5.4 puts the longest path first.
  fields->each_value("Cookie", [&](std::string_view field) {
    each_cookie(field, name,
                [&](std::string_view value) { out.add({kind, Place::kCookie, name, value}); });
  });
}

}  // namespace

Candidates find_candidates(const Rule& rule, std::span<const FoundToken> in_target,
                           const http::Fields* fields) {
  Candidates out;
  if (rule.takes_signed_uris) {
    add_from_target(out, TokenKind::kUriSigning, rule.uri_signing.attribute, true, in_target);
  }
  if (rule.takes_cats) {
    if (!rule.cat.header.empty() && fields != nullptr) {
      if (const auto value = fields->find(rule.cat.header)) {
        out.add({TokenKind::kCat, Place::kHeader, rule.cat.header, *value});
      }
    }
    add_from_target(out, TokenKind::kCat, rule.cat.parameter, false, in_target);
  }
  if (rule.takes_signed_uris) {
    add_from_cookies(out, TokenKind::kUriSigning, rule.uri_signing.cookie, fields);
  }
  if (rule.takes_cats) add_from_cookies(out, TokenKind::kCat, rule.cat.cookie, fields);
  return out;
}

std::string place_text(const Candidate& candidate) {
  static constexpr std::string_view kPlaces[] = {"path parameter ", "query parameter ", "cookie ",
                                                 "header "};
  return std::string(kPlaces[static_cast<std::size_t>(candidate.place)]) +
         std::string(candidate.name);
}

std::expected<TriedKeys, Reason> select_keys(const KeyRing& ring, const Envelope& envelope) {
  TriedKeys tried;
  for (const TrustedKey& each : ring.keys) {
    if (each.key->algorithm() != envelope.algorithm) continue;
    if (envelope.key_id && each.key->id() != *envelope.key_id) continue;
    if (!tried.add(&each)) break;
  }
  if (!tried.empty()) return tried;
  return std::unexpected(ring.has(envelope.algorithm) ? Reason::kUnknownKey : Reason::kAlgorithm);
}

bool open_sealed_claims(const KeyRing& ring, Token& token) {
  if (token.sealed_client.empty()) return true;
  std::optional<std::string> plain;
  for (const auto& key : ring.sealing) {
    plain = open_sealed(token.sealed_client, {&key, 1});
    if (!plain) continue;
    token.sealing_key = key->fingerprint();
    break;
  }
  if (!plain) return false;
  // RFC 9246's own example has brackets around the prefix: "[2001:db8::1/32]".
  std::string_view text = *plain;
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const auto network = Network::parse(text);
  if (!network) return false;
  token.networks.push_back(*network);
  token.sealed_client = std::string();
  return true;
}

}  // namespace nearfield::access
