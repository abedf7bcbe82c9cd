// The check as a whole: rules, what is remembered, what is bounded, what is the same for everybody.
#include "dataplane/access/check.h"

#include <CppUTest/TestHarness.h>

#include "dataplane/access/digest.h"
#include "dataplane/http/cache_key.h"
#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
using std::chrono::seconds;
namespace v = nearfield::access::vectors;

TEST_GROUP(Check) {
  AccessOptions options = signed_options();
  std::string spoilt(int number) {
    std::string token(v::kPlain);
    std::string digits;
    append_base64url(digits, sha256(bytes_of(std::to_string(number))));
    return token.replace(token.size() - 60, 20, digits.substr(0, 20));
  }
};

TEST(Check, WithoutRulesEverythingIsOpenAndUntouched) {
  Gate gate{AccessOptions()};
  const TestRequest request = with_jwt("x");
  const Decision decision = gate.check(request);
  CHECK_REASON(kNoRules, decision.reason);
  CHECK_TRUE(decision.allowed());
  STRCMP_EQUAL(request.target.c_str(), std::string(decision.target).c_str());
}

TEST(Check, DefaultIsDeniedOnceThereAreRules) {
  Gate gate(options);
  TestRequest request;
  request.target = "/elsewhere";
  CHECK_REASON(kNoRule, gate.reason(request));
  request.authority = "other.example";
  CHECK_REASON(kNoRule, gate.reason(request));
  request.authority = "";
  CHECK_REASON(kNoRule, gate.reason(request));
  options.unmatched = Mode::kOpen;
  gate.reload(options);
  CHECK_REASON(kOpen, gate.reason(request));
  request.target = "//doubled/..";
  CHECK_REASON(kOpen, gate.reason(request));  // no rule is for this host
}

TEST(Check, DeniedAndAmbiguous) {
  RuleOptions denied;
  denied.host = "music.example";
  denied.path = "/albums/1/secret";
  denied.mode = Mode::kDenied;
  options.rules.push_back(denied);
  Gate gate(options);
  CHECK_REASON(kDeniedByRule, gate.reason(with_jwt(v::kPlain, "/albums/1/secret/x")));
  CHECK_REASON(kDeniedByRule, gate.reason(with_jwt(v::kPlain, "/albums/1/s%65cret/x")));
  for (const char* path : {"/albums/1/x/../secret", "/albums/1//secret", "/albums/1/%2e/secret",
                           "/albums/1%2Fsecret"}) {
    CHECK_REASON(kAmbiguousTarget, gate.reason(with_jwt(v::kPlain, path)));
  }
  // A token in the path hides nothing.
  TestRequest request;
  request.target = "/albums/1/;URISigningPackage=x/secret";
  CHECK_REASON(kAmbiguousTarget, gate.reason(request));
}

TEST(Check, EveryRefusalIsAnsweredAlike) {
  Gate gate(options);
  for (const std::string_view token :
       {v::kPlainKeyTwo, v::kNotBefore, v::kAlgorithmNone, v::kClientV6}) {
    const Decision decision = gate.check(with_jwt(token));
    CHECK_FALSE(decision.allowed());
    LONGS_EQUAL(403, decision.status());
    CHECK_TRUE(decision.renewals.empty());
  }
  LONGS_EQUAL(403, gate.check(TestRequest()).status());
}

TEST(Check, ASignatureIsVerifiedOnceAToken) {
  Gate gate(options);
  for (int i = 0; i < 5; ++i) CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  LONGS_EQUAL(1, gate.counters().signatures_verified);
  LONGS_EQUAL(4, gate.counters().known_good);
  LONGS_EQUAL(5, gate.counters().decisions[static_cast<std::size_t>(Reason::kTokenHolds)]);
  // Every claim is judged for each request all the same.
  CHECK_REASON(kWrongUri, gate.reason(with_jwt(v::kPlain, "/albums/2/x")));
  TestRequest late = with_jwt(v::kPlain);
  late.now = kNow + seconds(3600);
  CHECK_REASON(kExpired, gate.reason(late));
  LONGS_EQUAL(1, gate.counters().signatures_verified);
}

TEST(Check, ABadTokenIsVerifiedOnceAMinute) {
  Gate gate(options);
  TestRequest request = with_jwt(spoilt(1));
  for (int i = 0; i < 5; ++i) CHECK_REASON(kBadSignature, gate.reason(request));
  LONGS_EQUAL(1, gate.counters().signatures_verified);
  LONGS_EQUAL(4, gate.counters().known_bad);
  request.monotonic_now += seconds(60);
  CHECK_REASON(kBadSignature, gate.reason(request));
  LONGS_EQUAL(2, gate.counters().signatures_verified);
}

TEST(Check, ExpiredTokensCostNoSignature) {
  Gate gate(options);
  TestRequest request = with_jwt(v::kPlain);
  request.now = kNow + seconds(4000);
  CHECK_REASON(kExpired, gate.reason(request));
  LONGS_EQUAL(0, gate.counters().signatures_verified);
}

TEST(Check, AFloodOfBadTokensLeavesThoseWhoListenAlone) {
  CheckOptions small;
  small.good_tokens = 16;
  small.bad_tokens = 16;
  small.verifications_per_second = 10;
  small.verifications_at_once = 30;
  small.prefix_verifications_per_second = 5;
  small.prefix_verifications_at_once = 20;
  Gate gate(options, small);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  int busy = 0;
  for (int i = 0; i < 200; ++i) {
    const Decision decision = gate.check(with_jwt(spoilt(i)));
    CHECK_FALSE(decision.allowed());
    if (decision.reason == Reason::kBusy) {
      ++busy;
      LONGS_EQUAL(503, decision.status());
    }
  }
  LONGS_EQUAL(181, busy);  // 20 at once of one prefix, one of which was the good one's
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  // Another prefix has its own share, until the whole is used up.
  TestRequest other = with_jwt(v::kHash, "/albums/1/a.m4s?q=1");
  other.client = "198.51.100.1";
  CHECK_REASON(kTokenHolds, gate.reason(other));
  int verified = 0;
  for (int i = 0; i < 50; ++i) {
    TestRequest request = with_jwt(spoilt(1000 + i));
    request.client = "2001:db8:" + std::to_string(i) + "::1";
    verified += gate.reason(request) == Reason::kBadSignature;
  }
  CHECK_TRUE(verified <= 9);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  // MACs cost little and are not counted.
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlainShared)));
  // A second later there is room again.
  TestRequest later = with_jwt(v::kIssuer);
  later.monotonic_now += seconds(1);
  CHECK_REASON(kTokenHolds, gate.reason(later));
}

// What of a COSE message is not signed can be written in endless ways.
TEST(Check, ATokenHasOnePlaceAndOneVerificationHoweverItIsSpelled) {
  CheckOptions small;
  small.good_tokens = 16;
  Gate gate(options, small);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(v::kCatPlain)));
  for (int i = 0; i < 100; ++i) {
    const std::string other = respelled(v::kCatPlain, [i](CborItem& cose) {
      CborItem number;
      number.type = CborItem::Type::kInteger;
      number.integer = 1000 + i;
      cose.children[1].children.push_back(number);
      cose.children[1].children.push_back(number);
    });
    CHECK_REASON(kTokenHolds, gate.reason(with_cat(other)));
  }
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  LONGS_EQUAL(2, gate.counters().signatures_verified);
  // Nor does what is known let through what would be refused: a key id that is unknown here.
  const std::string stranger = respelled(v::kCatPlain, [](CborItem& cose) {
    cose.children[1].children[1].bytes = bytes_of("nobody");
  });
  CHECK_REASON(kUnknownKey, gate.reason(with_cat(stranger)));
  // Padding is all that belongs there, or none.
  for (const char* padding : {"=", "==", "===", "====="}) {
    std::string padded = std::string(v::kCatPlain) + padding;
    const bool is_right = padded.size() % 4 == 0 && std::string_view(padding).size() <= 2;
    const Reason reason = gate.reason(with_cat(padded));
    CHECK_TRUE(is_right ? reason == Reason::kTokenHolds : reason == Reason::kMalformed);
  }
}

TEST(Check, AKeyThatIsGoneLeavesNothingBehind) {
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kClientV4)));
  LONGS_EQUAL(2, gate.counters().signatures_verified);
  // Without the key that opened the client's prefix what was in it counts no longer...
  AccessOptions unsealed = options;
  unsealed.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyOne})};
  gate.reload(unsealed);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  CHECK_REASON(kUnsupportedClaim, gate.reason(with_jwt(v::kClientV4)));
  // ... and what was found bad without it is looked at again with it.
  gate.reload(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kClientV4)));
  LONGS_EQUAL(4, gate.counters().signatures_verified);
  // A key that comes back finds nothing of its old tokens.
  AccessOptions revoked = options;
  revoked.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyTwo})};
  gate.reload(revoked);
  gate.reload(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  LONGS_EQUAL(5, gate.counters().signatures_verified);
}

TEST(Check, AReloadKeepsWhatStillHoldsAndForgetsRevokedKeys) {
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  AccessOptions more = options;
  more.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyTwo, v::kPublicKeyOne})};
  gate.reload(more);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  LONGS_EQUAL(1, gate.counters().signatures_verified);
  AccessOptions revoked = options;
  revoked.key_sets[0].inline_sets = {jwk_set({v::kPublicKeyTwo})};
  gate.reload(revoked);
  CHECK_REASON(kUnknownKey, gate.reason(with_jwt(v::kPlain)));
  gate.reload(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
}

TEST(Check, AKeyTrustedElsewhereIsNotTrustedHere) {
  options.key_sets.push_back(key_set("other", {v::kPublicKeyTwo}));
  RuleOptions other = options.rules[0];
  other.name = "singles";
  other.path = "/albums/1/singles";
  other.key_sets = {"other"};
  options.rules.push_back(other);
  Gate gate(options);
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlain)));
  CHECK_REASON(kUnknownKey, gate.reason(with_jwt(v::kPlain, "/albums/1/singles/x")));
  CHECK_REASON(kTokenHolds, gate.reason(with_jwt(v::kPlainKeyTwo, "/albums/1/singles/x")));
  CHECK_REASON(kUnknownKey, gate.reason(with_jwt(v::kPlainKeyTwo)));
}

TEST(Check, TwoListenersShareOneCacheKey) {
  Gate gate(options);
  const http::QueryRules rules =
      *http::QueryRules::make(std::vector<std::string>{"CMCD", "CMCD-*"}, false);
  std::string keys[2];
  int i = 0;
  for (const std::string_view token : {v::kPlain, v::kPlainShared}) {
    const TestRequest request = with_jwt(token, "/albums/1/a.m4s?CMCD=sid%3D" + std::to_string(i));
    const Decision decision = gate.check(request);
    CHECK_TRUE(decision.allowed());
    const std::size_t mark = decision.target.find('?');
    http::append_cache_key(keys[i++], http::Scheme::kHttps, "music.example",
                           decision.target.substr(0, mark), decision.target.substr(mark + 1),
                           rules);
  }
  STRCMP_EQUAL("https://music.example/albums/1/a.m4s", keys[0].c_str());
  STRCMP_EQUAL(keys[0].c_str(), keys[1].c_str());
}

TEST(Check, TokensLeaveTheFieldsThatAreForwarded) {
  const auto policy = policy_of(options);
  http::Fields fields;
  fields.add("Cookie", "a=1; URISigningPackage=x; b=2");
  fields.add("cookie", "CTA-Common-Access-Token=y");
  fields.add("CTA-Common-Access-Token", "z");
  CHECK_TRUE(carries_token_fields(*policy, &fields));
  remove_token_fields(*policy, fields);
  STRCMP_EQUAL("Cookie: a=1; b=2\r\n", std::string(fields.text()).c_str());
  CHECK_FALSE(carries_token_fields(*policy, &fields));
  fields.set("Cookie", "URISigningPackage=x");
  remove_token_fields(*policy, fields);
  CHECK_TRUE(fields.empty());
}

// Origins that leave path parameters out would serve what the rule for "/" lets through.
TEST(Check, PathParametersDoNotLeadAroundARule) {
  Gate gate(signed_beside_open());
  for (const char* target : {"/albums;x=1/1/a.m4s", "/albums%3Bx/1/a.m4s", "/albums%3bx/1"}) {
    TestRequest request;
    request.target = target;
    CHECK_REASON(kAmbiguousTarget, gate.reason(request));
  }
  TestRequest elsewhere;
  elsewhere.target = "/player;v=2/page.js";
  CHECK_REASON(kOpen, gate.reason(elsewhere));
}
