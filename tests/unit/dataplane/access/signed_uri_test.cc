// Signed URIs of RFC 9246, from the token in the target to the decision.
#include <CppUTest/TestHarness.h>

#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(SignedUri) {
  Gate gate;
  void expect(Reason expected, std::string_view token) {
    const Reason actual = gate.reason(with_jwt(token));
    STRCMP_EQUAL(std::string(reason_name(expected)).c_str(),
                 std::string(reason_name(actual)).c_str());
  }
};

TEST(SignedUri, HoldsInQueryPathAndCookie) {
  expect(Reason::kTokenHolds, v::kPlain);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain, "/albums/1/a.m4s?q=1")));

  TestRequest in_path;
  in_path.target = "/albums/1;URISigningPackage=" + std::string(v::kPlain) + "/a.m4s";
  CHECK_REASON(kTokenHolds, gate.reason(in_path));

  TestRequest in_cookie;
  in_cookie.fields.add("Cookie", "a=1; URISigningPackage=" + std::string(v::kPlain));
  const Decision decision = gate.check(in_cookie);
  CHECK_REASON(kTokenHolds, decision.reason);
  CHECK_TRUE(decision.token_in_fields);
  STRCMP_EQUAL("albums", std::string(decision.rule).c_str());
}

TEST(SignedUri, TakesTheTokenOutOfTheTarget) {
  STRCMP_EQUAL("/albums/1/a.m4s", std::string(gate.check(with_jwt(v::kPlain)).target).c_str());
  STRCMP_EQUAL("/albums/1/a.m4s?q=1",
               std::string(gate.check(with_jwt(v::kPlain, "/albums/1/a.m4s?q=1")).target).c_str());
}

TEST(SignedUri, RefusesWithoutATokenAndWithWhatIsNone) {
  CHECK_REASON(kNoToken, gate.reason(TestRequest()));
  expect(Reason::kMalformed, "");
  expect(Reason::kMalformed, "abc");
  expect(Reason::kMalformed, "a.b.c");
  expect(Reason::kMalformed, std::string(v::kPlain) + ".x");
  expect(Reason::kMalformed, v::kPlain.substr(0, v::kPlain.size() - 2));
  expect(Reason::kTooLarge, std::string(8193, 'a'));
}

TEST(SignedUri, EveryChangedCharacterRefuses) {
  // Of the last 40, and with that of r and s; the very last carries bits that must be zero.
  for (std::size_t i = v::kPlain.size() - 40; i < v::kPlain.size(); ++i) {
    std::string token(v::kPlain);
    token[i] = token[i] == 'A' ? 'B' : 'A';
    const Reason reason = gate.reason(with_jwt(token));
    CHECK_TRUE(reason == Reason::kBadSignature || reason == Reason::kMalformed);
  }
}

TEST(SignedUri, TheAlgorithmIsTheKeysAndNotTheTokens) {
  expect(Reason::kAlgorithm, v::kAlgorithmNone);
  expect(Reason::kAlgorithm, v::kAlgorithmNoneSigned);
  // A MAC made with the public key as secret: no HS256 key has this id.
  expect(Reason::kUnknownKey, v::kPublicKeyAsSecret);
  expect(Reason::kUnsupportedClaim, v::kCriticalHeader);
}

TEST(SignedUri, FindsTheKey) {
  expect(Reason::kTokenHolds, v::kPlainShared);
  expect(Reason::kTokenHolds, v::kPlainWithoutKid);
  expect(Reason::kUnknownKey, v::kUnknownKid);
  expect(Reason::kUnknownKey, v::kPlainKeyTwo);
  AccessOptions both = signed_options();
  both.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyTwo, v::kPublicKeyOne})};
  gate.reload(both);
  expect(Reason::kTokenHolds, v::kPlainKeyTwo);
  expect(Reason::kTokenHolds, v::kPlainWithoutKid);
}

TEST(SignedUri, ExpiresToTheSecond) {
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + std::chrono::seconds(3599);
  CHECK_REASON(kTokenHolds, gate.reason(request));
  // RFC 9246 2.1.4: at the time of "exp", and without leeway.
  request.now = kNow + std::chrono::seconds(3600);
  CHECK_REASON(kExpired, gate.reason(request));
  request = with_jwt(v::kFractionalTimes);
  CHECK_REASON(kExpired, gate.reason(request));
  expect(Reason::kTooLong, v::kNoExpiry);
  expect(Reason::kMalformed, v::kTextExpiry);
}

TEST(SignedUri, BeginsToTheSecond) {
  TestRequest request = with_jwt(v::kNotBefore);
  CHECK_REASON(kNotYetValid, gate.reason(request));
  request.now = kNow + std::chrono::seconds(99);
  CHECK_REASON(kNotYetValid, gate.reason(request));
  request.now = kNow + std::chrono::seconds(100);
  CHECK_REASON(kTokenHolds, gate.reason(request));
}

TEST(SignedUri, LivesNoLongerThanAllowed) {
  AccessOptions options = signed_options();
  options.clock.maximum_token_lifetime = std::chrono::seconds(3600);
  gate.reload(options);
  expect(Reason::kTokenHolds, v::kPlain);
  options.clock.maximum_token_lifetime = std::chrono::seconds(3599);
  gate.reload(options);
  expect(Reason::kTooLong, v::kPlain);
  expect(Reason::kTokenHolds, v::kIssued);  // 3500 s from its iat
}

TEST(SignedUri, IssuersAndAudiences) {
  expect(Reason::kTokenHolds, v::kIssuer);
  AccessOptions options = signed_options();
  options.key_sets[0].issuers = {"somebody"};
  gate.reload(options);
  expect(Reason::kWrongIssuer, v::kIssuer);
  expect(Reason::kTokenHolds, v::kPlain);
  options.key_sets[0].issuer_required = true;
  options.key_sets[0].issuers = {"label"};
  gate.reload(options);
  expect(Reason::kTokenHolds, v::kIssuer);
  expect(Reason::kWrongIssuer, v::kPlain);

  gate.reload(signed_options());
  expect(Reason::kTokenHolds, v::kAudience);
  expect(Reason::kTokenHolds, v::kAudienceText);
  options = signed_options();
  options.rules[0].audiences = {"another"};
  gate.reload(options);
  expect(Reason::kWrongAudience, v::kAudience);
  options.rules[0].audiences.clear();
  gate.reload(options);
  expect(Reason::kWrongAudience, v::kAudienceText);
}

TEST(SignedUri, VersionsAndCriticalClaims) {
  expect(Reason::kTokenHolds, v::kVersion1);
  expect(Reason::kUnsupportedClaim, v::kVersion2);
  expect(Reason::kUnsupportedClaim, v::kCritical);
  expect(Reason::kUnsupportedClaim, v::kCriticalTerritory);
  AccessOptions options = signed_options();
  options.rules[0].territory_source = TerritorySource::kToken;
  gate.reload(options);
  expect(Reason::kTokenHolds, v::kCriticalTerritory);
}

TEST(SignedUri, TheContainerIsTheWholeUri) {
  TestRequest request = with_jwt(v::kPlain, "/albums/2/a.m4s");
  CHECK_REASON(kWrongUri, gate.reason(request));
  request = with_jwt(v::kPlain);
  request.scheme = http::Scheme::kHttp;
  CHECK_REASON(kWrongUri, gate.reason(request));
  // In normal form: default port, encodings.
  request = with_jwt(v::kPlain, "/%61lbums/1/a.m4s");
  request.authority = "music.example:443";
  CHECK_REASON(kTokenHolds, gate.reason(request));
  expect(Reason::kWrongUri, v::kNoContainer);
  expect(Reason::kUnsupportedClaim, v::kUnknownContainer);
  expect(Reason::kMalformed, v::kBadExpression);
  expect(Reason::kTooLarge, v::kLongExpression);
}

TEST(SignedUri, TheContainerMayBeAHash) {
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kHash, "/albums/1/a.m4s?q=1")));
  CHECK_REASON(kWrongUri, gate.reason(with_jwt(v::kHash, "/albums/1/a.m4s?q=2")));
  expect(Reason::kUnsupportedClaim, v::kHashOther);
}

TEST(SignedUri, TheClientsPrefixComesEncrypted) {
  expect(Reason::kTokenHolds, v::kClientV4);
  expect(Reason::kWrongClient, v::kClientV6);
  TestRequest request = with_jwt(v::kClientV6);
  request.client = "2001:db8:1::9";
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.client = "2001:db9::1";
  CHECK_REASON(kWrongClient, gate.reason(request));
  request = with_jwt(v::kClientV4);
  request.client = "192.0.3.7";
  CHECK_REASON(kWrongClient, gate.reason(request));
  expect(Reason::kUnsupportedClaim, v::kClientPlain);
  expect(Reason::kUnsupportedClaim, v::kClientGarbage);
  AccessOptions options = signed_options();
  options.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyOne})};
  Gate without(options);
  CHECK_REASON(kUnsupportedClaim, without.reason(with_jwt(v::kClientV4)));
}

TEST(SignedUri, ATicketIsForOneUseWhateverIsAskedWithIt) {
  expect(Reason::kTokenHolds, v::kSingleUse);
  expect(Reason::kReplayed, v::kSingleUse);
  for (const char* target : {"/albums/1/b.m4s", "/albums/1/a.m4s?x=1", "/albums/1/%61.m4s"})
    CHECK_REASON(kReplayed, gate.reason(with_jwt(v::kSingleUse, target)));
  TestRequest cookie;
  cookie.fields.add("Cookie", "URISigningPackage=" + std::string(v::kSingleUse));
  CHECK_REASON(kReplayed, gate.reason(cookie));
  AccessCheck without({}, policy_of(signed_options()), nullptr, {1, 2});
  CHECK_REASON(kUnsupportedClaim, without.check(with_jwt(v::kSingleUse).get()).reason);
}

TEST(SignedUri, ARefusedRequestUsesNothingUp) {
  CHECK_REASON(kWrongUri, gate.reason(with_jwt(v::kSingleUse, "/albums/2/x")));
  expect(Reason::kTokenHolds, v::kSingleUse);
}

TEST(SignedUri, OneOfSeveralTokensIsEnough) {
  // A playlist's address with a token that ran out, and the cookie that renewed it.
  TestRequest request = with_jwt(v::kFractionalTimes);
  request.fields.add("Cookie", "URISigningPackage=" + std::string(v::kPlain));
  CHECK_REASON(kTokenHolds, gate.reason(request));
  request.fields.set("Cookie", "URISigningPackage=nonsense");
  CHECK_REASON(kExpired, gate.reason(request));
}

TEST(SignedUri, TwoOfOneNameAreBothTakenOutAndTheFirstCounts) {
  TestRequest request = with_jwt(v::kPlain);
  request.target += "&URISigningPackage=x&q=1";
  const Decision decision = gate.check(request);
  CHECK_REASON(kTokenHolds, decision.reason);
  STRCMP_EQUAL("/albums/1/a.m4s?q=1", std::string(decision.target).c_str());
}

TEST_GROUP(SignedUriExamples){AccessOptions options(){AccessOptions result;
result.key_sets = {key_set("rfc", {v::kRfcPublicKey, v::kSealingKey})};
result.key_sets[0].issuers = {"uCDN Inc"};
result.clock.not_before = WallTime();
RuleOptions rule;
rule.host = "cdni.example";
rule.key_sets = {"rfc"};
rule.audiences = {"dCDN LLC"};
result.rules = {rule};
return result;
}
TestRequest request(std::string_view token, std::string_view path) {
  TestRequest result = with_jwt(token, path);
  result.scheme = http::Scheme::kHttp;
  result.authority = "cdni.example";
  result.client = "2001:db8::5";
  result.now = WallTime(std::chrono::seconds(1646867000));
  return result;
}
}
;

// RFC 9246 appendix A.
constexpr std::string_view kSimple =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IlA1VXBPdjBlTXExd2N4TGY3V3hJZzA5SmRTWU"
    "dZRkRPV2tsZHVlYUltZjAifQ.eyJleHAiOjE2NDY4NjczNjksImlzcyI6InVDRE4gS"
    "W5jIiwiY2RuaXVjIjoiaGFzaDpzaGEtMjU2OzJ0ZGVyZldQYTg2S3U3WW56VzUxWVV"
    "wN2RHVWpCU18zU1czRUx4NGhtV1kifQ.TaNlJM3D96i_9J9XvlICO6FUIDFTqt3E2Y"
    "JkEUOLfcH0b89wYRKTbJ9Yj6h_GRgSoZoQO0cps3yUPcWGK3smCw";
constexpr std::string_view kComplex =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IlA1VXBPdjBlTXExd2N4TGY3V3hJZzA5SmRTWU"
    "dZRkRPV2tsZHVlYUltZjAifQ.eyJhdWQiOiJkQ0ROIExMQyIsInN1YiI6ImV5Smxib"
    "U1pT2lKQk1USTRSME5OSWl3aVlXeG5Jam9pWkdseUlpd2lhMmxrSWpvaVppMVhZbXA"
    "0UWtNelpGQjFTVE5rTWpSclVESm9ablp2Y3pkUmVqWTRPRlZVYVRaaFFqQm9Uams1T"
    "0NKOS4uQ0xBdTgweGNsYzhCcC1VaS42UDFBM0Y2aXAyRHYuQ29oZHRMTHBnQm5UdlJ"
    "KUUNGdXotZyIsImNkbmlpcCI6ImV5SmxibU1pT2lKQk1USTRSME5OSWl3aVlXeG5Ja"
    "m9pWkdseUlpd2lhMmxrSWpvaVppMVhZbXA0UWtNelpGQjFTVE5rTWpSclVESm9ablp"
    "2Y3pkUmVqWTRPRlZVYVRaaFFqQm9Uams1T0NKOS4uYVVEREZFUUJJYzNuV2pPYi5iR"
    "1hXVEhQa250bVBDS24wcFBQTkVRLml5VHR0bkZ5Yk8yWUJMcXdsX1lTakEiLCJjZG5"
    "pdiI6MSwiZXhwIjoxNjQ2ODY3MzY5LCJpYXQiOjE2NDY2OTQ1NjksImlzcyI6InVDR"
    "E4gSW5jIiwianRpIjoiNURBYWZMaFpBZmhzYmUiLCJuYmYiOjE2NDY3ODA5NjksImN"
    "kbml1YyI6InJlZ2V4Omh0dHA6Ly9jZG5pXFwuZXhhbXBsZS9mb28vYmFyL1swLTlde"
    "zN9XFwucG5nIn0.IjmVX0uD5MYqArc-M08uEsEeoDQn8kuYXZ9HGHDmDDxsHikT0c8"
    "jcX8xYD0z3LzQclMG65i1kT2sRbZ7isUw8w";
constexpr std::string_view kRenewal =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6IlA1VXBPdjBlTXExd2N4TGY3V3hJZzA5SmRTWU"
    "dZRkRPV2tsZHVlYUltZjAifQ.eyJjZG5pZXRzIjozMCwiY2RuaXN0dCI6MSwiY2Rua"
    "XN0ZCI6MiwiZXhwIjoxNjQ2ODY3MzY5LCJjZG5pdWMiOiJyZWdleDpodHRwOi8vY2R"
    "uaVxcLmV4YW1wbGUvZm9vL2Jhci9bMC05XXszfVxcLnRzIn0.tlPvoKw3BCClw4Lx9"
    "PQu7MK6b2IN55ZoCPSaxovGK0zS53Wpb1MbJBow7G8LiGR39h6-2Iq7PWUSr3MdTIz"
    "HYw";

TEST(SignedUriExamples, TheSimpleOneHolds) {
  Gate gate(options());
  CHECK_REASON(kTokenHolds, gate.reason(request(kSimple, "/foo/bar")));
  CHECK_REASON(kWrongUri, gate.reason(request(kSimple, "/foo/baz")));
  TestRequest late = request(kSimple, "/foo/bar");
  late.now = WallTime(std::chrono::seconds(1646867369));
  CHECK_REASON(kExpired, gate.reason(late));
}

TEST(SignedUriExamples, TheComplexOneHolds) {
  Gate gate(options());
  TestRequest early = request(kComplex, "/foo/bar/125.png");
  early.now = WallTime(std::chrono::seconds(1646780968));
  CHECK_REASON(kNotYetValid, gate.reason(early));
  CHECK_REASON(kTokenHolds, gate.reason(request(kComplex, "/foo/bar/123.png")));
  CHECK_REASON(kWrongUri, gate.reason(request(kComplex, "/foo/bar/1234.png")));
  TestRequest elsewhere = request(kComplex, "/foo/bar/124.png");
  elsewhere.client = "2001:db9::5";
  CHECK_REASON(kWrongClient, gate.reason(elsewhere));
}

TEST(SignedUriExamples, TheOneToRenewIsRenewed) {
  AccessOptions with_key = options();
  with_key.key_sets = {key_set("rfc", {v::kRfcPrivateKey})};
  with_key.rules[0].renewal_key = "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0";
  Gate gate(with_key);
  const Decision decision = gate.check(request(kRenewal, "/foo/bar/001.ts"));
  CHECK_REASON(kTokenHolds, decision.reason);
  LONGS_EQUAL(1, decision.renewals.size());
  STRCMP_CONTAINS("Path=/foo/bar; Max-Age=30", decision.renewals[0].field_value.c_str());
}
