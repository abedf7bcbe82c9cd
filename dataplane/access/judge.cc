#include "dataplane/access/judge.h"

#include <algorithm>
#include <format>

#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

// Values from tokens and requests in an explanation: printable, and not endless.
std::string shown(std::string_view text) {
  constexpr std::size_t kLongest = 200;
  std::string out = "'";
  std::size_t end = std::min(kLongest, text.size());
  // Not within a character of UTF-8.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
    --end;
  }
  for (const char c : text.substr(0, end)) {
    out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  }
  out += text.size() > kLongest ? "...'" : "'";
  return out;
}

std::string list_text(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + shown(text);
  return out.empty() ? "nothing" : out;
}

std::string list_text(const std::vector<Territory>& territories) {
  std::string out;
  for (const Territory& each : territories) {
    if (!out.empty()) out += ' ';
    out += each.text();
  }
  return out.empty() ? "none" : out;
}

}  // namespace

Digest single_use_identity(const Token& token, const Key& signer) {
  // RFC 7519 4.1.7: an id is unique among all that its issuer makes.
  const Digest issuer = token.issuer ? sha256(bytes_of(*token.issuer)) : signer.material();
  std::string text;
  text += static_cast<char>(token.kind);
  text += token.issuer ? 'i' : 'k';
  text += text_of(issuer);
  text += token.id;
  return sha256(bytes_of(text));
}

std::string time_text(WallTime time) { return std::format("{:%FT%TZ}", time); }

const std::string& RequestView::uri() {
  if (!uri_) uri_ = normal_uri(request_.scheme, request_.authority, target_);
  return *uri_;
}

std::string RequestView::part(UriPart part) {
  std::string text;
  const HostPort authority = split_authority(request_.authority, request_.scheme);
  switch (part) {
    case UriPart::kScheme:
      return std::string(http::scheme_text(request_.scheme));
    case UriPart::kHost:
      http::append_lower(text, authority.host);
      return text;
    case UriPart::kPort:
      return std::string(authority.port);
    case UriPart::kQuery:
      if (path().size() < target_.size())
        append_normal_query(text, target_.substr(path().size() + 1));
      return text;
    default:
      break;
  }
  append_normal_path(text, path());
  if (part == UriPart::kPath) return text;
  const std::size_t slash = text.rfind('/');
  if (slash == std::string::npos) return {};
  if (part == UriPart::kParentPath) return text.substr(0, slash);
  text.erase(0, slash + 1);
  if (part == UriPart::kFilename) return text;
  const std::size_t dot = text.rfind('.');
  if (part == UriPart::kStem) return text.substr(0, dot);
  return dot == std::string::npos ? std::string() : text.substr(dot);
}

Territory RequestView::territory() {
  if (!territory_) {
    territory_ =
        territories_ == nullptr ? Territory() : territories_->find(request_.client).territory;
  }
  return *territory_;
}

std::uint32_t RequestView::network_number() {
  if (!network_number_) {
    network_number_ = networks_ == nullptr ? 0 : networks_->find(request_.client).network_number;
  }
  return *network_number_;
}

template <typename Detail>
bool Judge::require(bool holds, Reason why, std::string_view subject, Detail detail) {
  if (!holds && !has_failed()) reason_ = why;
  if (steps_ == nullptr) return holds;
  steps_->push_back({holds ? ExplainStep::Verdict::kHolds : ExplainStep::Verdict::kRefuses,
                     std::string(subject), detail()});
  return true;
}

std::chrono::seconds Judge::leeway(const Token& token) const {
  return token.kind == TokenKind::kCat ? options_.cat_leeway : std::chrono::seconds(0);
}

Reason Judge::judge(const Token& token, const KeySet* keys) {
  // Expiry first, as before a signature is verified: a token that ran out has one reason.
  const bool done =
      expiry(token) &&
      require(token.unsupported.empty(), Reason::kUnsupportedClaim, "claims",
              [&] {
                return token.unsupported.empty()
                           ? std::string("all that restrict are understood")
                           : token.unsupported + " restricts and cannot be judged here";
              }) &&
      critical_claims(token) && (keys == nullptr || issuer(token, *keys)) && audience(token) &&
      not_before(token) && lifetime(token) && method(token) && client(token) && uri(token) &&
      headers(token) && token_territories(token) && rule_territory(&token) && licence(&token);
  static_cast<void>(done);
  return reason_;
}

Reason Judge::judge_open() {
  const bool done = rule_territory(nullptr) && licence(nullptr);
  static_cast<void>(done);
  return has_failed() ? reason_ : Reason::kOpen;
}

Reason Judge::judge_expiry(const Token& token) {
  expiry(token);
  return reason_;
}

bool Judge::critical_claims(const Token& token) {
  for (const std::string& name : token.critical) {
    const bool is_understood =
        rule_.territory_source == TerritorySource::kToken && name == rule_.territory_claim &&
        std::ranges::any_of(token.private_claims,
                            [&name](const auto& claim) { return claim.name == name; });
    if (!require(is_understood, Reason::kUnsupportedClaim, "cdnicrit",
                 [&] { return "the claim " + shown(name) + " must be understood"; })) {
      return false;
    }
  }
  return true;
}

bool Judge::issuer(const Token& token, const KeySet& keys) {
  if (!token.issuer) {
    return require(!keys.issuer_required, Reason::kWrongIssuer, "iss", [&] {
      return std::string(keys.issuer_required
                             ? "there is none, and key set '" + keys.name + "' wants one"
                             : "there is none");
    });
  }
  const bool is_known = keys.issuers.empty() || std::ranges::contains(keys.issuers, *token.issuer);
  return require(is_known, Reason::kWrongIssuer, "iss", [&] {
    return shown(*token.issuer) + (keys.issuers.empty() ? "; key set '" + keys.name + "' allows any"
                                                        : "; allowed: " + list_text(keys.issuers));
  });
}

bool Judge::audience(const Token& token) {
  if (!token.audiences) return true;
  const bool is_ours = std::ranges::any_of(*token.audiences, [this](const std::string& each) {
    return std::ranges::contains(rule_.audiences, each);
  });
  return require(is_ours, Reason::kWrongAudience, "aud", [&] {
    return "for " + list_text(*token.audiences) + "; this node is " + list_text(rule_.audiences);
  });
}

bool Judge::expiry(const Token& token) {
  if (!token.expires) {
    return require(!rule_.expiry_required, Reason::kTooLong, "exp",
                   [] { return std::string("the token never expires"); });
  }
  const WallTime end = *token.expires;
  if (clock_.is_sane) {
    return require(clock_.now < end + leeway(token), Reason::kExpired, "exp",
                   [&] { return "until " + time_text(end) + ", now " + time_text(clock_.now); });
  }
  if (!require(end > clock_.proven, Reason::kExpired, "exp", [&] {
        return "until " + time_text(end) + "; the clock is not trusted, but it is later than " +
               time_text(clock_.proven);
      })) {
    return false;
  }
  return require(clock_.now < end + options_.untrusted_tolerance, Reason::kClockNotSane, "exp",
                 [&] {
                   return "until " + time_text(end) +
                          "; by the clock, which is not trusted, now is " + time_text(clock_.now);
                 });
}

bool Judge::not_before(const Token& token) {
  if (!token.not_before) return true;
  const WallTime start = *token.not_before;
  if (clock_.is_sane) {
    return require(start <= clock_.now + leeway(token), Reason::kNotYetValid, "nbf", [&] {
      return "from " + time_text(start) + " on, now " + time_text(clock_.now);
    });
  }
  return require(start <= clock_.proven + leeway(token), Reason::kClockNotSane, "nbf", [&] {
    return "from " + time_text(start) +
           " on; the clock is not trusted, and only proven to be past " + time_text(clock_.proven);
  });
}

bool Judge::lifetime(const Token& token) {
  const auto most = options_.maximum_token_lifetime;
  if (most.count() == 0) return true;
  if (!token.expires) {
    return require(false, Reason::kTooLong, "lifetime",
                   [] { return std::string("the token never expires, and there is a limit"); });
  }
  const auto lives = *token.expires - token.issued.value_or(std::max(clock_.now, clock_.proven));
  return require(lives <= most, Reason::kTooLong, "lifetime",
                 [&] { return std::format("{} s of at most {} s", lives.count(), most.count()); });
}

bool Judge::method(const Token& token) {
  if (!token.methods) return true;
  return require(std::ranges::any_of(
                     *token.methods,
                     [this](const std::string& each) { return each == request_.request().method; }),
                 Reason::kWrongMethod, "catm", [&] {
                   return "for " + list_text(*token.methods) + ", asked with " +
                          shown(request_.request().method);
                 });
}

bool Judge::client(const Token& token) {
  if (!token.names_networks) return true;
  const net::Address& address = request_.request().client;
  bool holds = std::ranges::any_of(
      token.networks, [&address](const Network& each) { return each.contains(address); });
  Reason why = Reason::kWrongClient;
  if (!holds && !token.network_numbers.empty()) {
    if (request_.knows_networks()) {
      const std::uint32_t number = request_.network_number();
      holds = number != 0 && std::ranges::contains(token.network_numbers, number);
    } else {
      why = Reason::kUnsupportedClaim;
    }
  }
  return require(holds, why, token.kind == TokenKind::kCat ? "catnip" : "cdniip", [&] {
    std::string allowed;
    for (const Network& each : token.networks) allowed += each.text() + " ";
    for (const std::uint32_t each : token.network_numbers) allowed += std::format("AS{} ", each);
    return "for " + allowed + "; the client is " + address.text() +
           (token.network_numbers.empty() ? ""
            : request_.knows_networks()   ? std::format(" of AS{}", request_.network_number())
                                          : "; there is no database of networks");
  });
}

bool Judge::match(const Match& match, std::string_view text, Reason why, std::string_view subject) {
  const std::optional<bool> result = expressions_.matches(match, text);
  return require(result.value_or(false), result ? why : Reason::kMalformed, subject, [&] {
    // What is no token to the rule, as of its spelling, still stands in the text.
    std::string cleaned;
    const std::string_view loggable = without_names(text, policy_.secret_names, cleaned);
    const bool is_digest = match.type == MatchType::kSha256 || match.type == MatchType::kSha512_256;
    return shown(loggable) + " " + std::string(match_type_name(match.type)) + " " +
           (is_digest ? hex(bytes_of(match.value)) : shown(match.value)) +
           (result ? "" : " (which is no expression)");
  });
}

bool Judge::match_unseen(const Match& match, std::string_view text, Reason why,
                         std::string_view subject) {
  const std::optional<bool> result = expressions_.matches(match, text);
  return require(result.value_or(false), result ? why : Reason::kMalformed, subject, [&] {
    return "must be a value that " + std::string(match_type_name(match.type)) +
           (result ? " what the token says" : " what is no expression") +
           (result.value_or(false) ? ": it is" : ": it is not");
  });
}

bool Judge::uri(const Token& token) {
  if (token.container && !match(*token.container, request_.uri(), Reason::kWrongUri, "cdniuc")) {
    return false;
  }
  if (token.uri) {
    for (const UriCondition& each : *token.uri) {
      const std::string subject = "catu " + std::string(uri_part_name(each.part));
      if (!match(each.match, request_.part(each.part), Reason::kWrongUri, subject)) return false;
    }
  }
  const bool has_limit = token.container || (token.uri && !token.uri->empty());
  // RFC 9246 2.1.10: mandatory.
  const bool is_wanted = rule_.uri_required || token.kind == TokenKind::kUriSigning;
  if (has_limit || !is_wanted) return true;
  return require(false, Reason::kWrongUri, token.kind == TokenKind::kCat ? "catu" : "cdniuc",
                 [] { return std::string("the token does not say for which URIs it is"); });
}

bool Judge::headers(const Token& token) {
  if (!token.headers) return true;
  for (const HeaderCondition& each : *token.headers) {
    const http::Fields* fields = request_.request().fields;
    const auto value = fields == nullptr ? std::nullopt : fields->combined(each.name);
    const std::string subject = "cath " + each.name;
    if (!value) {
      if (!require(false, Reason::kWrongHeader, subject,
                   [] { return std::string("the request has no such header"); })) {
        return false;
      }
      continue;
    }
    // It may be a credential, or another token.
    if (!match_unseen(each.match, *value, Reason::kWrongHeader, subject)) return false;
  }
  return true;
}

bool Judge::token_territories(const Token& token) {
  // With kToken the issuer vouches for where the listener is; the rule looks at it below.
  if (!token.territories || rule_.territory_source == TerritorySource::kToken) return true;
  const Territory territory = request_.territory();
  const bool holds =
      territory.is_known() && std::ranges::any_of(*token.territories, [&](const std::string& each) {
        return Territory::parse(each) == territory;
      });
  return require(
      holds, request_.knows_territories() ? Reason::kWrongTerritory : Reason::kUnsupportedClaim,
      "catgeoiso3166", [&] {
        return "for " + list_text(*token.territories) +
               (request_.knows_territories() ? "; the client is in " + std::string(territory.text())
                                             : "; there is no database of territories");
      });
}

std::vector<Territory> Judge::territories_of(const Token* token) {
  std::vector<Territory> territories;
  if (rule_.territory_source == TerritorySource::kClient) {
    if (request_.territory().is_known()) territories.push_back(request_.territory());
    return territories;
  }
  if (token == nullptr) return territories;
  const std::vector<std::string>* codes = token->territories ? &*token->territories : nullptr;
  for (const PrivateClaim& claim : token->private_claims) {
    if (claim.name == rule_.territory_claim) codes = &claim.values;
  }
  if (codes == nullptr) return territories;
  for (const std::string& code : *codes) {
    // Of "DE-BY" the country counts.
    const auto territory = Territory::parse(std::string_view(code).substr(0, code.find('-')));
    territories.push_back(territory.value_or(Territory()));
  }
  return territories;
}

bool Judge::is_allowed(Territory territory) const {
  if (!territory.is_known()) return false;
  if (std::ranges::contains(rule_.refused_territories, territory)) return false;
  return rule_.allowed_territories.empty() ||
         std::ranges::contains(rule_.allowed_territories, territory);
}

bool Judge::rule_territory(const Token* token) {
  if (rule_.allowed_territories.empty() && rule_.refused_territories.empty()) return true;
  const std::vector<Territory> territories = territories_of(token);
  bool holds =
      std::ranges::all_of(territories, [this](Territory each) { return is_allowed(each); });
  if (territories.empty()) {
    // It may be a refused one as well as one that is not allowed.
    holds = rule_.territory_source == TerritorySource::kClient && rule_.unknown_territory_allowed;
  }
  return require(holds, Reason::kWrongTerritory, "territory", [&] {
    return "allowed: " +
           (rule_.allowed_territories.empty() ? std::string("all")
                                              : list_text(rule_.allowed_territories)) +
           ", refused: " + list_text(rule_.refused_territories) +
           "; the listener's: " + (territories.empty() ? "not known" : list_text(territories));
  });
}

bool Judge::licence(const Token* token) {
  if (rule_.licence.empty()) return true;
  std::optional<std::vector<Territory>> territories;
  const auto covers = [&](const Window& window) {
    if (window.territories.empty()) return true;
    if (!territories) territories = territories_of(token);
    if (territories->empty()) {
      return rule_.territory_source == TerritorySource::kClient && rule_.unknown_territory_allowed;
    }
    return std::ranges::all_of(*territories, [&window](Territory each) {
      return std::ranges::contains(window.territories, each);
    });
  };
  // Never open early: while the clock is not trusted, a window has begun when that is proven, and
  // has ended when the clock or what is proven says so.
  const WallTime earliest = clock_.is_sane ? clock_.now : clock_.proven;
  const WallTime latest = clock_.is_sane ? clock_.now : std::max(clock_.now, clock_.proven);
  bool holds = false;
  bool would_hold = false;
  for (const Window& window : rule_.licence) {
    if (latest >= window.until || !covers(window)) continue;
    holds |= earliest >= window.from;
    would_hold |= latest >= window.from;
  }
  return require(
      holds, would_hold ? Reason::kClockNotSane : Reason::kOutsideLicence, "licence", [&] {
        std::string windows;
        for (const Window& window : rule_.licence) {
          windows += (window.from == WallTime::min() ? "always" : time_text(window.from)) + " to " +
                     (window.until == WallTime::max() ? "ever" : time_text(window.until)) +
                     (window.territories.empty() ? "" : " in " + list_text(window.territories)) +
                     "; ";
        }
        return windows + "now " + time_text(clock_.now) +
               (clock_.is_sane ? ""
                               : ", not trusted; proven to be past " + time_text(clock_.proven));
      });
}

}  // namespace nearfield::access
