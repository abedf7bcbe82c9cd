// The part of a configuration that is about who may listen: defaults, every key, what is refused
// and where, and the files that it names.
#include <sys/stat.h>

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"
#include "dataplane/access/policy.h"
#include "dataplane/control/config.h"
#include "dataplane/control/config_json.h"
#include "tests/unit/dataplane/access/vectors.h"
#include "tests/unit/temporary_folder.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

namespace {

// Six lines; what a test adds begins on the seventh.
const std::string kMinimum =
    "[node]\nlisten = [\":80\"]\n"
    "[[origin]]\nname = \"music\"\nhosts = [\"*\"]\nservers = [\"http://127.0.0.1:9000\"]\n";
constexpr std::string_view kFull = R"([access]
unmatched = "open"
territory_database = "/d/countries.mmdb"
network_database = "/d/networks.mmdb"
[access.clock]
kernel_must_trust_it = true
cat_leeway = "5s"
maximum_token_lifetime = "1d"
untrusted_tolerance = "10m"
[access.check]
good_tokens = 100
good_token_bytes = "1M"
bad_tokens = 0
bad_token_lifetime = "5s"
expressions = 10
verifications_per_second = 20
verifications_at_once = 21
prefix_verifications_per_second = 22
prefix_verifications_at_once = 23
[[access.key_sets]]
name = "label"
files = ["/d/label.json"]
issuers = ["https://label.example"]
issuer_required = true
[[access.rules]]
name = "albums"
host = "*.example"
path = "/albums"
mode = "signed"
tokens = ["cat"]
key_sets = ["label"]
audiences = ["edge"]
uri_signing = { attribute = "sig", cookie = "c" }
cat = { header = "X-Cat", cookie = "d", parameter = "" }
expiry_required = false
uri_required = false
renewal_key = "k1"
renewal_issuer = "edge"
allowed_territories = ["DE", "AT"]
refused_territories = ["US"]
unknown_territory_allowed = true
territory_source = "token"
territory_claim = "where"
licence = [{ from = "2026-12-01T00:00:00Z", until = "2027-12-01T00:00:00Z", territories = ["DE"] }]
[[access.rules]]
host = "music.example"
mode = "denied"
)";

std::string errors_of(const std::string& toml) {
  const auto config = parse_config(toml, "node.toml");
  return config ? "no error" : config.error().text();
}

void expect(const std::string& expected, const std::string& more) {
  CHECK_EQUAL("node.toml:" + expected, errors_of(kMinimum + more));
}

}  // namespace

TEST_GROUP(ConfigAccess) {
  TemporaryFolder folder;

  void write(const std::string& name, const std::string& text) {
    std::ofstream(folder.file(name)) << text;
  }
  // Loads from a file, as a node does: key sets and databases are read as well.
  std::string load_errors(const std::string& more) {
    write("node.toml", kMinimum + more);
    const auto config = load_config(folder.file("node.toml"));
    return config ? "no error" : config.error().text();
  }
};

TEST(ConfigAccess, WithoutItEverythingIsOpen) {
  const auto config = parse_config(kMinimum, "node.toml");
  CHECK(config.has_value());
  CHECK(config->settings.access->is_open());
  CHECK(config->access.options.unmatched == access::Mode::kDenied);
  CHECK_FALSE(config->access.kernel_must_trust_clock);
  LONGS_EQUAL(8192, config->settings.access_check.good_tokens);
}

TEST(ConfigAccess, EveryKeyArrives) {
  const auto config = parse_config(kMinimum + std::string(kFull), "node.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  const access::AccessOptions& options = config->access.options;
  CHECK(options.unmatched == access::Mode::kOpen);
  STRCMP_EQUAL("/d/countries.mmdb", options.territory_database.c_str());
  STRCMP_EQUAL("/d/networks.mmdb", options.network_database.c_str());
  CHECK(config->access.kernel_must_trust_clock);
  CHECK(options.clock.cat_leeway == 5s);
  CHECK(options.clock.maximum_token_lifetime == 24h);
  CHECK(options.clock.untrusted_tolerance == 10min);
  const access::CheckOptions expected{.good_tokens = 100,
                                      .good_token_bytes = 1024 * 1024,
                                      .bad_tokens = 0,
                                      .bad_token_lifetime = 5s,
                                      .expressions = 10,
                                      .verifications_per_second = 20,
                                      .verifications_at_once = 21,
                                      .prefix_verifications_per_second = 22,
                                      .prefix_verifications_at_once = 23};
  CHECK(expected == config->settings.access_check);
  LONGS_EQUAL(1, options.key_sets.size());
  const access::KeySetOptions& keys = options.key_sets.front();
  STRCMP_EQUAL("label", keys.name.c_str());
  STRCMP_EQUAL("/d/label.json", keys.files.at(0).c_str());
  STRCMP_EQUAL("https://label.example", keys.issuers.at(0).c_str());
  CHECK(keys.issuer_required);
  LONGS_EQUAL(2, options.rules.size());
  const access::RuleOptions& rule = options.rules.front();
  STRCMP_EQUAL("albums", rule.name.c_str());
  STRCMP_EQUAL("*.example", rule.host.c_str());
  STRCMP_EQUAL("/albums", rule.path.c_str());
  CHECK(rule.mode == access::Mode::kSigned);
  CHECK(rule.tokens == std::vector{access::TokenKind::kCat});
  STRCMP_EQUAL("label", rule.key_sets.at(0).c_str());
  STRCMP_EQUAL("edge", rule.audiences.at(0).c_str());
  STRCMP_EQUAL("sig", rule.uri_signing.attribute.c_str());
  STRCMP_EQUAL("c", rule.uri_signing.cookie.c_str());
  STRCMP_EQUAL("X-Cat", rule.cat.header.c_str());
  STRCMP_EQUAL("d", rule.cat.cookie.c_str());
  STRCMP_EQUAL("", rule.cat.parameter.c_str());
  CHECK_FALSE(rule.expiry_required);
  CHECK_FALSE(rule.uri_required);
  STRCMP_EQUAL("k1", rule.renewal_key.c_str());
  STRCMP_EQUAL("edge", rule.renewal_issuer.c_str());
  LONGS_EQUAL(2, rule.allowed_territories.size());
  STRCMP_EQUAL("US", rule.refused_territories.at(0).c_str());
  CHECK(rule.unknown_territory_allowed);
  CHECK(rule.territory_source == access::TerritorySource::kToken);
  STRCMP_EQUAL("where", rule.territory_claim.c_str());
  STRCMP_EQUAL("2026-12-01T00:00:00Z", rule.licence.at(0).from.c_str());
  STRCMP_EQUAL("2027-12-01T00:00:00Z", rule.licence.at(0).until.c_str());
  STRCMP_EQUAL("DE", rule.licence.at(0).territories.at(0).c_str());
  CHECK(options.rules.at(1).mode == access::Mode::kDenied);
  STRCMP_EQUAL("/", options.rules.at(1).path.c_str());
}

TEST(ConfigAccess, TheExampleIsUnderstood) {
  std::ifstream file(NEARFIELD_EXAMPLE_ACCESS);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto config = parse_config(text, "access.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  LONGS_EQUAL(2, config->access.options.rules.size());
  CHECK(config->settings.access_check == access::CheckOptions());
  STRCMP_EQUAL("URISigningPackage",
               config->access.options.rules.front().uri_signing.attribute.c_str());
}

TEST(ConfigAccess, IsShownAsItIsInForce) {
  const auto config = parse_config(kMinimum + std::string(kFull), "node.toml");
  CHECK(config.has_value());
  const boost::json::value shown =
      boost::json::parse(config_json(*config)).at("config").at("access");
  STRCMP_EQUAL("open", shown.at("unmatched").as_string().c_str());
  STRCMP_EQUAL("/d/label.json", shown.at("key_sets").at(0).at("files").at(0).as_string().c_str());
  const boost::json::value& rule = shown.at("rules").at(0);
  STRCMP_EQUAL("signed", rule.at("mode").as_string().c_str());
  STRCMP_EQUAL("cat", rule.at("tokens").at(0).as_string().c_str());
  STRCMP_EQUAL("sig", rule.at("uri_signing").at("attribute").as_string().c_str());
  STRCMP_EQUAL("2026-12-01T00:00:00Z", rule.at("licence").at(0).at("from").as_string().c_str());
  CHECK(shown.at("clock").at("kernel_must_trust_it").as_bool());
}

TEST(ConfigAccess, MistakesAreFoundWithLineAndKey) {
  expect("8: access.unmatched: \"signed\" is not known here: use \"denied\" or \"open\"",
         "[access]\nunmatched = \"signed\"\n");
  expect(
      "8: access.rules[0].mode: \"shut\" is not known here: use \"open\" or \"signed\" or "
      "\"denied\"",
      "[[access.rules]]\nmode = \"shut\"\n");
  expect("8: access.rules[0].tokens[1]: \"saml\" is not known here: use \"uri_signing\" or \"cat\"",
         "[[access.rules]]\ntokens = [\"cat\", \"saml\"]\n");
  expect(
      "8: access.rules[0].territory_source: \"guess\" is not known here: use \"client\" or "
      "\"token\"",
      "[[access.rules]]\nterritory_source = \"guess\"\n");
  expect("8: access.rules[0].host: is a whole number: write a text in quotes",
         "[[access.rules]]\nhost = 1\n");
  expect("8: access.rules[0].pth: is not known: did you mean 'path'?",
         "[[access.rules]]\npth = \"/\"\n");
  expect("8: access.clock.cat_leeway: is 301s: use 0s to 5m",
         "[access.clock]\ncat_leeway = \"301s\"\n");
  expect("8: access.clock.untrusted_tolerance: is 2d: use 0s to 1d",
         "[access.clock]\nuntrusted_tolerance = \"2d\"\n");
  expect("8: access.check.good_tokens: is 15: use 16 to 1048576",
         "[access.check]\ngood_tokens = 15\n");
  expect("8: access.check.good_token_bytes: is 1K: use 64K to 16G",
         "[access.check]\ngood_token_bytes = \"1K\"\n");
  expect("8: access.check.verifications_per_second: is 0: use 1 to 100000",
         "[access.check]\nverifications_per_second = 0\n");
  expect("8: access.check.bad_token_lifetime: is 2h: use 0s to 1h",
         "[access.check]\nbad_token_lifetime = \"2h\"\n");
  // Secrets stand in files only: what stands here is shown.
  expect("8: access.key_sets[0].inline_sets: is not known: remove it, or see docs/configuration.md",
         "[[access.key_sets]]\ninline_sets = [\"{}\"]\n");
}

// Whoever names keys means that tokens are looked at.
TEST(ConfigAccess, AnOpenRuleHasNoUseForKeySets) {
  STRCMP_CONTAINS("access.rules[0].key_sets: is of no use with mode = \"open\"",
                  errors_of(kMinimum + std::string("[[access.rules]]\nmode = \"open\"\n"
                                                   "key_sets = [\"label\"]\n"))
                      .c_str());
}

TEST(ConfigAccess, FilesAreReadWithTheConfiguration) {
  const std::string keys = "{\"keys\": [" + std::string(access::vectors::kPublicKeyOne) + "]}";
  const std::string rule =
      "[[access.rules]]\nname = \"albums\"\npath = \"/albums\"\nkey_sets = [\"label\"]\n";
  const std::string set =
      "[[access.key_sets]]\nname = \"label\"\nfiles = [\"" + folder.file("keys.json") + "\"]\n";
  STRCMP_CONTAINS("node.toml:9: access.key_sets[0].files[0]: key set 'label': cannot open ",
                  load_errors(set + rule).c_str());
  write("keys.json", "{\"keys\": [{\"kty\": \"oct\", \"alg\": \"HS256\", \"k\": \"AAAA\"}]}");
  STRCMP_CONTAINS("keys.json", load_errors(set + rule).c_str());
  write("keys.json", keys);
  STRCMP_EQUAL("no error", load_errors(set + rule).c_str());
  STRCMP_CONTAINS("names key set 'label', which there is not", load_errors(rule).c_str());
  STRCMP_CONTAINS("access rule 'albums': there is another for host '*' and path '/albums'",
                  load_errors(set + rule + rule).c_str());
  STRCMP_CONTAINS("has territories but there is no territory_database",
                  load_errors(set + rule + "allowed_territories = [\"DE\"]\n").c_str());
  STRCMP_CONTAINS("'Germany' is no territory",
                  load_errors(set + rule + "allowed_territories = [\"Germany\"]\n").c_str());
  STRCMP_CONTAINS("'tomorrow' is no time of a licence",
                  load_errors(set + rule + "licence = [{ from = \"tomorrow\" }]\n").c_str());
  STRCMP_CONTAINS("renewal key 'one' is in none of its key sets, or has no private part",
                  load_errors(set + rule + "renewal_key = \"one\"\n").c_str());
  STRCMP_CONTAINS(
      "no.mmdb",
      load_errors("[access]\nterritory_database = \"" + folder.file("no.mmdb") + "\"\n").c_str());
}

TEST(ConfigAccess, OnlySizesOfTablesWaitForARestart) {
  const auto running = parse_config(kMinimum, "node.toml");
  const auto wanted = parse_config(kMinimum + std::string(kFull), "node.toml");
  CHECK(needs_restart(*running, *wanted) == std::vector<std::string>{"access.check"});
}

// One look at the file, one mend of all of it.
TEST(ConfigAccess, EverythingWrongIsToldAtOnceWhereItStands) {
  write("keys.json", "{\"keys\": [" + std::string(access::vectors::kPublicKeyOne) + "]}");
  const std::string file = folder.file("node.toml");
  const std::string said = load_errors(
      "[access]\n"
      "territory_database = \"/none.mmdb\"\n"
      "[[access.key_sets]]\nname = \"good\"\nfiles = [\"" +
      folder.file("keys.json") +
      "\"]\n"
      "[[access.key_sets]]\nname = \"bad\"\nfiles = [\n\"" +
      folder.file("keys.json") +
      "\",\n\"/none.json\"]\n"
      "[[access.key_sets]]\nname = \"good\"\nfiles = [\"" +
      folder.file("keys.json") +
      "\"]\n"
      "[[access.rules]]\nname = \"one\"\nhost = \"a.example:80\"\npath = \"/..\"\n"
      "key_sets = [\"good\", \"worse\"]\nallowed_territories = [\"Germany\"]\n"
      "[[access.rules]]\nkey_sets = [\"bad\"]\npath = \"/bad\"\n"
      "refused_territories = [\"US\"]\nlicence = [{ from = \"tomorrow\" }]\n"
      "[[access.rules]]\nhost = \"b.example\"\nmode = \"open\"\n"
      "[[access.rules]]\nhost = \"b.example\"\nmode = \"denied\"\n"
      "[[access.rules]]\nname = \"renewing\"\npath = \"/r\"\n"
      "key_sets = [\"good\"]\nrenewal_key = \"one\"\n");
  std::string places;
  for (std::size_t begin = 0; begin < said.size();) {
    const std::size_t end = std::min(said.find('\n', begin), said.size());
    const std::string line = said.substr(begin, end - begin);
    CHECK_TRUE(line.starts_with(file + ":"));
    const std::size_t colon = line.find(": ");
    places += line.substr(file.size() + 1, line.find(": ", colon + 2) - file.size() - 1) + "\n";
    begin = end + 1;
  }
  STRCMP_EQUAL(
      "8: access.territory_database\n"
      "16: access.key_sets[1].files[1]\n"
      "18: access.key_sets[2].name\n"
      "22: access.rules[0].host\n"
      "23: access.rules[0].path\n"
      "24: access.rules[0].key_sets\n"
      "25: access.rules[0].allowed_territories\n"
      "30: access.rules[1].licence\n"
      "34: access.rules[3]\n"
      "41: access.rules[4].renewal_key\n",
      places.c_str());
  STRCMP_CONTAINS("names key set 'worse', which there is not", said.c_str());
  STRCMP_CONTAINS("there are two key sets 'good'", said.c_str());
  STRCMP_CONTAINS("there is another for host 'b.example' and path '/'", said.c_str());
}

// A rule that is broken does not lend its message to another of the same host and path.
TEST(ConfigAccess, ABrokenRuleAndItsDoubleAreToldApart) {
  write("keys.json", "{\"keys\": [" + std::string(access::vectors::kPublicKeyOne) + "]}");
  const std::string file = folder.file("node.toml");
  const std::string said =
      load_errors("[[access.key_sets]]\nname = \"good\"\nfiles = [\"" + folder.file("keys.json") +
                  "\"]\n"
                  "[[access.rules]]\nname = \"one\"\npath = \"/a\"\nhost = \"Music.example\"\n"
                  "key_sets = [\"good\"]\nrenewal_key = \"none\"\n"
                  "[[access.rules]]\nname = \"two\"\npath = \"/a\"\nhost = \"music.example.\"\n"
                  "mode = \"open\"\n");
  STRCMP_EQUAL((file +
                ":15: access.rules[0].renewal_key: access rule 'one': renewal key 'none' is in "
                "none of its key sets, or has no private part (\"d\")\n" +
                file +
                ":16: access.rules[1]: access rule 'two': there is another for host "
                "'music.example' and path '/a'")
                   .c_str(),
               said.c_str());
}

// A node that reads a pipe waits for who writes to it, with everything else that it does.
TEST(ConfigAccess, PipesAreNotWaitedFor) {
  const std::string pipe = folder.file("pipe");
  LONGS_EQUAL(0, ::mkfifo(pipe.c_str(), 0604));
  const std::string said = load_errors(
      "[access]\nterritory_database = \"" + pipe + "\"\nnetwork_database = \"" + folder.file("") +
      "\"\n[[access.key_sets]]\nname = \"label\"\nfiles = [\"" + pipe + "\", \"/dev/zero\"]\n");
  STRCMP_CONTAINS(("8: access.territory_database: prefix database " + pipe).c_str(), said.c_str());
  STRCMP_CONTAINS("9: access.network_database: prefix database ", said.c_str());
  STRCMP_CONTAINS(("12: access.key_sets[0].files[0]: key set 'label': cannot read " + pipe +
                   ": it is a folder, a pipe or a device")
                      .c_str(),
                  said.c_str());
  STRCMP_CONTAINS("12: access.key_sets[0].files[1]: key set 'label': cannot read /dev/zero: it is",
                  said.c_str());
}

TEST(ConfigAccess, ItIsToldTogetherWithTheRest) {
  const std::string said = load_errors(
      "[limits]\nheader_timeout = \"1y\"\n[access]\nterritory_database = \"/none.mmdb\"\n");
  STRCMP_CONTAINS("node.toml:8: limits.header_timeout", said.c_str());
  STRCMP_CONTAINS("node.toml:10: access.territory_database", said.c_str());
}

TEST(ConfigAccess, ManyWrongRulesAreCounted) {
  std::string rules;
  for (int i = 0; i < 300; ++i) {
    rules += "[[access.rules]]\nmode = \"open\"\npath = \"p" + std::to_string(i) + "\"\n";
  }
  const std::string said = load_errors(rules);
  STRCMP_CONTAINS("access.rules[19].path", said.c_str());
  STRCMP_CONTAINS("and 280 more", said.c_str());
}

// Public keys are for everyone; what signs or decrypts is not.
TEST(ConfigAccess, SecretsThatOthersReadAreWarnedOf) {
  const auto warnings = [&](std::string_view key, bool open_to_all) {
    write("keys.json", "{\"keys\": [" + std::string(key) + "]}");
    using std::filesystem::perms;
    std::filesystem::permissions(
        folder.file("keys.json"),
        perms::owner_read | perms::owner_write | (open_to_all ? perms::others_read : perms::none));
    write("node.toml", kMinimum + "[[access.key_sets]]\nname = \"label\"\nfiles = [\"" +
                           folder.file("keys.json") + "\"]\n");
    const auto config = load_config(folder.file("node.toml"));
    CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
    return config->warnings;
  };
  const std::string secret =
      R"({"kty": "oct", "alg": "HS256", "kid": "s", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})";
  const std::string wrapping =
      R"({"kty": "oct", "alg": "A128GCM", "use": "enc", "kid": "w", "k": "AAAAAAAAAAAAAAAAAAAAAA"})";
  CHECK(warnings(access::vectors::kPublicKeyOne, true).empty());
  CHECK(warnings(secret, false).empty());
  CHECK(warnings(secret, true) ==
        std::vector<std::string>{"the key set with secrets " + folder.file("keys.json") +
                                 " can be read or written by everyone: chmod o-rw it"});
  LONGS_EQUAL(1, warnings(wrapping, true).size());
}
