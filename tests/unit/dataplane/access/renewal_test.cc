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
  // A CAT by the shared key, with "exp" near, any URI, and what `claims` add.
  std::string cat(std::size_t count, const std::string& claims) {
    auto secret = decode_base64url("Elv5BFZmuR-5v-70wbzHWzrdrcUcicZRyRATZ0docFQ");
    std::string header;
    append_cbor_head(header, 5, 1);  // {1: 5}: HMAC 256/256
    append_cbor_integer(header, 1);
    append_cbor_integer(header, 5);
    std::string all;
    append_cbor_head(all, 5, count + 2);
    append_cbor_integer(all, 4);  // exp
    append_cbor_integer(all, 1800000050);
    append_cbor_integer(all, 312);  // catu: {scheme: {exact: "https"}}
    append_cbor_head(all, 5, 1);
    append_cbor_integer(all, 0);
    append_cbor_head(all, 5, 1);
    append_cbor_integer(all, 0);
    append_cbor_text(all, "https");
    all += claims;
    std::string signed_part;
    append_cbor_head(signed_part, 4, 4);
    append_cbor_text(signed_part, "MAC0");
    append_cbor_bytes(signed_part, bytes_of(header));
    append_cbor_bytes(signed_part, {});
    append_cbor_bytes(signed_part, bytes_of(all));
    std::string message;
    append_cbor_head(message, 4, 4);
    append_cbor_bytes(message, bytes_of(header));
    append_cbor_head(message, 5, 0);
    append_cbor_bytes(message, bytes_of(all));
    append_cbor_bytes(message, hmac_sha256(*secret, bytes_of(signed_part)));
    std::string text;
    append_base64url(text, bytes_of(message));
    return text;
  }
  // catr: by header, for another minute, when a minute is left, in a header of this name.
  std::string catr(std::string_view header_name) {
    std::string claim;
    append_cbor_integer(claim, 323);
    append_cbor_head(claim, 5, 4);
    append_cbor_integer(claim, 0);
    append_cbor_integer(claim, 2);
    append_cbor_integer(claim, 1);
    append_cbor_integer(claim, 60);
    append_cbor_integer(claim, 2);
    append_cbor_integer(claim, 60);
    append_cbor_integer(claim, 4);
    append_cbor_text(claim, header_name);
    return claim;
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

// The time by which tokens are judged is the one they are made by: a token of the clock's own would
// have expired, and end the chain.
TEST(Renewal, AChainOutlivesAClockThatIsSetBack) {
  Gate gate(options);
  std::string token = token_of(gate.check(with_jwt(v::kRenew)));
  for (int i = 1; i <= 3; ++i) {
    TestRequest request = with_cookie(token);
    request.now = kNow - seconds(600) + seconds(45 * i);
    request.monotonic_now += seconds(45 * i);
    const Decision decision = gate.check(request);
    CHECK_REASON(kTokenHolds, decision.reason);
    token = token_of(decision);
  }
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

// A listener in a chain is a stranger to no worker, however many strangers there are around.
TEST(Renewal, ARenewedTokenWaitsBehindNoFloodOfStrangers) {
  CheckOptions small;
  small.prefix_verifications_per_second = 1;
  small.prefix_verifications_at_once = 2;
  small.verifications_per_second = 1;
  small.verifications_at_once = 2;
  const auto policy = policy_of(options);
  const auto shared = std::make_shared<ReplayTable>();
  AccessCheck here(small, policy, shared, {1, 2});
  AccessCheck there(small, policy, shared, {3, 4});
  // Strangers of the listener's prefix, until a worker verifies no more.
  int strangers = 0;
  const auto flood = [&](AccessCheck& check, MonotonicTime now) {
    for (int i = 0; i < 3; ++i) {
      std::string token(v::kPlain);
      std::string digits;
      append_base64url(digits, sha256(bytes_of(std::to_string(strangers++))));
      TestRequest request = with_jwt(token.replace(token.size() - 60, 20, digits.substr(0, 20)));
      request.monotonic_now = now;
      if (check.check(request.get()).reason == Reason::kBusy) return;
    }
    FAIL("the flood is none");
  };
  Decision decision = here.check(with_jwt(v::kRenew).get());
  CHECK_REASON(kTokenHolds, decision.reason);
  // Neither knows the token that the other one made, and the flood goes on for the whole chain.
  for (int i = 1; i <= 6; ++i) {
    AccessCheck& check = i % 2 == 0 ? here : there;
    TestRequest request = with_cookie(token_of(decision));
    request.now += seconds(45 * i);
    request.monotonic_now += seconds(45 * i);
    flood(check, request.monotonic_now);
    const std::uint64_t verified = check.counters().signatures_verified;
    decision = check.check(request.get());
    CHECK_REASON(kTokenHolds, decision.reason);
    LONGS_EQUAL(verified, check.counters().signatures_verified);
    LONGS_EQUAL(1, decision.renewals.size());
  }
}

TEST(Renewal, AWorkerKnowsWhatItRenewedWithoutAnySharedTable) {
  AccessCheck check({}, policy_of(options), nullptr, {1, 2});
  const Decision decision = check.check(with_jwt(v::kRenew).get());
  CHECK_REASON(kTokenHolds, check.check(with_cookie(token_of(decision)).get()).reason);
  LONGS_EQUAL(1, check.counters().signatures_verified);
  // What a listener changed in it is nothing that this node made.
  std::string spoilt = token_of(decision);
  spoilt[spoilt.size() - 10] = spoilt[spoilt.size() - 10] == 'A' ? 'B' : 'A';
  CHECK_REASON(kBadSignature, check.check(with_cookie(spoilt).get()).reason);
}

TEST(Renewal, IsNotSentAndNotBelievedOnceItsKeyIsGone) {
  options.key_sets = {key_set("label", {v::kPrivateKeyOne, v::kSharedKey}),
                      key_set("node", {v::kRfcPrivateKey})};
  options.rules[0].key_sets = {"label", "node"};
  options.rules[0].renewal_key = "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0";
  const auto shared = std::make_shared<ReplayTable>();
  AccessCheck here({}, policy_of(options), shared, {1, 2});
  AccessCheck there({}, policy_of(options), shared, {3, 4});
  const std::string old = token_of(here.check(with_jwt(v::kRenew).get()));
  CHECK_REASON(kTokenHolds, here.check(with_cookie(old).get()).reason);
  // Another key signs from now on; the old one is still trusted.
  AccessOptions changed = options;
  changed.rules[0].renewal_key = "one";
  here.set_policy(policy_of(changed));
  const std::string fresh = token_of(here.check(with_jwt(v::kRenew).get()));
  CHECK_TRUE(fresh != old);
  CHECK_REASON(kTokenHolds, here.check(with_cookie(old).get()).reason);
  // The old one is gone.
  changed.key_sets.pop_back();
  changed.rules[0].key_sets = {"label"};
  for (AccessCheck* check : {&here, &there}) {
    check->set_policy(policy_of(changed));
    CHECK_REASON(kUnknownKey, check->check(with_cookie(old).get()).reason);
    CHECK_REASON(kTokenHolds, check->check(with_cookie(fresh).get()).reason);
    CHECK_TRUE(token_of(check->check(with_jwt(v::kRenew).get())) != old);
  }
  // And what a rule renews for its own listeners is not sent to another's.
  changed.rules[0].renewal_issuer = "node";
  here.set_policy(policy_of(changed));
  LONGS_EQUAL(2, here.counters().renewals);
  here.check(with_jwt(v::kRenew).get());
  LONGS_EQUAL(3, here.counters().renewals);
}

TEST(Renewal, ATokenForOneUseIsNotRenewed) {
  // Of an issuer with a shared secret: kRenew's claims with "jti".
  const auto secret = decode_base64url("Elv5BFZmuR-5v-70wbzHWzrdrcUcicZRyRATZ0docFQ");
  std::string token;
  append_base64url(token, bytes_of(R"({"alg":"HS256","kid":"shared"})"));
  token += '.';
  append_base64url(token,
                   bytes_of(R"({"exp":1800000060,"cdniuc":"regex:https://music\\.example/.*",)"
                            R"("cdniets":60,"cdnistt":1,"cdnistd":1,"jti":"ticket-2"})"));
  const Digest mac = hmac_sha256(*secret, bytes_of(token));
  token += '.';
  append_base64url(token, mac);
  Gate gate(options);
  const Decision decision = gate.check(with_jwt(token));
  CHECK_REASON(kTokenHolds, decision.reason);
  CHECK_TRUE(decision.renewals.empty());
}

TEST(Renewal, MayBeWithASharedKey) {
  options.rules[0].renewal_key = "shared";
  Gate gate(options);
  const Decision decision = gate.check(with_cat(v::kCatRenewAutomaticMac));
  LONGS_EQUAL(1, decision.renewals.size());
  CHECK_REASON(kTokenHolds, gate.reason(with_cat(decision.renewals[0].field_value)));
}

TEST(Renewal, ACommonAccessTokenForOneUseIsNotRenewed) {
  std::string claims;
  append_cbor_integer(claims, 308);  // catreplay
  append_cbor_integer(claims, 1);
  append_cbor_integer(claims, 7);  // cti
  append_cbor_bytes(claims, bytes_of("ticket-3"));
  Gate gate(options);
  Decision decision = gate.check(with_cat(cat(3, claims + catr("X-Token"))));
  CHECK_REASON(kTokenHolds, decision.reason);
  CHECK_TRUE(decision.renewals.empty());
  decision = gate.check(with_cat(cat(1, catr("X-Token"))));
  CHECK_REASON(kTokenHolds, decision.reason);
  LONGS_EQUAL(1, decision.renewals.size());
}

// An issuer may say in which header, but not write the node's own.
TEST(Renewal, NoHeaderThatTheAnswerStandsOrFallsWith) {
  Gate gate(options);
  for (const char* name :
       {"connection", "Keep-Alive", "proxy-connection", "Transfer-Encoding", "upgrade", "te",
        "trailer", "HTTP2-Settings", "content-length", "Content-Encoding", "CONTENT-Anything",
        "Set-Cookie", "Cache-Control", "Location", "Date", "a b", ":status"}) {
    const Decision decision = gate.check(with_cat(cat(1, catr(name))));
    CHECK_REASON(kTokenHolds, decision.reason);
    CHECK_TRUE_TEXT(decision.renewals.empty(), name);
  }
  const Decision decision = gate.check(with_cat(cat(1, catr("X-Token"))));
  STRCMP_EQUAL("X-Token", decision.renewals.at(0).field_name.c_str());
}
