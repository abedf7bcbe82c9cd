// Signed JWTs of RFC 9246: form, claims, renewal.
#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <utility>

#include "dataplane/access/token.h"

namespace nearfield::access {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaximumHeaderBytes = 1024;
constexpr std::size_t kMaximumPrivateClaims = 16;
constexpr std::size_t kMaximumDepth = 8;
constexpr std::size_t kParserMemory = 8192;

std::optional<json::object> parse_object(std::string_view text, json::storage_ptr memory) {
  boost::system::error_code error;
  json::parse_options options;
  options.max_depth = kMaximumDepth;
  json::value value = json::parse(text, error, std::move(memory), options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

bool read_text(const json::value& value, std::string& out) {
  if (!value.is_string()) return false;
  out = std::string(value.get_string());
  return true;
}

bool read_integer(const json::value& value, std::int64_t& out) {
  if (value.is_int64()) {
    out = value.get_int64();
    return true;
  }
  if (value.is_double() && std::abs(value.get_double()) < 1e15 &&
      std::floor(value.get_double()) == value.get_double()) {
    out = static_cast<std::int64_t>(value.get_double());
    return true;
  }
  return false;
}

bool read_time(const json::value& value, bool round_up, std::optional<WallTime>& out) {
  if (value.is_int64()) {
    out = wall_time_of(value.get_int64());
  } else if (value.is_double()) {
    out = wall_time_of(round_up ? std::ceil(value.get_double()) : value.get_double());
  }
  return out.has_value();
}

bool read_texts(const json::value& value, std::vector<std::string>& out) {
  if (value.is_string()) {
    out.emplace_back(value.get_string());
    return true;
  }
  if (!value.is_array() || value.get_array().size() > kMaximumListEntries) return false;
  return std::ranges::all_of(value.get_array(), [&out](const json::value& each) {
    return read_text(each, out.emplace_back());
  });
}

std::vector<std::string> split_at_commas(std::string_view text) {
  std::vector<std::string> names;
  while (names.size() < kMaximumListEntries) {
    const std::size_t end = text.find(',');
    std::string_view name = text.substr(0, end);
    while (name.starts_with(' ')) name.remove_prefix(1);
    while (name.ends_with(' ')) name.remove_suffix(1);
    names.emplace_back(name);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return names;
}

// RFC 9246 2.1.15. The hash is the URL segment form of RFC 6920 5: "sha-256;" and base64url.
bool read_container(std::string_view text, Token& token, Reason& problem) {
  static constexpr std::string_view kHash = "hash:";
  static constexpr std::string_view kRegex = "regex:";
  Match match;
  if (text.starts_with(kRegex)) {
    match.type = MatchType::kPosix;
    match.value = std::string(text.substr(kRegex.size()));
    if (match.value.size() > kMaximumExpressionBytes) {
      problem = Reason::kTooLarge;
      return false;
    }
  } else if (text.starts_with(kHash)) {
    text.remove_prefix(kHash.size());
    static constexpr std::string_view kSha256 = "sha-256;";
    if (!text.starts_with(kSha256)) {
      if (token.unsupported.empty()) token.unsupported = "cdniuc (hash function)";
      return true;
    }
    const auto digest = decode_base64url(text.substr(kSha256.size()));
    if (!digest || digest->size() != sizeof(Digest)) return false;
    match.type = MatchType::kSha256;
    match.value = std::string(text_of(*digest));
  } else {
    if (token.unsupported.empty()) token.unsupported = "cdniuc (form)";
    return true;
  }
  token.container = std::move(match);
  return true;
}

// Claims that come before others need not be there yet: what depends on two is judged afterwards.
struct RenewalClaims {
  std::optional<std::int64_t> transport;  // cdnistt
  std::optional<double> lifetime;         // cdniets
  std::int64_t depth = 0;                 // cdnistd
};

bool read_claim(std::string_view name, const json::value& value, Token& token,
                RenewalClaims& renewal, Reason& problem) {
  if (name == "iss") return read_text(value, token.issuer.emplace());
  if (name == "aud") return read_texts(value, token.audiences.emplace());
  if (name == "exp") return read_time(value, false, token.expires);
  if (name == "nbf") return read_time(value, true, token.not_before);
  if (name == "iat") return read_time(value, false, token.issued);
  if (name == "jti") {
    token.single_use = true;
    return read_text(value, token.id) && !token.id.empty();
  }
  if (name == "sub") return value.is_string();
  if (name == "cdniv") {
    std::int64_t version = 0;
    if (!read_integer(value, version)) return false;
    if (version != 1 && token.unsupported.empty()) token.unsupported = "cdniv";
    return true;
  }
  if (name == "cdnicrit") {
    std::string names;
    if (!read_text(value, names)) return false;
    token.critical = split_at_commas(names);
    return true;
  }
  if (name == "cdniip") {
    token.names_networks = true;
    return read_text(value, token.sealed_client) && !token.sealed_client.empty();
  }
  if (name == "cdniuc") {
    std::string text;
    return read_text(value, text) && read_container(text, token, problem);
  }
  if (name == "cdniets") {
    if (!value.is_number()) return false;
    renewal.lifetime = value.to_number<double>();
    return *renewal.lifetime >= 0 && *renewal.lifetime < 1e9;
  }
  if (name == "cdnistt") return read_integer(value, renewal.transport.emplace());
  if (name == "cdnistd") return read_integer(value, renewal.depth) && renewal.depth >= 0;
  PrivateClaim claim{std::string(name), {}};
  if (token.private_claims.size() < kMaximumPrivateClaims && read_texts(value, claim.values)) {
    token.private_claims.push_back(std::move(claim));
  }
  return true;
}

// RFC 9246 3.2.1: both or neither.
bool settle_renewal(const RenewalClaims& claims, Token& token) {
  if (!claims.transport) return true;
  if (!claims.lifetime) return false;
  if (*claims.transport < 0 || *claims.transport > 2) {
    if (token.unsupported.empty()) token.unsupported = "cdnistt";
    return true;
  }
  if (*claims.transport == 0) return true;
  RenewalTerms terms;
  terms.transport =
      *claims.transport == 1 ? RenewalTerms::Transport::kCookie : RenewalTerms::Transport::kOther;
  terms.lifetime = std::chrono::seconds(static_cast<std::int64_t>(*claims.lifetime));
  terms.depth = static_cast<std::uint32_t>(std::min<std::int64_t>(claims.depth, 1 << 20));
  token.renewal = std::move(terms);
  return true;
}

std::expected<void, Reason> read_header(std::string_view encoded, Envelope& envelope) {
  if (encoded.size() > kMaximumHeaderBytes) return std::unexpected(Reason::kTooLarge);
  const auto bytes = decode_base64url(encoded);
  if (!bytes) return std::unexpected(Reason::kMalformed);
  unsigned char buffer[kParserMemory];
  json::monotonic_resource memory(buffer);
  const auto header = parse_object(text_of(*bytes), &memory);
  if (!header) return std::unexpected(Reason::kMalformed);
  std::string algorithm;
  const json::value* alg = header->if_contains("alg");
  if (alg == nullptr || !read_text(*alg, algorithm)) return std::unexpected(Reason::kMalformed);
  if (algorithm == "ES256") {
    envelope.algorithm = Algorithm::kEs256;
  } else if (algorithm == "HS256") {
    envelope.algorithm = Algorithm::kHs256;
  } else {
    return std::unexpected(Reason::kAlgorithm);  // "none" too
  }
  // Extensions that must be understood (RFC 7515 4.1.11), and there is none that is.
  if (header->contains("crit")) return std::unexpected(Reason::kUnsupportedClaim);
  if (const json::value* kid = header->if_contains("kid")) {
    if (!read_text(*kid, envelope.key_id.emplace())) return std::unexpected(Reason::kMalformed);
  }
  return {};
}

std::string sign_compact(const json::object& claims, const Key& key) {
  json::object header;
  header["alg"] = algorithm_name(key.algorithm());
  if (!key.id().empty()) header["kid"] = key.id();
  std::string text;
  append_base64url(text, bytes_of(json::serialize(header)));
  text += '.';
  append_base64url(text, bytes_of(json::serialize(claims)));
  const std::vector<std::uint8_t> signature = key.sign(bytes_of(text));
  text += '.';
  append_base64url(text, signature);
  return text;
}

}  // namespace

std::expected<Envelope, Reason> parse_signed_uri_token(std::string_view text,
                                                       std::string* problem) {
  const auto refuse = [problem](Reason reason, std::string_view what) {
    if (problem != nullptr) *problem = what;
    return std::unexpected(reason);
  };
  if (text.size() > kMaximumTokenBytes) return refuse(Reason::kTooLarge, "all of it");
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos || text.find('.', second + 1) != std::string_view::npos) {
    return refuse(Reason::kMalformed, "it is not three parts with a dot between them");
  }
  Envelope envelope;
  if (const auto read = read_header(text.substr(0, first), envelope); !read) {
    return refuse(read.error(), "its header (the first part)");
  }
  const auto payload = decode_base64url(text.substr(first + 1, second - first - 1));
  if (!payload) return refuse(Reason::kMalformed, "its claims (the second part) are no base64url");
  auto signature = decode_base64url(text.substr(second + 1));
  const std::size_t wanted = envelope.algorithm == Algorithm::kEs256 ? 64 : 32;
  if (!signature || signature->size() != wanted) {
    return refuse(Reason::kMalformed,
                  "its signature (the third part) is no base64url, or not of the algorithm's size");
  }
  envelope.signature = std::move(*signature);
  envelope.message = std::string(text.substr(0, second));
  Token& token = envelope.token;
  token.kind = TokenKind::kUriSigning;
  token.payload = std::string(text_of(*payload));

  unsigned char buffer[kParserMemory];
  json::monotonic_resource memory(buffer);
  const auto claims = parse_object(token.payload, &memory);
  if (!claims) return refuse(Reason::kMalformed, "its claims (the second part) are no JSON object");
  RenewalClaims renewal;
  for (const auto& [name, value] : *claims) {
    Reason reason = Reason::kMalformed;
    // Only claims that have a meaning here can be wrong.
    if (!read_claim(name, value, token, renewal, reason)) {
      return refuse(reason, "its claim " + std::string(name));
    }
  }
  if (!settle_renewal(renewal, token)) {
    return refuse(Reason::kMalformed, "its claim cdnistt, which wants cdniets");
  }
  if (!token.renewal) token.payload = std::string();
  return envelope;
}

std::optional<std::string> open_sealed(std::string_view jwe,
                                       std::span<const std::shared_ptr<const Key>> keys) {
  std::string_view parts[5];
  std::size_t count = 0;
  std::string_view rest = jwe;
  while (true) {
    if (count == 5) return std::nullopt;
    const std::size_t dot = rest.find('.');
    parts[count++] = rest.substr(0, dot);
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (count != 5 || !parts[1].empty() || parts[0].size() > kMaximumHeaderBytes) return std::nullopt;
  const auto header_text = decode_base64url(parts[0]);
  const auto nonce = decode_base64url(parts[2]);
  const auto ciphertext = decode_base64url(parts[3]);
  const auto tag = decode_base64url(parts[4]);
  if (!header_text || !nonce || !ciphertext || !tag) return std::nullopt;
  unsigned char buffer[kParserMemory];
  json::monotonic_resource memory(buffer);
  const auto header = parse_object(text_of(*header_text), &memory);
  if (!header || header->contains("crit") || header->contains("zip")) return std::nullopt;
  std::string alg;
  std::string enc;
  std::string kid;
  const json::value* alg_value = header->if_contains("alg");
  const json::value* enc_value = header->if_contains("enc");
  const json::value* kid_value = header->if_contains("kid");
  if (alg_value == nullptr || !read_text(*alg_value, alg) || alg != "dir") return std::nullopt;
  if (enc_value == nullptr || !read_text(*enc_value, enc)) return std::nullopt;
  if (kid_value != nullptr && !read_text(*kid_value, kid)) return std::nullopt;
  for (const auto& key : keys) {
    if (key->can_verify() || algorithm_name(key->algorithm()) != enc) continue;
    if (kid_value != nullptr && key->id() != kid) continue;
    if (auto plain = key->decrypt(*nonce, bytes_of(parts[0]), *ciphertext, *tag)) return plain;
  }
  return std::nullopt;
}

std::string renew_signed_uri_token(const Token& token, const Key& key, WallTime now,
                                   std::string_view issuer) {
  auto claims = parse_object(token.payload, {});
  if (!claims || !token.renewal) return {};
  // RFC 9246 2.1.11: the time of verification and cdniets.
  (*claims)["exp"] = (now + token.renewal->lifetime).time_since_epoch().count();
  if (claims->contains("iat")) (*claims)["iat"] = now.time_since_epoch().count();
  if (!issuer.empty() && claims->contains("iss")) (*claims)["iss"] = issuer;
  return sign_compact(*claims, key);
}

}  // namespace nearfield::access
