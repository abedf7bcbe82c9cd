// Chains of renewed tokens.
#include <CppUTest/TestHarness.h>

#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
using std::chrono::seconds;
namespace v = nearfield::access::vectors;

TEST_GROUP(Renewal) {
  AccessOptions options = signed_options();
  void setup() override {
    options.key_sets = {key_set("label", {v::kPrivateKeyOne, v::kSharedKey})};
    options.rules[0].renewal_key = "one";
  }
  // The token of a Set-Cookie value.
  std::string token_of(const Decision& decision) {
    LONGS_EQUAL(1, decision.renewals.size());
    if (decision.renewals.empty()) return {};
    const std::string& value = decision.renewals[0].field_value;
    const std::size_t start = value.find('=') + 1;
    return value.substr(start, value.find(';') - start);
  }
  TestRequest with_cookie(const std::string& token) {
    TestRequest request;
    request.fields.add("Cookie", "URISigningPackage=" + token);
    return request;
  }
};

TEST(Renewal, AChainOutlivesItsFirstToken) {
  Gate gate(options);
  Decision decision = gate.check(with_jwt(v::kRenew));
  CHECK_REASON(kTokenHolds, decision.reason);
  STRCMP_EQUAL("Set-Cookie", decision.renewals[0].field_name.c_str());
  STRCMP_CONTAINS("; Path=/albums/1; Max-Age=60; HttpOnly; Secure; SameSite=None",
                  decision.renewals[0].field_value.c_str());
  std::string token = token_of(decision);
  for (int i = 1; i <= 10; ++i) {
    TestRequest request = with_cookie(token);
    request.now = kNow + seconds(45 * i);
    decision = gate.check(request);
    CHECK_REASON(kTokenHolds, decision.reason);
    token = token_of(decision);
  }
  TestRequest request = with_cookie(token);
  request.now = kNow + seconds(45 * 10 + 60);
  CHECK_REASON(kExpired, gate.reason(request));
}

TEST(Renewal, IsNotMadeBeforeItIsDueAndOnceForMany) {
  Gate gate(options);
  const std::string token = token_of(gate.check(with_jwt(v::kRenew)));
  STRCMP_EQUAL(token.c_str(), token_of(gate.check(with_jwt(v::kRenew))).c_str());
  LONGS_EQUAL(1, gate.counters().renewals);
  TestRequest request = with_cookie(token);
  request.now = kNow + seconds(29);
  CHECK_TRUE(gate.check(request).renewals.empty());
}

TEST(Renewal, OnlyWhenAskedForAndPossible) {
  Gate gate(options);
  CHECK_TRUE(gate.check(with_jwt(v::kPlain)).renewals.empty());
  CHECK_TRUE(gate.check(with_jwt(v::kRenewByQuery)).renewals.empty());
  CHECK_TRUE(gate.check(with_jwt(v::kRenewDeep)).renewals.empty());
  CHECK_REASON(kMalformed, gate.reason(with_jwt(v::kRenewNoSetting)));
  CHECK_REASON(kMalformed, gate.reason(with_jwt(v::kNegativeDepth)));
  Gate without(signed_options());
  const Decision decision = without.check(with_jwt(v::kRenew));
  CHECK_REASON(kTokenHolds, decision.reason);
  CHECK_TRUE(decision.renewals.empty());
  TestRequest unsure = with_jwt(v::kRenew);
  unsure.clock_trusted = false;
  CHECK_TRUE(gate.check(unsure).renewals.empty());
}

TEST(Renewal, CommonAccessTokensInTheirLastSeconds) {
  Gate gate(options);
  TestRequest request = with_cat(v::kCatRenewCookie);
  CHECK_TRUE(gate.check(request).renewals.empty());
  request.now = kNow + seconds(3570);
  Decision decision = gate.check(request);
  TestRequest next;
  next.fields.add("Cookie", "CTA-Common-Access-Token=" + token_of(decision));
  next.now = kNow + seconds(3680);
  CHECK_REASON(kTokenHolds, gate.reason(next));
  next.now = kNow + seconds(3570 + 120 + 30);
  CHECK_REASON(kExpired, gate.reason(next));
}

TEST(Renewal, CommonAccessTokensGoBackAsTheyCame) {
  Gate gate(options);
  Decision decision = gate.check(with_cat(v::kCatRenewAutomatic));
  LONGS_EQUAL(1, decision.renewals.size());
  STRCMP_EQUAL("CTA-Common-Access-Token", decision.renewals[0].field_name.c_str());
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(decision.renewals[0].field_value)));
  TestRequest cookie;
  cookie.fields.add("Cookie", "CTA-Common-Access-Token=" + std::string(v::kCatRenewAutomatic));
  STRCMP_EQUAL("Set-Cookie", gate.check(cookie).renewals.at(0).field_name.c_str());
  TestRequest query;
  query.target += "?CAT=" + std::string(v::kCatRenewAutomatic);
  CHECK_TRUE(gate.check(query).renewals.empty());
  CHECK_TRUE(gate.check(with_cat(v::kCatRenewRedirect)).renewals.empty());
  decision = gate.check(with_cat(v::kCatRenewCookieNamed));
  STRCMP_CONTAINS("seat=", decision.renewals.at(0).field_value.c_str());
  STRCMP_CONTAINS("; Path=/albums; Secure", decision.renewals.at(0).field_value.c_str());
}

TEST(Renewal, MayBeWithASharedKey) {
  options.rules[0].renewal_key = "shared";
  Gate gate(options);
  const Decision decision = gate.check(with_cat(v::kCatRenewAutomaticMac));
  LONGS_EQUAL(1, decision.renewals.size());
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(decision.renewals[0].field_value)));
}
