// Making a policy: every mistake is named.
#include "dataplane/access/policy.h"

#include <CppUTest/TestHarness.h>

#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(Policy) {
  AccessOptions options = signed_options();
  RuleOptions& rule = options.rules[0];
  void refused(const char* words) { STRCMP_CONTAINS(words, error_of(options).c_str()); }
};

TEST(Policy, NothingConfiguredIsOpen) {
  CHECK_TRUE(policy_of(AccessOptions())->is_open());
  CHECK_TRUE(AccessPolicy::open()->is_open());
  STRCMP_CONTAINS("everything is open", AccessPolicy::open()->summary().c_str());
}

TEST(Policy, SaysWhatIsInForce) {
  STRCMP_EQUAL("1 access rules, 1 key sets with 3 keys, territories by a table",
               policy_of(options)->summary().c_str());
}

TEST(Policy, RefusesUnknownAndMissingKeySets) {
  rule.key_sets = {"nobody"};
  refused("access rule 'albums' names key set 'nobody', which there is not");
  rule.key_sets = {};
  refused("names no key set");
  rule.key_sets = {"label"};
  options.key_sets[0].inline_sets = {jwk_set({v::kSealingKey})};
  refused("without a key that verifies");
  options.key_sets[0].inline_sets = {jwk_set({})};
  refused("no key that can be used");
  options.key_sets[0].files = {"/nonexistent/keys.json"};
  refused("cannot open /nonexistent/keys.json");
}

TEST(Policy, RefusesWhatCannotBeMeant) {
  rule.host = "music.example:443";
  refused("neither a name without port");
  rule.host = "music.*";
  refused("neither a name");
  rule.host = "music.example";
  rule.path = "albums";
  refused("is no prefix of paths");
  rule.path = "/a/../b";
  refused("is no prefix of paths");
  rule.path = "/albums";
  rule.allowed_territories = {"Germany"};
  refused("'Germany' is no territory");
  for (const char* code : {"UK", "ZZ", "D", "de-by", ""}) {
    rule.allowed_territories = {};
    rule.refused_territories = {"US", code};
    refused("is no territory: write a code that ISO 3166-1 alpha-2 assigns");
    rule.refused_territories = {};
    rule.licence = {{"", "", {code}}};
    refused("is no territory");
    rule.licence = {};
  }
  rule.allowed_territories = {"DE"};
  STRCMP_CONTAINS("no territory_database", error_of(options, nullptr).c_str());
  rule.licence = {{"2026-12-01", "", {}}};
  refused("is no time of a licence");
  rule.licence = {{"2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", {}}};
  refused("is empty");
  rule.licence.clear();
  rule.tokens.clear();
  refused("takes tokens from nowhere");
  rule.tokens = {TokenKind::kCat};
  rule.cat.header = "a b";
  refused("'a b' is no name");
}

TEST(Policy, RefusesRenewalWithoutAPrivateKey) {
  rule.renewal_key = "one";
  refused("renewal key 'one'");
}

TEST(Policy, RefusesDoubles) {
  options.rules.push_back(rule);
  refused("there is another for host 'music.example' and path '/albums'");
  options.rules.pop_back();
  options.key_sets.push_back(options.key_sets[0]);
  refused("two key sets 'label'");
}

TEST(Policy, RefusesSignedAsDefaultAndWildClocks) {
  options.unmatched = Mode::kSigned;
  refused("open or denied");
  options.unmatched = Mode::kOpen;
  options.clock.cat_leeway = std::chrono::seconds(301);
  refused("cat_leeway");
}

TEST(Policy, SaysThatADatabaseIsMissing) {
  options.territory_database = "/nonexistent/world.mmdb";
  const auto made = AccessPolicy::make(options);
  CHECK_FALSE(made.has_value());
  STRCMP_CONTAINS("/nonexistent/world.mmdb", made.error().message.c_str());
}

// What a signature says is whose issuers the token may name; in two sets it would say nothing.
TEST(Policy, RefusesAKeyInTwoKeySetsOfARule) {
  options.key_sets = {key_set("label", {v::kPublicKeyOne, v::kSharedKey}),
                      key_set("other", {v::kPublicKeyTwo, v::kPublicKeyOne})};
  rule.key_sets = {"label", "other"};
  refused("access rule 'albums': key 'one' of key set 'other' is in key set 'label' as well");
  // Under another id it is the same key, and with its private part.
  std::string renamed(v::kPrivateKeyOne);
  const std::size_t at = renamed.find("\"one\"");
  CHECK_TRUE(at != std::string::npos);
  renamed.replace(at, 5, "\"uno\"");
  options.key_sets[1] = key_set("other", {renamed});
  refused("key 'uno' of key set 'other' is in key set 'label' as well");
  // One rule may trust one, another the other.
  rule.key_sets = {"label"};
  options.rules.push_back(rule);
  options.rules[1].path = "/singles";
  options.rules[1].key_sets = {"other"};
  policy_of(options);
}

TEST(Policy, RefusesAKeySetNamedTwice) {
  rule.key_sets = {"label", "label"};
  refused("access rule 'albums' names key set 'label' twice");
}

TEST(Policy, RefusesTwoRenewalKeysOfOneId) {
  std::string other(v::kRfcPrivateKey);
  const std::string id = "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0";
  other.replace(other.find(id), id.size(), "one");
  options.key_sets = {key_set("label", {v::kPrivateKeyOne}), key_set("other", {other})};
  rule.key_sets = {"label", "other"};
  policy_of(options);
  rule.renewal_key = "one";
  refused("access rule 'albums': renewal key 'one' names two different keys of its key sets");
  // One that cannot sign is no candidate.
  options.key_sets[0] = key_set("label", {v::kPublicKeyOne});
  policy_of(options);
}

// "music.example." and "music.example" are one host, in rules as in requests.
TEST(Policy, TheRootLabelOfAHostIsLeftOut) {
  rule.host = "Music.Example.";
  for (const char* authority : {"music.example", "music.example.", "music.example.:443"}) {
    TestRequest request = with_jwt(v::kPlain);
    request.authority = authority;
    CHECK_REASON(kTokenHolds, Gate(options).reason(request));
  }
  rule.host = "*.example.";
  CHECK_REASON(kTokenHolds, Gate(options).reason(with_jwt(v::kPlain)));
  options.rules.push_back(rule);
  options.rules[1].host = "*.example";
  refused("there is another for host '*.example' and path '/albums'");
  options.rules.pop_back();
  for (const char* none : {".", "*.", "*..", "music.example.."}) {
    options.rules[0].host = none;
    refused("is neither a name without port");
  }
}
