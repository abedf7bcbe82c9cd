// AccessOptions: who may listen, as plain values; the comments are the manual of every setting.
// docs/access.md explains the whole with examples. Everything is checked where an AccessPolicy
// is made, the one place that turns these into something usable.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace nearfield::access {

enum class Mode : std::uint8_t {
  kOpen,    // everybody, within licence and territories
  kSigned,  // whoever brings a token that holds for this request
  kDenied,  // nobody
};

enum class TokenKind : std::uint8_t {
  kUriSigning,  // RFC 9246: a signed JWT
  kCat,         // CTA-5007-A Common Access Token: a CWT in COSE_Sign1 or COSE_Mac0
};

// Whose territory a rule's territory lists speak of.
enum class TerritorySource : std::uint8_t {
  kClient,  // that of the client's address, by the database
  // What the token's issuer says of the listener (CAT: catgeoiso3166; JWT: `territory_claim`). All
  // that a token names must be allowed. A token that names none is refused.
  kToken,
};

// Keys by name. A rule trusts key sets, and through them the issuers that may sign with them.
struct KeySetOptions {
  std::string name;  // what rules refer to; unique, not empty
  // JWK Sets (RFC 7517), read when the policy is made: at the start and at every reload. At most
  // 256 KiB each. Keys: EC P-256 (alg ES256; verifies both token kinds), oct of at least 32 bytes
  // (alg HS256; both kinds), oct of 16 or 32 bytes with "use": "enc" and alg A128GCM or A256GCM
  // (decrypts the client address claim of RFC 9246). "alg" decides what a key may do and nothing
  // else does: a token cannot choose. At most 64 keys in one set; a "kid" is unique in its set.
  // A key the node cannot use is an error, but for keys of other kinds ("RSA", "OKP", EC of other
  // curves), which are skipped, since issuers publish one set for many verifiers.
  std::vector<std::string> files;
  std::vector<std::string> inline_sets;  // the same, as JSON text
  // What the claim "iss" of tokens signed by these keys may be. Empty: anything. A token without
  // "iss" is accepted either way, unless `issuer_required`.
  std::vector<std::string> issuers;
  bool issuer_required = false;
};

// A time in which a licence lets a work be heard. RFC 3339 with an offset ("2026-12-01T00:00:00Z");
// `from` is inside, `until` is not; empty: without an end on that side.
struct LicenceWindow {
  std::string from;
  std::string until;
  std::vector<std::string> territories;  // ISO 3166-1 alpha-2; empty: everywhere
};

// Where a token may stand. An empty name switches a place off. Tokens are looked for in the order
// of the fields here; when there are several, at most four are tried, and one that holds is enough.
struct UriSigningPlaces {
  // The attribute of the URI (RFC 9246 2): a query parameter, or a path parameter (";name=token")
  // at the end of a segment.
  std::string attribute = "URISigningPackage";
  std::string cookie = "URISigningPackage";  // RFC 9246 3.3
};
struct CatPlaces {
  std::string header = "CTA-Common-Access-Token";
  std::string cookie = "CTA-Common-Access-Token";
  std::string parameter = "CAT";  // query parameter
};

// Which requests, and what holds for them.
struct RuleOptions {
  // What `explain` and the log call it; default: host and path.
  std::string name;
  // "music.example", "*.example" (one label or more in front), or "*". Without port, any case, with
  // or without the dot of the root. The most exact host wins (exact, longer wildcard, shorter
  // wildcard, "*"), whatever the order of rules; within it the longest path.
  std::string host = "*";
  // A prefix of whole segments: "/albums" is for "/albums", "/albums/" and "/albums/1" but not for
  // "/albumsold"; "/albums/" is for everything below. Compared after percent-decoding of unreserved
  // characters, as the cache key. A path with dot segments ("..", encoded or not), with encoded
  // slashes or with doubled slashes is refused wherever rules are in force, since origins read
  // those in different ways.
  std::string path = "/";
  Mode mode = Mode::kSigned;

  // kSigned only.
  std::vector<TokenKind> tokens = {TokenKind::kUriSigning, TokenKind::kCat};
  std::vector<std::string> key_sets;  // names; at least one, each once, with no key in two of them
  // Who this node is. A token with an "aud" claim must name one of these; without the claim it
  // holds for everybody.
  std::vector<std::string> audiences;
  UriSigningPlaces uri_signing;
  CatPlaces cat;
  // A token without "exp" is refused when set.
  bool expiry_required = true;
  // A token without a limit to what may be fetched (cdniuc, catu) is refused when set. RFC 9246
  // 2.1.10 makes the claim mandatory, so that JWTs always need one, whatever is set here.
  bool uri_required = true;
  // Renew tokens that ask for it (cdnistt, catr) with the key of this kid, which must stand with
  // its private part ("d") or be a shared secret in one of `key_sets`, and be the only one of its
  // kid that can sign. Empty: never renew.
  std::string renewal_key;
  // The "iss" of renewed tokens; empty: that of the token renewed.
  std::string renewal_issuer;

  // All modes but kDenied. ISO 3166-1 alpha-2, any case. With an allow list everything else is
  // refused; a refused territory is refused even when allowed. A client whose territory is not
  // known passes neither list, unless `unknown_territory_allowed` says otherwise. A token that
  // names what is no territory passes neither whatever that says.
  std::vector<std::string> allowed_territories;
  std::vector<std::string> refused_territories;
  bool unknown_territory_allowed = false;
  TerritorySource territory_source = TerritorySource::kClient;
  std::string territory_claim = "territory";  // of a JWT: a string, or an array of strings
  // In force when the request is within any of them; empty: always.
  std::vector<LicenceWindow> licence;
};

struct ClockOptions {
  // How far the clocks of issuers may be off, for exp, nbf and iat of CATs. RFC 9246 2.1.4-5
  // forbids any such leeway for JWTs, whose times are judged as they stand. 0-300 s.
  std::chrono::seconds cat_leeway{30};
  // Tokens that live longer (exp less iat or, without iat, exp less now) are refused. 0: no limit.
  std::chrono::seconds maximum_token_lifetime{0};
  // While the clock is not to be trusted: how long after its "exp" by that clock a token is still
  // accepted. 0-24 h.
  std::chrono::seconds untrusted_tolerance{3600};
  // No true time is before this (a release's build date); a clock that is, is not trusted whatever
  // else says so. Seconds since the epoch.
  std::chrono::sys_seconds not_before{std::chrono::sys_days{std::chrono::year{2026} / 11 / 1}};
};

struct AccessOptions {
  // In no particular order; at most 4,096.
  std::vector<RuleOptions> rules;
  // What holds where rules exist and none matches. With no rules at all everything is open.
  Mode unmatched = Mode::kDenied;  // kOpen or kDenied
  std::vector<KeySetOptions> key_sets;
  // A MaxMind DB file whose records have country.iso_code; the number of the network, when an entry
  // has autonomous_system_number, serves catnip. Mapped when the policy is made and until the last
  // user of that policy is gone: replace the file by renaming a new one over it, then reload.
  // Empty: there is none, and rules that need one are an error.
  std::string territory_database;
  // The same for network numbers alone (catnip with an AS number). Empty: territory_database is
  // asked.
  std::string network_database;
  ClockOptions clock;
};

// Sizes of one worker's AccessCheck.
struct CheckOptions {
  // Tokens whose signature was found good, with their claims. 16-1,048,576 tokens and at least
  // 64 KiB; the least recently used goes first. About 1.2 KiB a token.
  std::size_t good_tokens = 8192;
  std::size_t good_token_bytes = std::size_t{16} << 20;
  // Tokens found bad, 56 bytes each; they can never push out good ones. 0-1,048,576.
  std::size_t bad_tokens = 8192;
  // How long a bad token is remembered.
  std::chrono::seconds bad_token_lifetime{60};
  // Compiled expressions, at most about 40 KiB each. 1-4,096.
  std::size_t expressions = 256;
  // How many public-key signatures of tokens not seen before are verified, a worker and second and
  // at once (one costs 100 to 200 us): beyond it such a request is answered 503. Listeners whose
  // token is known are not affected. HMACs cost about as much as a parse and are not counted.
  std::uint32_t verifications_per_second = 1500;
  std::uint32_t verifications_at_once = 500;
  // The same for clients of one /24 or /48.
  std::uint32_t prefix_verifications_per_second = 50;
  std::uint32_t prefix_verifications_at_once = 100;

  bool operator==(const CheckOptions&) const = default;
};

}  // namespace nearfield::access
