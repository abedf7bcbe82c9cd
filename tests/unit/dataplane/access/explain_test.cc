// Explanations: the same verdict as the check's, each step named, no secret shown.
#include "dataplane/access/explain.h"

#include <CppUTest/TestHarness.h>

#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(Explain) {
  std::shared_ptr<const AccessPolicy> policy = policy_of(signed_options());
  std::string text_of(const Explanation& explanation) {
    std::string out;
    for (const ExplainStep& step : explanation.steps) {
      out += step.verdict == ExplainStep::Verdict::kRefuses ? "- "
             : step.verdict == ExplainStep::Verdict::kHolds ? "+ "
                                                            : "  ";
      out += step.subject + ": " + step.detail + "\n";
    }
    return out;
  }
};

TEST(Explain, SaysHowATokenHolds) {
  const Explanation explanation = explain(*policy, with_jwt(v::kIssuer).get(), nullptr);
  CHECK_REASON(kTokenHolds, explanation.reason);
  STRCMP_EQUAL("/albums/1/a.m4s", explanation.target.c_str());
  STRCMP_EQUAL("albums", explanation.rule.c_str());
  const std::string text = text_of(explanation);
  for (const char* line : {"  rule: 'albums' for host 'music.example' and path '/albums': signed",
                           "  token 1: signed URI token in query parameter URISigningPackage, ",
                           "+ signature: ES256 by key 'one' of key set 'label'", "+ iss: 'label'",
                           "+ exp: until 2027-01-15T09:00:00Z, now 2027-01-15T08:00:00Z",
                           "+ cdniuc: 'https://music.example/albums/1/a.m4s' matches (whole)"}) {
    STRCMP_CONTAINS(line, text.c_str());
  }
}

TEST(Explain, GoesOnAfterTheFirstRefusal) {
  TestRequest request = with_cat(v::kCatNetworks);
  request.client = "203.0.113.1";
  request.target = "/albums/2/x";
  const Explanation explanation = explain(*policy, request.get(), nullptr);
  CHECK_REASON(kWrongClient, explanation.reason);
  const std::string text = text_of(explanation);
  STRCMP_CONTAINS("- catnip: for 192.0.2.0/24 2001:db8::/32 ; the client is 203.0.113.1",
                  text.c_str());
  STRCMP_CONTAINS("- catu path: '/albums/2/x' starts with '/albums/1/'", text.c_str());
}

// The target is shown: a token in a spelling of its own must not be.
TEST(Explain, ShowsNoTokenInAnySpelling) {
  for (const char* target :
       {"/albums;URISigningPackag%65=secret/1", "/albums;urisigningpackage=secret/1",
        "/albums%3BURISigningPackage=secret/1", "/x%3FURISigningPackage=secret",
        "/albums/1?a=%26CAT%3dsecret", "/albums/1/a.m4s?next=%2F%3FURISigningPackage%3Dsecret"}) {
    TestRequest request;
    request.target = target;
    // One that is read, so that its claims are shown beside the target.
    request.fields.add("Cookie", "URISigningPackage=" + std::string(v::kPlain));
    for (const auto& any : {policy, AccessPolicy::open()}) {
      const Explanation explanation = explain(*any, request.get(), nullptr);
      const std::string text = text_of(explanation) + explanation.target;
      CHECK_FALSE_TEXT(text.contains("secret"), target);
    }
  }
}

TEST(Explain, GoesOnAfterASignatureThatDoesNotHold) {
  std::string spoilt(v::kIssuer);
  spoilt[spoilt.size() - 9] = spoilt[spoilt.size() - 9] == 'A' ? 'B' : 'A';
  TestRequest request = with_jwt(spoilt);
  const Explanation explanation = explain(*policy, request.get(), nullptr);
  CHECK_REASON(kBadSignature, explanation.reason);
  std::string text = text_of(explanation);
  for (const char* line :
       {"- signature: ES256 does not verify with any of 1 keys; nobody vouches for what follows",
        "+ exp: ", "+ iss: 'label'", "+ cdniuc: "}) {
    STRCMP_CONTAINS(line, text.c_str());
  }
  // Long expired as well: one reason, and both lines.
  request.now = kNow + std::chrono::hours(3);
  const Explanation late = explain(*policy, request.get(), nullptr);
  CHECK_REASON(kExpired, late.reason);
  CHECK_TRUE(Gate().reason(request) == late.reason);
  text = text_of(late);
  STRCMP_CONTAINS("- signature: ", text.c_str());
  STRCMP_CONTAINS("- exp: ", text.c_str());
}

TEST(Explain, GoesOnWhereNoKeyOrNoEncryptionKeyFits) {
  std::string text = text_of(explain(*policy, with_jwt(v::kUnknownKid).get(), nullptr));
  STRCMP_CONTAINS("- key: no key of the rule for ES256 has the id it names", text.c_str());
  STRCMP_CONTAINS("  iss: not judged", text.c_str());
  STRCMP_CONTAINS("+ cdniuc: ", text.c_str());
  const Explanation sealed = explain(*policy, with_jwt(v::kClientGarbage).get(), nullptr);
  CHECK_REASON(kUnsupportedClaim, sealed.reason);
  text = text_of(sealed);
  STRCMP_CONTAINS("- cdniip: cannot be opened", text.c_str());
  STRCMP_CONTAINS("+ cdniuc: ", text.c_str());
  CHECK_TRUE(text.find("cdniip") == text.rfind("cdniip"));
}

TEST(Explain, SaysWhatIsMalformed) {
  const auto jwt = [](std::string_view header, std::string_view claims) {
    std::string token;
    append_base64url(token, bytes_of(header));
    token += '.';
    append_base64url(token, bytes_of(claims));
    token += '.';
    append_base64url(token, Digest());
    return token;
  };
  constexpr std::string_view kHeader = R"({"alg":"HS256"})";
  const std::vector<std::pair<std::string, const char*>> cases = {
      {"zzzz", "malformed, it is not three parts with a dot between them"},
      {"a.b.c", "malformed, its header (the first part)"},
      {jwt("{}", "{}"), "malformed, its header (the first part)"},
      {jwt(R"({"alg":"none"})", "{}"), "algorithm, its header (the first part)"},
      {jwt(kHeader, "[]"), "malformed, its claims (the second part) are no JSON object"},
      {jwt(kHeader, R"({"exp":"s3cret"})"), "malformed, its claim exp"},
      {jwt(kHeader, R"({"cdnistt":1})"), "malformed, its claim cdnistt, which wants cdniets"},
      {jwt(kHeader, "{}") + "AAAA", "malformed, its signature (the third part)"},
      {std::string(8193, 'a'), "too_large, all of it"}};
  for (const auto& [token, problem] : cases) {
    const Explanation explanation = explain(*policy, with_jwt(token).get(), nullptr);
    CHECK_TRUE(explanation.reason == Gate().reason(with_jwt(token)));
    const std::string text = text_of(explanation);
    STRCMP_CONTAINS((std::string("cannot be read: ") + problem).c_str(), text.c_str());
    CHECK_FALSE(text.contains("s3cret"));
  }
  const std::string cat = text_of(explain(*policy, with_cat("AAAA").get(), nullptr));
  STRCMP_CONTAINS("malformed, it is ", cat.c_str());
}

TEST(Explain, NeverShowsATokenOrAKey) {
  for (const std::string_view token : {v::kPlain, v::kPlainShared, v::kClientV4, v::kPlainKeyTwo}) {
    TestRequest request = with_jwt(token);
    request.fields.add("Cookie", "URISigningPackage=" + std::string(token));
    const Explanation explanation = explain(*policy, request.get(), nullptr);
    const std::string text = text_of(explanation) + explanation.target;
    for (std::size_t i = 0; i + 24 < token.size(); i += 12) {
      CHECK_FALSE(text.contains(token.substr(i, 24)));
    }
  }
}

// A header may carry a credential, or another rule's token.
TEST(Explain, NeverShowsWhatIsInAHeader) {
  for (const char* value : {"speaker", "s3cret-of-the-listener"}) {
    TestRequest request = with_cat(v::kCatHeader);
    request.fields.add("x-device", value);
    request.fields.add("Authorization", "Bearer s3cret-of-the-listener");
    request.fields.add("Cookie", "session=s3cret-of-the-listener");
    const Explanation explanation = explain(*policy, request.get(), nullptr);
    const std::string text = text_of(explanation);
    STRCMP_CONTAINS("cath X-Device: must be a value that equals what the token says: it is",
                    text.c_str());
    CHECK_EQUAL(explanation.reason == Reason::kTokenHolds, std::string_view(value) == "speaker");
    CHECK_FALSE(text.contains("speaker"));
    CHECK_FALSE(text.contains("s3cret"));
  }
}

TEST(Explain, AgreesWithTheCheckOfPathsThatOriginsReadInDifferentWays) {
  const AccessOptions options = signed_beside_open();
  Gate gate(options);
  for (const char* target :
       {"/albums;x=1/1/a.m4s", "/albums%3Bx/1/a.m4s", "/albums%3bx/1", "/player;v=2/page.js",
        "/%61lbums/1", "/player/;/..;/x", "/%2e/x", "/x%2Falbums", "/albums;"}) {
    TestRequest request;
    request.target = target;
    STRCMP_EQUAL_TEXT(
        std::string(reason_name(gate.reason(request))).c_str(),
        std::string(reason_name(explain(*policy_of(options), request.get(), nullptr).reason))
            .c_str(),
        target);
  }
}

TEST(Explain, AgreesWithTheCheck) {
  const AccessOptions options = signed_options();
  for (const std::string_view token :
       {v::kPlain, v::kNotBefore, v::kNoExpiry, v::kAudience, v::kVersion2, v::kBadExpression,
        v::kClientV6, v::kClientGarbage, v::kAlgorithmNone, v::kUnknownKid, v::kPlainKeyTwo,
        v::kSingleUse, v::kCatPlain}) {
    Gate gate(options);
    ReplayTable replay;
    const TestRequest request = with_jwt(token);
    const Explanation explanation = explain(*policy, request.get(), &replay);
    const Decision decision = gate.check(request);
    STRCMP_EQUAL(std::string(reason_name(decision.reason)).c_str(),
                 std::string(reason_name(explanation.reason)).c_str());
  }
}

// One token is wrong, for the other there is no room now: the listener should come again.
TEST(Explain, AgreesWithTheCheckAboutATableThatIsFull) {
  const auto replay = std::make_shared<ReplayTable>(1);
  replay->use(Digest{}, kNow, kNow + std::chrono::hours(9));
  AccessCheck check({}, policy, replay, {1, 2});
  TestRequest request = with_jwt(v::kAlgorithmNone);
  request.fields.add("Cookie", "URISigningPackage=" + std::string(v::kSingleUse));
  CHECK_REASON(kBusy, check.check(request.get()).reason);
  CHECK_REASON(kBusy, explain(*policy, request.get(), replay.get()).reason);
}

TEST(Explain, UsesNothingUp) {
  ReplayTable replay;
  explain(*policy, with_jwt(v::kSingleUse).get(), &replay);
  LONGS_EQUAL(0, replay.size());
}

TEST(Explain, RequestsWithoutRuleOrToken) {
  TestRequest request;
  CHECK_REASON(kNoToken, explain(*policy, request.get(), nullptr).reason);
  request.target = "/x";
  CHECK_REASON(kNoRule, explain(*policy, request.get(), nullptr).reason);
  request.target = "/albums//x";
  CHECK_REASON(kAmbiguousTarget, explain(*policy, request.get(), nullptr).reason);
  CHECK_REASON(kNoRules, explain(*AccessPolicy::open(), request.get(), nullptr).reason);
}

// The check looks at the expiry before it opens what is encrypted.
TEST(Explain, AgreesWithTheCheckOfATokenThatRanOutAndCannotBeOpened) {
  TestRequest request = with_jwt(v::kClientGarbage);
  for (const std::chrono::seconds later : {std::chrono::seconds(4000), std::chrono::seconds(0)}) {
    request.now = kNow + later;
    const Reason reason = explain(*policy, request.get(), nullptr).reason;
    CHECK_TRUE(Gate().reason(request) == reason);
    CHECK_TRUE(reason == (later.count() == 0 ? Reason::kUnsupportedClaim : Reason::kExpired));
  }
}
