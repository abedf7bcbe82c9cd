// Common Access Tokens of CTA-5007-A: each claim accepted and refused.
#include <CppUTest/TestHarness.h>

#include "dataplane/access/digest.h"
#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(CommonAccessToken) {
  Gate gate;
  void expect(Reason expected, std::string_view token) { expect(expected, with_cat(token)); }
  void expect(Reason expected, const TestRequest& request) {
    const Reason actual = gate.reason(request);
    STRCMP_EQUAL(std::string(reason_name(expected)).c_str(),
                 std::string(reason_name(actual)).c_str());
  }
};

TEST(CommonAccessToken, HoldsInHeaderCookieAndQuery) {
  expect(Reason::kTokenHolds, v::kCatPlain);
  TestRequest cookie;
  cookie.fields.add("Cookie", "CTA-Common-Access-Token=" + std::string(v::kCatPlain) + "; b=2");
  expect(Reason::kTokenHolds, cookie);
  TestRequest query;
  query.target += "?CAT=" + std::string(v::kCatPlain);
  const Decision decision = gate.check(query);
  CHECK_REASON(kTokenHolds, decision.reason);
  STRCMP_EQUAL("/albums/1/a.m4s", std::string(decision.target).c_str());
}

TEST(CommonAccessToken, FormsOfCose) {
  expect(Reason::kTokenHolds, v::kCatMac);
  expect(Reason::kTokenHolds, v::kCatUntagged);
  expect(Reason::kTokenHolds, v::kCatCoseTagOnly);
  expect(Reason::kTokenHolds, v::kCatWithoutKid);
  expect(Reason::kTokenHolds, v::kCatKidProtected);
  expect(Reason::kTokenHolds, v::kCatPadded);
  expect(Reason::kUnsupportedClaim, v::kCatCriticalHeader);
  expect(Reason::kMalformed, v::kCatDoubleKey);
  expect(Reason::kMalformed, v::kCatIndefinite);
  expect(Reason::kMalformed, v::kCatDeep);
  expect(Reason::kMalformed, v::kCatMany);
  expect(Reason::kUnknownKey, v::kCatSignatureAsMac);
  expect(Reason::kMalformed, "2D3ShEOhASagWC");
  expect(Reason::kTooLarge, std::string(9000, 'A'));
  std::string spoilt(v::kCatPlain);
  spoilt[spoilt.size() - 5] = spoilt[spoilt.size() - 5] == 'A' ? 'B' : 'A';
  expect(Reason::kBadSignature, spoilt);
  spoilt = std::string(v::kCatMac);
  spoilt[spoilt.size() - 5] = spoilt[spoilt.size() - 5] == 'A' ? 'B' : 'A';
  expect(Reason::kBadSignature, spoilt);
}

TEST(CommonAccessToken, TimesHaveSomeLeeway) {
  TestRequest request = with_cat(v::kCatNotBefore);
  request.now = kNow + std::chrono::seconds(69);
  expect(Reason::kNotYetValid, request);
  request.now = kNow + std::chrono::seconds(70);
  expect(Reason::kTokenHolds, request);
  expect(Reason::kTokenHolds, v::kCatIssued);
  expect(Reason::kTokenHolds, v::kCatTaggedTime);
  expect(Reason::kTokenHolds, v::kCatFloatTime);
  expect(Reason::kTooLong, v::kCatNoExpiry);
  request = with_cat(v::kCatPlain);
  request.now = kNow + std::chrono::seconds(3629);
  expect(Reason::kTokenHolds, request);
  request.now = kNow + std::chrono::seconds(3630);
  expect(Reason::kExpired, request);
}

TEST(CommonAccessToken, IssuerAudienceVersion) {
  expect(Reason::kTokenHolds, v::kCatIssuer);
  expect(Reason::kTokenHolds, v::kCatAudience);
  expect(Reason::kUnsupportedClaim, v::kCatVersion2);
  expect(Reason::kTokenHolds, v::kCatNoVersion);
  AccessOptions options = signed_options();
  options.key_sets[0].issuers = {"another"};
  options.rules[0].audiences = {"elsewhere"};
  gate.reload(options);
  expect(Reason::kWrongIssuer, v::kCatIssuer);
  expect(Reason::kWrongAudience, v::kCatAudience);
}

TEST(CommonAccessToken, Methods) {
  expect(Reason::kTokenHolds, v::kCatMethods);
  expect(Reason::kWrongMethod, v::kCatMethodsPost);
  TestRequest head = with_cat(v::kCatMethods);
  head.method = "HEAD";
  expect(Reason::kTokenHolds, head);
  head.method = "get";
  expect(Reason::kWrongMethod, head);
}

TEST(CommonAccessToken, Networks) {
  expect(Reason::kTokenHolds, v::kCatNetworks);
  expect(Reason::kTokenHolds, v::kCatAddress);
  expect(Reason::kTokenHolds, v::kCatNetworkNumber);
  expect(Reason::kWrongClient, v::kCatAnyV6);
  TestRequest other = with_cat(v::kCatNetworks);
  other.client = "192.0.3.1";
  expect(Reason::kWrongClient, other);
  other.client = "2001:db8:ffff::1";
  expect(Reason::kTokenHolds, other);
  other = with_cat(v::kCatAddress);
  other.client = "192.0.2.8";
  expect(Reason::kWrongClient, other);
  other = with_cat(v::kCatNetworkNumber);
  other.client = "198.51.100.1";
  expect(Reason::kWrongClient, other);
  other = with_cat(v::kCatAnyV6);
  other.client = "2001:db8::1";
  expect(Reason::kTokenHolds, other);
  AccessCheck blind({}, policy_of(signed_options(), nullptr), nullptr, {1, 2});
  CHECK_REASON(kUnsupportedClaim, blind.check(with_cat(v::kCatNetworkNumber).get()).reason);
}

TEST(CommonAccessToken, Territories) {
  expect(Reason::kTokenHolds, v::kCatTerritory);
  TestRequest elsewhere = with_cat(v::kCatTerritory);
  elsewhere.client = "198.51.100.1";
  expect(Reason::kWrongTerritory, elsewhere);
  elsewhere.client = "203.0.113.1";
  expect(Reason::kWrongTerritory, elsewhere);
  expect(Reason::kWrongTerritory, v::kCatSubdivision);
  AccessCheck blind({}, policy_of(signed_options(), nullptr), nullptr, {1, 2});
  CHECK_REASON(kUnsupportedClaim, blind.check(with_cat(v::kCatTerritory).get()).reason);
}

TEST(CommonAccessToken, PartsOfTheUri) {
  TestRequest other = with_cat(v::kCatPlain);
  other.target = "/albums/2/a.m4s";
  expect(Reason::kWrongUri, other);
  other.target = "/albums/1/a.m4s";
  AccessOptions options = signed_options();
  options.rules[0].host = "*";
  gate.reload(options);
  other.authority = "pirate.example";
  expect(Reason::kWrongUri, other);
  for (const std::string_view token :
       {v::kCatScheme, v::kCatPort, v::kCatPath, v::kCatParent, v::kCatFilename, v::kCatStem,
        v::kCatExtension, v::kCatContains, v::kCatExpression, v::kCatExpressionFlag, v::kCatSha256,
        v::kCatSha512, v::kCatSha256Hex}) {
    expect(Reason::kTokenHolds, token);
    TestRequest wrong = with_cat(token);
    wrong.scheme = http::Scheme::kHttp;
    wrong.target = "/albums/x/y/b.mp3";
    if (token != v::kCatContains && token != v::kCatExpressionFlag)
      expect(Reason::kWrongUri, wrong);
  }
  expect(Reason::kWrongUri, v::kCatQuery);
  TestRequest query = with_cat(v::kCatQuery);
  query.target += "?q=1";
  expect(Reason::kTokenHolds, query);
  expect(Reason::kUnsupportedClaim, v::kCatExpressionFlagUnknown);
  expect(Reason::kMalformed, v::kCatExpressionBad);
  expect(Reason::kUnsupportedClaim, v::kCatMatchUnknown);
  expect(Reason::kUnsupportedClaim, v::kCatPartUnknown);
  expect(Reason::kMalformed, v::kCatMatchNotText);
}

TEST(CommonAccessToken, AUriLimitIsWantedUnlessTheRuleSaysOtherwise) {
  expect(Reason::kWrongUri, v::kCatNoUri);
  expect(Reason::kWrongUri, v::kCatEmptyUri);
  AccessOptions options = signed_options();
  options.rules[0].uri_required = false;
  options.rules[0].expiry_required = false;
  gate.reload(options);
  expect(Reason::kTokenHolds, v::kCatNoUri);
  expect(Reason::kTokenHolds, v::kCatNoExpiry);
}

TEST(CommonAccessToken, Headers) {
  expect(Reason::kWrongHeader, v::kCatHeader);
  TestRequest request = with_cat(v::kCatHeader);
  request.fields.add("x-device", "speaker");
  expect(Reason::kTokenHolds, request);
  request.fields.set("x-device", "ear");
  expect(Reason::kWrongHeader, request);
}

TEST(CommonAccessToken, Replay) {
  expect(Reason::kTokenHolds, v::kCatReplayPermitted);
  expect(Reason::kTokenHolds, v::kCatReplayPermitted);
  expect(Reason::kTokenHolds, v::kCatReplayOnce);
  TestRequest again = with_cat(v::kCatReplayOnce);
  again.target = "/albums/1/b.m4s";
  expect(Reason::kReplayed, again);
  expect(Reason::kUnsupportedClaim, v::kCatReplayDetect);
  expect(Reason::kMalformed, v::kCatReplayNoId);
}

// The key id need not be signed: one key under two ids must not be two uses.
TEST(CommonAccessToken, ReplayIsTheSameUnderAnotherKeyId) {
  std::string same_key(v::kPublicKeyOne);
  same_key.replace(same_key.find("\"one\""), 5, "\"uno\"");
  AccessOptions options = signed_options();
  options.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyOne, same_key})};
  gate.reload(options);
  const std::string renamed = respelled(v::kCatReplayOnce, [](CborItem& cose) {
    cose.children[1].children[1].bytes = bytes_of("uno");
  });
  expect(Reason::kTokenHolds, v::kCatReplayOnce);
  expect(Reason::kReplayed, renamed);
  const std::string unnamed =
      respelled(v::kCatReplayOnce, [](CborItem& cose) { cose.children[1].children.clear(); });
  expect(Reason::kReplayed, unnamed);
}

TEST(CommonAccessToken, WhatRestrictsAndCannotBeJudgedRefuses) {
  for (const std::string_view token :
       {v::kCatRejection, v::kCatAlpn, v::kCatCoordinates, v::kCatAltitude, v::kCatTlsKey,
        v::kCatDpop, v::kCatConfirmation, v::kCatGeohash, v::kCatFuture}) {
    expect(Reason::kUnsupportedClaim, token);
  }
  expect(Reason::kTokenHolds, v::kCatIf);
}

TEST_GROUP(CommonAccessTokenExamples){};

// Made by node-cat of Eyevinn Technology (its tests, MIT licence): key 4036...9388, kid
// "akamai_key_hs256".
TEST(CommonAccessTokenExamples, TokensOfAnotherImplementationHold) {
  // The key's 32 bytes in base64url, from hexadecimal.
  const auto bytes =
      parse_hex_digest("403697de87af64611c1d32a05dab0fe1fcb715a86ab435f1ec99192d79569388");
  std::string key = R"({"kty":"oct","alg":"HS256","kid":"akamai_key_hs256","k":")";
  append_base64url(key, *bytes);
  key += "\"}";
  AccessOptions options = signed_options();
  options.key_sets = {key_set("label", {key})};
  options.key_sets[0].issuers = {"coap://jonas.example.com", "eyevinn"};
  options.rules[0].expiry_required = false;
  options.rules[0].uri_required = false;
  options.rules[0].audiences = {"one"};
  options.clock.not_before = WallTime();
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(
                                "2D3RhEOhAQWhBFBha2FtYWlfa2V5X2hzMjU2WCijAXgYY29hcDovL2pvbmFzLmV4YW"
                                "1wbGUuY29tBhpn1JipBRpn1JipWCCX4nQb8SYQoa0SFLxE2Rh35DdTjoA9TzOSy1IP"
                                "9O1BGQ")));
  CHECK_REASON(
      kWrongIssuer,
      gate.reason(with_cat("2D3RhEOhAQWhBFBha2FtYWlfa2V5X2hzMjU2VKMBZWpvbmFzBhpn12U-BRpn12U-WC"
                           "Df1xHvhcnvyXUxd-DP4RAbayc8nC2PLJPPPbF3S00ruw")));
  CHECK_REASON(kExpired, gate.reason(with_cat(
                             "2D3RhEOhAQWhBFBha2FtYWlfa2V5X2hzMjU2U6MEGmfXP_YGGmfXQAsFGmfXQAtYIN"
                             "TT_KlOyhaV6NaSxFXkqJWfBagSkPkem10dysoA-C0w")));
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(
                                "2D3RhEOhAQWhBFBha2FtYWlfa2V5X2hzMjU2V6MDgmNvbmVjdHdvBhpn12R8BRpn12"
                                "R8WCAdnSbUN4KbIvaHLn-q4f4YRpfq6ERYotByjbIyZ-EkfQ")));
}
