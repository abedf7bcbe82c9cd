// The Common Access Token of CTA-5007-A: a CWT (RFC 8392) in COSE_Sign1 or COSE_Mac0 (RFC 9052).
// Claim numbers are those of the IANA registry "CBOR Web Token (CWT) Claims".
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "dataplane/access/cbor.h"
#include "dataplane/access/token.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

using Type = CborItem::Type;

// Tags: RFC 8392 6, RFC 9052 2, RFC 9164 4, RFC 8949 3.4.2.
constexpr std::int64_t kTagCwt = 61;
constexpr std::int64_t kTagSign1 = 18;
constexpr std::int64_t kTagMac0 = 17;
constexpr std::int64_t kTagIpv4 = 52;
constexpr std::int64_t kTagIpv6 = 54;
constexpr std::int64_t kTagEpochTime = 1;
// Header parameters and algorithms: RFC 9052 3.1, RFC 9053.
constexpr std::int64_t kHeaderAlgorithm = 1;
constexpr std::int64_t kHeaderCritical = 2;
constexpr std::int64_t kHeaderKeyId = 4;
constexpr std::int64_t kAlgorithmEs256 = -7;
constexpr std::int64_t kAlgorithmHmac256 = 5;

enum Claim : std::int64_t {
  kIssuer = 1,
  kSubject = 2,
  kAudience = 3,
  kExpires = 4,
  kNotBefore = 5,
  kIssued = 6,
  kId = 7,
  kConfirmation = 8,
  kGeohash = 282,
  kReplay = 308,
  kRejection = 309,
  kVersion = 310,
  kNetworks = 311,
  kUri = 312,
  kMethods = 313,
  kProtocols = 314,
  kHeaders = 315,
  kTerritories = 316,
  kCoordinates = 317,
  kAltitude = 318,
  kTlsKey = 319,
  kIfData = 320,
  kProofOfPossession = 321,
  kIf = 322,
  kRenewal = 323,
};
// RFC 8392 9.1: below this claims are for private use.
constexpr std::int64_t kPrivateUseBelow = -65536;

std::string claim_name(std::int64_t claim) {
  switch (claim) {
    case kIssuer:
      return "iss";
    case kAudience:
      return "aud";
    case kExpires:
      return "exp";
    case kNotBefore:
      return "nbf";
    case kIssued:
      return "iat";
    case kId:
      return "cti";
    case kReplay:
      return "catreplay";
    case kVersion:
      return "catv";
    case kNetworks:
      return "catnip";
    case kUri:
      return "catu";
    case kMethods:
      return "catm";
    case kHeaders:
      return "cath";
    case kTerritories:
      return "catgeoiso3166";
    case kRenewal:
      return "catr";
    case kConfirmation:
      return "cnf";
    case kGeohash:
      return "geohash";
    case kRejection:
      return "catpor";
    case kProtocols:
      return "catalpn";
    case kCoordinates:
      return "catgeocoord";
    case kAltitude:
      return "catgeoalt";
    case kTlsKey:
      return "cattpk";
    case kProofOfPossession:
      return "catdpop";
    default:
      return "claim " + std::to_string(claim);
  }
}

void note_unsupported(Token& token, std::string name) {
  if (token.unsupported.empty()) token.unsupported = std::move(name);
}

const CborItem* find(const CborItem& map, std::int64_t key) {
  for (std::size_t i = 0; i + 1 < map.children.size(); i += 2) {
    if (map.children[i].is(Type::kInteger) && map.children[i].integer == key)
      return &map.children[i + 1];
  }
  return nullptr;
}

bool read_text(const CborItem& item, std::string& out) {
  if (!item.is(Type::kText)) return false;
  out = std::string(item.text());
  return true;
}

bool read_texts(const CborItem& item, std::vector<std::string>& out) {
  if (item.is(Type::kText)) return read_text(item, out.emplace_back());
  if (!item.is(Type::kArray) || item.children.size() > kMaximumListEntries) return false;
  return std::ranges::all_of(
      item.children, [&out](const CborItem& each) { return read_text(each, out.emplace_back()); });
}

bool read_time(const CborItem& item, bool round_up, std::optional<WallTime>& out) {
  if (item.is(Type::kTag) && item.integer == kTagEpochTime) {
    return !item.children.front().is(Type::kTag) && read_time(item.children.front(), round_up, out);
  }
  if (item.is(Type::kInteger)) {
    out = wall_time_of(item.integer);
  } else if (item.is(Type::kNumber)) {
    out = wall_time_of(round_up ? std::ceil(item.number) : item.number);
  }
  return out.has_value();
}

bool read_match_digest(const CborItem& value, Match& match) {
  if (value.is(Type::kBytes) && value.bytes.size() == sizeof(Digest)) {
    match.value = std::string(value.text());
    return true;
  }
  if (!value.is(Type::kText)) return false;
  const auto digest = parse_hex_digest(value.text());  // as some issuers write it
  if (digest) match.value = std::string(text_of(*digest));
  return digest.has_value();
}

bool read_expression(const CborItem& value, Match& match, Token& token, Reason& problem) {
  match.type = MatchType::kExpression;
  const CborItem* pattern = &value;
  if (value.is(Type::kArray)) {
    if (value.children.empty() || value.children.size() > 2) return false;
    pattern = &value.children.front();
    if (value.children.size() == 2) {
      const CborItem& flags = value.children[1];
      const bool is_none =
          flags.is(Type::kSimple) || (flags.is(Type::kText) && flags.bytes.empty());
      if (!is_none && !(flags.is(Type::kText) && flags.text() == "i")) {
        note_unsupported(token, "flags of an expression");
      }
      match.ignore_case = !is_none;
    }
  }
  if (!read_text(*pattern, match.value)) return false;
  if (match.value.size() <= kMaximumExpressionBytes) return true;
  problem = Reason::kTooLarge;
  return false;
}

// A match map: every entry of it must hold.
template <typename Add>
bool read_matches(const CborItem& map, Token& token, Reason& problem, Add add) {
  if (!map.is(Type::kMap) || map.children.empty()) return false;
  for (std::size_t i = 0; i < map.children.size(); i += 2) {
    const CborItem& label = map.children[i];
    const CborItem& value = map.children[i + 1];
    if (!label.is(Type::kInteger)) return false;
    Match match;
    switch (label.integer) {
      case 0:
        match.type = MatchType::kExact;
        break;
      case 1:
        match.type = MatchType::kPrefix;
        break;
      case 2:
        match.type = MatchType::kSuffix;
        break;
      case 3:
        match.type = MatchType::kContains;
        break;
      case 4:
        if (!read_expression(value, match, token, problem)) return false;
        add(std::move(match));
        continue;
      case -1:
      case -2:
        match.type = label.integer == -1 ? MatchType::kSha256 : MatchType::kSha512_256;
        if (!read_match_digest(value, match)) return false;
        add(std::move(match));
        continue;
      default:
        note_unsupported(token, "match type " + std::to_string(label.integer));
        continue;
    }
    if (!read_text(value, match.value)) return false;
    add(std::move(match));
  }
  return true;
}

bool read_uri(const CborItem& map, Token& token, Reason& problem) {
  if (!map.is(Type::kMap)) return false;
  auto& conditions = token.uri.emplace();
  for (std::size_t i = 0; i < map.children.size(); i += 2) {
    const CborItem& label = map.children[i];
    if (!label.is(Type::kInteger)) return false;
    if (label.integer < 0 || label.integer >= static_cast<std::int64_t>(kUriParts)) {
      note_unsupported(token, "catu part " + std::to_string(label.integer));
      continue;
    }
    const auto part = static_cast<UriPart>(label.integer);
    if (!read_matches(map.children[i + 1], token, problem,
                      [&](Match match) { conditions.push_back({part, std::move(match)}); })) {
      return false;
    }
  }
  return conditions.size() <= kMaximumListEntries;
}

bool read_headers(const CborItem& map, Token& token, Reason& problem) {
  if (!map.is(Type::kMap)) return false;
  auto& conditions = token.headers.emplace();
  for (std::size_t i = 0; i < map.children.size(); i += 2) {
    std::string name;
    if (!read_text(map.children[i], name) || !http::is_token(name)) return false;
    if (!read_matches(map.children[i + 1], token, problem,
                      [&](Match match) { conditions.push_back({name, std::move(match)}); })) {
      return false;
    }
  }
  return conditions.size() <= kMaximumListEntries;
}

// RFC 9164: an address, [prefix length, leading bytes] or [address, prefix length].
std::optional<Network> read_network(const CborItem& tag) {
  const bool is_v4 = tag.integer == kTagIpv4;
  const std::size_t whole = is_v4 ? 4 : 16;
  const CborItem& value = tag.children.front();
  const CborItem* bytes = &value;
  std::int64_t bits = static_cast<std::int64_t>(whole) * 8;
  if (value.is(Type::kArray)) {
    if (value.children.size() != 2) return std::nullopt;
    const bool is_prefix = value.children[0].is(Type::kInteger);
    const CborItem& length = value.children[is_prefix ? 0 : 1];
    bytes = &value.children[is_prefix ? 1 : 0];
    if (!length.is(Type::kInteger) || length.integer < 0 || length.integer > bits)
      return std::nullopt;
    bits = length.integer;
  } else if (value.bytes.size() != whole) {
    return std::nullopt;
  }
  if (!bytes->is(Type::kBytes) || bytes->bytes.size() > whole) return std::nullopt;
  Network network;
  std::size_t offset = 0;
  if (is_v4) {
    network.address.bytes[10] = 0xff;
    network.address.bytes[11] = 0xff;
    offset = 12;
  }
  std::ranges::copy(bytes->bytes,
                    network.address.bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  network.bits = static_cast<int>(bits + (is_v4 ? 96 : 0));
  return network;
}

bool read_networks(const CborItem& value, Token& token) {
  if (!value.is(Type::kArray) || value.children.size() > kMaximumListEntries) return false;
  token.names_networks = true;
  for (const CborItem& each : value.children) {
    if (each.is(Type::kInteger)) {
      if (each.integer <= 0 || each.integer > std::numeric_limits<std::uint32_t>::max())
        return false;
      token.network_numbers.push_back(static_cast<std::uint32_t>(each.integer));
      continue;
    }
    if (!each.is(Type::kTag) || (each.integer != kTagIpv4 && each.integer != kTagIpv6))
      return false;
    const auto network = read_network(each);
    if (!network) return false;
    token.networks.push_back(*network);
  }
  return true;
}

// catr is a map: type, seconds by which to extend, seconds before the end from which on to renew,
// names and parameters of cookie and header.
bool read_renewal(const CborItem& map, Token& token) {
  if (!map.is(Type::kMap)) return false;
  const CborItem* type = find(map, 0);
  const CborItem* extension = find(map, 1);
  if (type == nullptr || !type->is(Type::kInteger)) return false;
  if (extension == nullptr || !extension->is(Type::kInteger) || extension->integer < 0 ||
      extension->integer > 1'000'000'000) {
    return false;
  }
  RenewalTerms terms;
  terms.lifetime = std::chrono::seconds(extension->integer);
  switch (type->integer) {
    case 0:
      terms.transport = RenewalTerms::Transport::kAsReceived;
      break;
    case 1:
      terms.transport = RenewalTerms::Transport::kCookie;
      break;
    case 2:
      terms.transport = RenewalTerms::Transport::kHeader;
      break;
    default:
      terms.transport = RenewalTerms::Transport::kOther;
      break;
  }
  if (const CborItem* deadline = find(map, 2)) {
    if (!deadline->is(Type::kInteger) || deadline->integer < 0 ||
        deadline->integer > 1'000'000'000) {
      return false;
    }
    terms.deadline = std::chrono::seconds(deadline->integer);
  }
  if (const CborItem* name = find(map, 3); name != nullptr && !read_text(*name, terms.cookie_name))
    return false;
  if (const CborItem* name = find(map, 4); name != nullptr && !read_text(*name, terms.header_name))
    return false;
  const int parameters = terms.transport == RenewalTerms::Transport::kHeader ? 6 : 5;
  if (const CborItem* list = find(map, parameters);
      list != nullptr && !read_texts(*list, terms.parameters)) {
    return false;
  }
  token.renewal = std::move(terms);
  return true;
}

bool read_claim(std::int64_t claim, const CborItem& value, Token& token, Reason& problem) {
  switch (claim) {
    case kIssuer:
      return read_text(value, token.issuer.emplace());
    case kAudience:
      return read_texts(value, token.audiences.emplace());
    case kExpires:
      return read_time(value, false, token.expires);
    case kNotBefore:
      return read_time(value, true, token.not_before);
    case kIssued:
      return read_time(value, false, token.issued);
    case kId:
      if (!value.is(Type::kBytes) && !value.is(Type::kText)) return false;
      token.id = std::string(value.text());
      return true;
    case kVersion:
      if (!value.is(Type::kInteger)) return false;
      if (value.integer != 1) note_unsupported(token, "catv " + std::to_string(value.integer));
      return true;
    case kReplay:
      if (!value.is(Type::kInteger)) return false;
      token.single_use = value.integer == 1;
      if (value.integer != 0 && value.integer != 1) note_unsupported(token, "catreplay");
      return true;
    case kNetworks:
      return read_networks(value, token);
    case kUri:
      return read_uri(value, token, problem);
    case kMethods:
      return read_texts(value, token.methods.emplace());
    case kHeaders:
      return read_headers(value, token, problem);
    case kTerritories:
      return read_texts(value, token.territories.emplace());
    case kRenewal:
      return read_renewal(value, token);
    // What they say restricts nothing: who it is, and what to tell those who are refused.
    case kSubject:
    case kIfData:
    case kIf:
      return true;
    default:
      if (claim >= kPrivateUseBelow) note_unsupported(token, claim_name(claim));
      return true;
  }
}

// `wrong`: what cannot be read, in words.
bool read_claims(const CborItem& claims, Token& token, Reason& problem, std::string& wrong) {
  if (!claims.is(Type::kMap)) {
    wrong = "its claims are no map";
    return false;
  }
  for (std::size_t i = 0; i < claims.children.size(); i += 2) {
    // Text keys are private agreements and restrict nothing here (RFC 8392 3).
    if (!claims.children[i].is(Type::kInteger)) continue;
    if (!read_claim(claims.children[i].integer, claims.children[i + 1], token, problem)) {
      wrong = "its claim " + claim_name(claims.children[i].integer);
      return false;
    }
  }
  if (token.single_use && token.id.empty()) {  // nothing to know it again by
    wrong = "its claim catreplay, which wants cti";
    return false;
  }
  return true;
}

// RFC 9052 4.4 and 6.3: what is signed, or the MAC is of.
std::string signed_structure(Algorithm algorithm, Bytes protected_header, Bytes payload) {
  std::string out;
  append_cbor_head(out, 4, 4);
  append_cbor_text(out, algorithm == Algorithm::kEs256 ? "Signature1" : "MAC0");
  append_cbor_bytes(out, protected_header);
  append_cbor_bytes(out, {});
  append_cbor_bytes(out, payload);
  return out;
}

std::expected<void, Reason> read_header(const CborItem& protected_header,
                                        const CborItem& unprotected, Envelope& envelope) {
  const auto header = parse_cbor(protected_header.bytes);
  if (!header || !header->is(Type::kMap) || !unprotected.is(Type::kMap)) {
    return std::unexpected(Reason::kMalformed);
  }
  if (find(*header, kHeaderCritical) != nullptr) return std::unexpected(Reason::kUnsupportedClaim);
  // Only a protected algorithm counts.
  const CborItem* algorithm = find(*header, kHeaderAlgorithm);
  if (algorithm == nullptr || !algorithm->is(Type::kInteger)) {
    return std::unexpected(Reason::kMalformed);
  }
  if (algorithm->integer == kAlgorithmEs256) {
    envelope.algorithm = Algorithm::kEs256;
  } else if (algorithm->integer == kAlgorithmHmac256) {
    envelope.algorithm = Algorithm::kHs256;
  } else {
    return std::unexpected(Reason::kAlgorithm);
  }
  const CborItem* key_id = find(*header, kHeaderKeyId);
  if (key_id == nullptr) key_id = find(unprotected, kHeaderKeyId);
  if (key_id != nullptr) {
    if (!key_id->is(Type::kBytes)) return std::unexpected(Reason::kMalformed);
    envelope.key_id = std::string(key_id->text());
  }
  return {};
}

}  // namespace

std::expected<Envelope, Reason> parse_common_access_token(std::string_view text,
                                                          std::string* problem) {
  const auto refuse = [problem](Reason reason, std::string_view what) {
    if (problem != nullptr) *problem = what;
    return std::unexpected(reason);
  };
  if (text.size() > kMaximumTokenBytes) return refuse(Reason::kTooLarge, "all of it");
  // Padding, which issuers should leave out; when there is some, all that belongs there.
  if (text.ends_with('=')) {
    if (text.size() % 4 != 0) return refuse(Reason::kMalformed, "its padding");
    text.remove_suffix(text.ends_with("==") ? 2 : 1);
  }
  const auto bytes = decode_base64url(text);
  if (!bytes || bytes->empty()) return refuse(Reason::kMalformed, "it is no base64url");
  auto message = parse_cbor(*bytes);
  if (!message) return refuse(Reason::kMalformed, "it is no CBOR, or too much of it");
  const CborItem* item = &*message;
  if (item->is(Type::kTag) && item->integer == kTagCwt) item = &item->children.front();
  std::optional<Algorithm> tagged;
  if (item->is(Type::kTag)) {
    if (item->integer == kTagSign1) tagged = Algorithm::kEs256;
    if (item->integer == kTagMac0) tagged = Algorithm::kHs256;
    if (!tagged) return refuse(Reason::kMalformed, "its tag is neither COSE_Sign1 nor COSE_Mac0");
    item = &item->children.front();
  }
  if (!item->is(Type::kArray) || item->children.size() != 4 ||
      !item->children[0].is(Type::kBytes) || !item->children[2].is(Type::kBytes) ||
      !item->children[3].is(Type::kBytes)) {
    return refuse(Reason::kMalformed, "it is neither COSE_Sign1 nor COSE_Mac0");
  }
  Envelope envelope;
  if (const auto read = read_header(item->children[0], item->children[1], envelope); !read) {
    return refuse(read.error(), "its header");
  }
  const Bytes signature = item->children[3].bytes;
  const std::size_t wanted = envelope.algorithm == Algorithm::kEs256 ? 64 : 32;
  if ((tagged && *tagged != envelope.algorithm) || signature.size() != wanted) {
    return refuse(Reason::kMalformed, "its tag or signature is not that of its algorithm");
  }
  envelope.signature.assign(signature.begin(), signature.end());
  const Bytes payload = item->children[2].bytes;
  envelope.message = signed_structure(envelope.algorithm, item->children[0].bytes, payload);
  const auto claims = parse_cbor(payload);
  if (!claims) return refuse(Reason::kMalformed, "its claims are no CBOR, or too much of it");
  Token& token = envelope.token;
  token.kind = TokenKind::kCat;
  Reason reason = Reason::kMalformed;
  std::string wrong;
  if (!read_claims(*claims, token, reason, wrong)) return refuse(reason, wrong);
  if (token.renewal) token.payload = std::string(text_of(payload));
  return envelope;
}

std::string renew_common_access_token(const Token& token, const Key& key, WallTime now,
                                      std::string_view issuer) {
  const auto claims = parse_cbor(bytes_of(token.payload));
  if (!claims || !token.renewal) return {};
  std::string payload;
  append_cbor_head(payload, 5, claims->children.size() / 2);
  for (std::size_t i = 0; i < claims->children.size(); i += 2) {
    const CborItem& name = claims->children[i];
    const bool is_number = name.is(Type::kInteger);
    append_cbor(payload, name);
    if (is_number && name.integer == kExpires) {
      append_cbor_integer(payload, (now + token.renewal->lifetime).time_since_epoch().count());
    } else if (is_number && name.integer == kIssued) {
      append_cbor_integer(payload, now.time_since_epoch().count());
    } else if (is_number && name.integer == kIssuer && !issuer.empty()) {
      append_cbor_text(payload, issuer);
    } else {
      append_cbor(payload, claims->children[i + 1]);
    }
  }
  std::string header;
  append_cbor_head(header, 5, 1);
  append_cbor_integer(header, kHeaderAlgorithm);
  append_cbor_integer(header,
                      key.algorithm() == Algorithm::kEs256 ? kAlgorithmEs256 : kAlgorithmHmac256);
  const std::vector<std::uint8_t> signature =
      key.sign(bytes_of(signed_structure(key.algorithm(), bytes_of(header), bytes_of(payload))));
  std::string message;
  append_cbor_head(message, 6, static_cast<std::uint64_t>(kTagCwt));
  append_cbor_head(
      message, 6,
      static_cast<std::uint64_t>(key.algorithm() == Algorithm::kEs256 ? kTagSign1 : kTagMac0));
  append_cbor_head(message, 4, 4);
  append_cbor_bytes(message, bytes_of(header));
  append_cbor_head(message, 5, key.id().empty() ? 0 : 1);
  if (!key.id().empty()) {
    append_cbor_integer(message, kHeaderKeyId);
    append_cbor_bytes(message, bytes_of(key.id()));
  }
  append_cbor_bytes(message, bytes_of(payload));
  append_cbor_bytes(message, signature);
  std::string text;
  append_base64url(text, bytes_of(message));
  return text;
}

}  // namespace nearfield::access
