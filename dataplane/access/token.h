// Token: what a token says, whatever its form: the claims of RFC 9246 and of CTA-5007-A in one
// shape. Parsing finds every claim before the signature is looked at; nothing of it counts until
// the signature was found good.
#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/access/digest.h"
#include "dataplane/access/key.h"
#include "dataplane/access/options.h"
#include "dataplane/access/prefix_database.h"
#include "dataplane/access/reason.h"

namespace nearfield::access {

// Characters of a token as it is transported; the request line is no longer either.
inline constexpr std::size_t kMaximumTokenBytes = 8192;
inline constexpr std::size_t kMaximumExpressionBytes = 1024;
inline constexpr std::size_t kMaximumListEntries = 64;

enum class UriPart : std::uint8_t {
  kScheme,
  kHost,
  kPort,
  kPath,
  kQuery,
  kParentPath,
  kFilename,
  kStem,
  kExtension,
};
inline constexpr std::size_t kUriParts = 9;
std::string_view uri_part_name(UriPart part);

enum class MatchType : std::uint8_t {
  kExact,
  kPrefix,
  kSuffix,
  kContains,
  kExpression,  // anywhere in the text, RE2 syntax
  kPosix,       // all of the text, POSIX extended syntax
  kSha256,
  kSha512_256,
};
struct Match {
  MatchType type = MatchType::kExact;
  std::string value;  // the digest's bytes for the last two
  bool ignore_case = false;
};
std::string_view match_type_name(MatchType type);

struct UriCondition {
  UriPart part = UriPart::kPath;
  Match match;
};
struct HeaderCondition {
  std::string name;
  Match match;
};

// The first `bits` of 128 (IPv4 as IPv4-mapped).
struct Network {
  net::Address address;
  int bits = 128;

  // An address, or address/length ("192.0.2.0/24").
  static std::optional<Network> parse(std::string_view text);
  bool contains(const net::Address& other) const;
  std::string text() const;
};

struct RenewalTerms {
  enum class Transport : std::uint8_t { kAsReceived, kCookie, kHeader, kOther };
  Transport transport = Transport::kCookie;
  std::chrono::seconds lifetime{0};              // of the new token from now on
  std::optional<std::chrono::seconds> deadline;  // renew when no more than this is left
  std::uint32_t depth = 0;                       // cdnistd
  std::string cookie_name;
  std::string header_name;
  std::vector<std::string> parameters;  // of the cookie or header, as the token wants them
};

struct PrivateClaim {
  std::string name;
  std::vector<std::string> values;
};

struct Token {
  TokenKind kind = TokenKind::kUriSigning;

  std::optional<std::string> issuer;
  std::optional<std::vector<std::string>> audiences;
  std::optional<WallTime> expires;
  std::optional<WallTime> not_before;
  std::optional<WallTime> issued;
  std::string id;           // jti, cti
  bool single_use = false;  // jti, or catreplay 1

  std::optional<Match> container;  // cdniuc, over the whole URI
  std::optional<std::vector<UriCondition>> uri;
  std::optional<std::vector<std::string>> methods;
  std::optional<std::vector<HeaderCondition>> headers;
  std::string sealed_client;    // cdniip, a JWE
  bool names_networks = false;  // cdniip, catnip
  std::vector<Network> networks;
  std::vector<std::uint32_t> network_numbers;
  std::optional<std::vector<std::string>> territories;  // catgeoiso3166
  std::vector<PrivateClaim> private_claims;
  std::vector<std::string> critical;  // names of cdnicrit
  std::string unsupported;  // the first claim that restricts and cannot be judged; "" none
  std::optional<RenewalTerms> renewal;

  // Of the message, for renewal: the claims as they came (JSON or CBOR).
  std::string payload;
  Digest key{};                       // fingerprint of the key that verified it
  std::optional<Digest> sealing_key;  // and of the one that opened its sealed claims

  // About what it costs to remember.
  std::size_t memory_bytes() const;
};

// A token with what is needed to verify it. Views are into the text that was parsed, `message` is
// not.
struct Envelope {
  // Names what was signed and by whom, however the token is spelled: tags, padding and what else of
  // a COSE message nobody signs may differ. Valid once `token.kind`, `message` and `signature` are.
  Digest identity() const;

  Algorithm algorithm = Algorithm::kEs256;
  std::optional<std::string> key_id;
  std::string message;  // what is signed
  std::vector<std::uint8_t> signature;
  Token token;
};

// RFC 7515 compact form. kMalformed, kTooLarge, kAlgorithm, kUnsupportedClaim (critical headers).
// `problem`, when given, gets which part it is that cannot be read, in words of ours alone.
std::expected<Envelope, Reason> parse_signed_uri_token(std::string_view text,
                                                       std::string* problem = nullptr);
// Opens a JWE in compact form with "alg": "dir" (RFC 7516); nullopt when no key opens it.
std::optional<std::string> open_sealed(std::string_view jwe,
                                       std::span<const std::shared_ptr<const Key>> keys);
// The claims of `token` with new times, signed.
std::string renew_signed_uri_token(const Token& token, const Key& key, WallTime now,
                                   std::string_view issuer);

// CWT (RFC 8392) in COSE_Sign1 or COSE_Mac0 (RFC 9052), base64url. The same errors.
std::expected<Envelope, Reason> parse_common_access_token(std::string_view text,
                                                          std::string* problem = nullptr);
std::string renew_common_access_token(const Token& token, const Key& key, WallTime now,
                                      std::string_view issuer);

inline std::expected<Envelope, Reason> parse_token(TokenKind kind, std::string_view text,
                                                   std::string* problem = nullptr) {
  return kind == TokenKind::kCat ? parse_common_access_token(text, problem)
                                 : parse_signed_uri_token(text, problem);
}

// A NumericDate as seconds; nullopt outside of the years 1970 to 9999.
std::optional<WallTime> wall_time_of(double seconds);
std::optional<WallTime> wall_time_of(std::int64_t seconds);

}  // namespace nearfield::access
