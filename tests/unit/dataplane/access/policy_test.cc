// Making a policy: every mistake is named.
#include "dataplane/access/policy.h"

#include <CppUTest/TestHarness.h>

#include <algorithm>

#include "tests/unit/dataplane/access/access_fixture.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::access;
namespace v = nearfield::access::vectors;

namespace {

KeySetOptions files_of(std::string name, std::vector<std::string> files) {
  KeySetOptions keys;
  keys.name = std::move(name);
  keys.files = std::move(files);
  return keys;
}

RuleOptions open_rule(std::string name, std::string host, std::string path) {
  RuleOptions rule;
  rule.name = std::move(name);
  rule.host = std::move(host);
  rule.path = std::move(path);
  rule.mode = Mode::kOpen;
  return rule;
}

}  // namespace

TEST_GROUP(Policy) {
  AccessOptions options = signed_options();
  RuleOptions& rule = options.rules[0];
  void refused(const char* words) { STRCMP_CONTAINS(words, error_of(options).c_str()); }
  // Every problem, a line each.
  std::string told() const {
    std::string text;
    const auto policy =
        AccessPolicy::make_or_tell(options, [&](std::string_view place, std::string message) {
          text += std::string(place) + ": " + message + "\n";
        });
    CHECK_EQUAL(policy == nullptr, !text.empty());
    return text;
  }
  // These, wherever they stand in the order.
  void tells(std::initializer_list<std::string> problems) const {
    const std::string text = told();
    for (const std::string& problem : problems) STRCMP_CONTAINS(problem.c_str(), text.c_str());
    CHECK_EQUAL(problems.size(), static_cast<std::size_t>(std::ranges::count(text, '\n')));
  }
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

TEST(Policy, TellsAllThatIsWrongWithARule) {
  options.unmatched = Mode::kSigned;
  options.clock = {.cat_leeway = std::chrono::seconds(301),
                   .maximum_token_lifetime = std::chrono::seconds(-1),
                   .untrusted_tolerance = std::chrono::hours(25)};
  options.territory_database = "/nonexistent/world.mmdb";
  rule.host = "a:80";
  rule.path = "x";
  rule.key_sets = {"label", "nobody", "label", "label", "no one"};
  rule.renewal_key = "one";
  rule.tokens.clear();
  rule.uri_signing.cookie = "a b";
  rule.cat = {.header = "c d", .cookie = "e f", .parameter = "g h"};
  rule.allowed_territories = {"Germany", "DE", "Austria"};
  rule.refused_territories = {"UK"};
  rule.licence = {{"today", "tomorrow", {"Utopia"}},
                  {"2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", {}}};
  tells({"territory_database: prefix database /nonexistent/world.mmdb",
         "unmatched: ",
         "clock.cat_leeway: ",
         "clock.maximum_token_lifetime: ",
         "clock.untrusted_tolerance: ",
         "rules[0].host: ",
         "rules[0].path: ",
         "rules[0].key_sets: access rule 'albums' names key set 'nobody', which",
         "rules[0].key_sets: access rule 'albums' names key set 'label' twice",
         "rules[0].key_sets: access rule 'albums' names key set 'no one', which",
         "rules[0].tokens: ",
         "rules[0].uri_signing.cookie: access rule 'albums': 'a b' is no name",
         "rules[0].cat.header: access rule 'albums': 'c d' is no name",
         "rules[0].cat.cookie: access rule 'albums': 'e f' is no name",
         "rules[0].cat.parameter: access rule 'albums': 'g h' is no name",
         "rules[0].allowed_territories: access rule 'albums': 'Germany'",
         "rules[0].allowed_territories: access rule 'albums': 'Austria'",
         "rules[0].refused_territories: access rule 'albums': 'UK'",
         "rules[0].licence: access rule 'albums': 'today'",
         "rules[0].licence: access rule 'albums': 'tomorrow'",
         "rules[0].licence: access rule 'albums', licence: 'Utopia'",
         "rules[0].licence: access rule 'albums': the licence from 2027-01-01T00:00:00Z"});
}

TEST(Policy, TellsOfADoubleBesideABrokenRule) {
  rule.renewal_key = "none";
  options.rules.push_back(open_rule("two", "MUSIC.example.", "/albums"));
  options.rules.push_back(open_rule("three", "music.example", "/singles"));
  tells({"rules[0].renewal_key: access rule 'albums': renewal key 'none' is in none",
         "rules[1]: access rule 'two': there is another for host 'music.example' and path "
         "'/albums'"});
}

// What a broken key set would have brought nobody knows.
TEST(Policy, DoesNotBlameRulesForTheirKeySets) {
  for (const char* broken : {"/nonexistent/keys.json", ""}) {
    options.key_sets.clear();
    if (*broken != '\0') options.key_sets.push_back(files_of("label", {broken}));
    rule.renewal_key = "one";
    rule.allowed_territories = {"DE"};
    rule.territory_source = TerritorySource::kToken;
    tells({*broken != '\0'
               ? "key_sets[0].files[0]: key set 'label': cannot open /nonexistent/keys.json"
               : "rules[0].key_sets: access rule 'albums' names key set 'label', which there"});
  }
}

TEST(Policy, SaysWhereTerritoriesComeFrom) {
  rule.mode = Mode::kOpen;
  rule.territory_source = TerritorySource::kToken;
  rule.allowed_territories = {"DE"};
  tells({"rules[0].territory_source: access rule 'albums' takes territories from tokens but no"});
  rule.territory_source = TerritorySource::kClient;
  tells({"rules[0].allowed_territories: access rule 'albums' has territories but there is no"});
  rule.refused_territories.swap(rule.allowed_territories);
  tells({"rules[0].refused_territories: access rule 'albums' has territories but there is no"});
  rule.refused_territories.clear();
  rule.licence = {{"", "", {}}, {"", "", {"DE"}}};
  tells({"rules[0].licence: access rule 'albums' has territories but there is no"});
  // One that cannot be opened is one.
  options.territory_database = "/nonexistent/world.mmdb";
  tells({"territory_database: prefix database /nonexistent/world.mmdb cannot be opened"});
}

TEST(Policy, TellsOfEveryFileOfAKeySet) {
  TemporaryFolder folder;
  const std::string a = folder.file("a.json");
  const std::string b = folder.file("b.json");
  std::ofstream(a) << jwk_set({v::kPublicKeyOne});
  std::string other(v::kPublicKeyTwo);
  other.replace(other.find("\"two\""), 5, "\"one\"");
  std::ofstream(b) << jwk_set({other});
  options.key_sets[0] = files_of("label", {a, b, folder.file("none"), folder.file("no")});
  options.key_sets.push_back(key_set("label", {v::kPublicKeyOne}));
  options.key_sets.push_back(files_of("", {a}));
  tells(
      {"key_sets[0].files[1]: key set 'label', file " + b + ": the kid 'one' is another key",
       "key_sets[0].files[2]: key set 'label': cannot open " + folder.file("none") +
           ": No such file",
       "key_sets[0].files[3]: key set 'label': cannot open " + folder.file("no") + ": No such file",
       "key_sets[1].name: there are two key sets 'label'",
       "key_sets[2].name: a key set has no name"});
}

// A rule of two sets with the same key: which of them counts is not known, nor what else they have.
TEST(Policy, TellsOfAKeyInTwoSetsOnce) {
  options.key_sets = {key_set("label", {v::kPublicKeyOne}),
                      key_set("other", {v::kPublicKeyOne, v::kRfcPrivateKey})};
  rule.key_sets = {"label", "other"};
  rule.renewal_key = "P5UpOv0eMq1wcxLf7WxIg09JdSYGYFDOWkldueaImf0";
  tells({"rules[0].key_sets: access rule 'albums': key 'one' of key set 'other' is in key set"});
}

// In a request such a name would stand in another spelling, or not as a name at all.
TEST(Policy, RefusesNamesThatNoRequestCanBring) {
  for (const char* name : {"tok%65n", "a&b", "a#b", "a;b", "a=b", "\xc3\xa4"}) {
    rule.uri_signing.attribute = name;
    rule.cat.parameter = name;
    tells({std::string("rules[0].uri_signing.attribute: access rule 'albums': '") + name + "' is",
           std::string("rules[0].cat.parameter: access rule 'albums': '") + name + "' is no name"});
  }
  rule.uri_signing.attribute = "sig_1-a.b";
  rule.cat.parameter.clear();
  tells({});
}

TEST(Policy, KnowsWhichFilesHoldSecrets) {
  TemporaryFolder folder;
  std::vector<std::string> files;
  for (const std::string_view key :
       {v::kPublicKeyOne, v::kRfcPrivateKey, v::kSharedKey, v::kSealingKey}) {
    files.push_back(folder.file(std::to_string(files.size())));
    std::ofstream(files.back()) << jwk_set({key});
  }
  options.key_sets[0].files = files;
  options.key_sets[0].inline_sets.clear();
  options.key_sets.push_back(files_of("again", files));
  const auto policy = AccessPolicy::make(options);
  CHECK_TEXT(policy.has_value(), policy ? "" : policy.error().message.c_str());
  files.erase(files.begin());
  CHECK((*policy)->files_with_secrets() == files);
}
