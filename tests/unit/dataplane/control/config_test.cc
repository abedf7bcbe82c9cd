// The node's configuration: the example of the manual loads, defaults are as documented, mistakes
// are found with file, line and key, and what a reload can and cannot change is known.
#include "dataplane/control/config.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "CppUTest/TestHarness.h"
#include "cache/policy/policy.h"
#include "dataplane/control/config_json.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

namespace {

std::string text_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

const std::string kMinimum =
    "[node]\nlisten = [\"127.0.0.1:8080\"]\n"
    "[[origin]]\nname = \"music\"\nhosts = [\"*\"]\nservers = [\"http://127.0.0.1:9000\"]\n";

std::string errors_of(const std::string& toml) {
  const auto config = parse_config(toml, "node.toml");
  return config ? "no error" : config.error().text();
}

}  // namespace

TEST_GROUP(Config){void expect_error(const char* expected, const std::string& toml){
    const std::string errors = errors_of(toml);
STRCMP_CONTAINS(expected, errors.c_str());
}
// A mistake after the minimum, which has six lines.
void expect_error_after(const char* expected, const std::string& toml) {
  expect_error(expected, kMinimum + toml);
}
}
;

TEST(Config, ASmallFileIsEnough) {
  const auto config = parse_config(kMinimum, "node.toml");
  CHECK(config.has_value());
  UNSIGNED_LONGS_EQUAL(1, config->listen.size());
  STRCMP_EQUAL("127.0.0.1:8080", config->listen[0].text().c_str());
  STRCMP_EQUAL("127.0.0.1:9000", config->origins[0].servers[0].name().c_str());
  CHECK(config->store.policy == cache::kDefaultPolicy);
  CHECK_EQUAL(1ULL << 30, config->store.arena.bytes);
  STRCMP_EQUAL("/run/nearfield/control.sock", config->control_path.c_str());
  CHECK(config->level == LogLevel::info);
}

TEST(Config, TheExampleOfTheManualLoads) {
  const auto config = load_config(NEARFIELD_EXAMPLE_CONFIG);
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  UNSIGNED_LONGS_EQUAL(2, config->origins.size());
  UNSIGNED_LONGS_EQUAL(3, config->origins[0].servers.size());
  CHECK_EQUAL(2U, config->origins[0].servers[2].priority);
  CHECK(config->settings.query_rules.drops("CMCD"));
}

// What players tell (CTA-5004) made an object of every request, unless an operator knew to say so.
TEST(Config, PlayersTelemetryLeavesTheCacheKeyByDefault) {
  const std::string origin =
      "node.listen = [':80']\n[[origin]]\nname = 'a'\nhosts = ['*']\nservers = ['http://a']\n";
  const auto silent = parse_config(origin, "node.toml");
  CHECK_TEXT(silent.has_value(), silent ? "" : silent.error().text().c_str());
  CHECK(silent->settings.query_rules.drops("CMCD"));
  CHECK_FALSE(silent->settings.query_rules.forward_dropped());
  const auto off = parse_config(origin + "[query]\ndrop = []\n", "node.toml");
  CHECK(off.has_value());
  CHECK(off->settings.query_rules.empty());
}

// The example says that it shows defaults: so it must.
TEST(Config, TheExampleShowsTheDefaults) {
  auto example = load_config(NEARFIELD_EXAMPLE_CONFIG);
  CHECK(example.has_value());
  Config defaults;
  // These stand in the example with a comment that says they are no defaults.
  defaults.source = example->source;
  defaults.listen = example->listen;
  defaults.admin = example->admin;
  defaults.store.arena.bytes = example->store.arena.bytes;
  defaults.access_log.path = example->access_log.path;
  defaults.origins = example->origins;
  defaults.tls.listen = example->tls.listen;
  defaults.tls.certificates = example->tls.certificates;
  DpdkPortConfig port;
  port.name = example->dpdk.ports.at(0).name;
  port.addresses = example->dpdk.ports.at(0).addresses;
  port.gateways = example->dpdk.ports.at(0).gateways;
  port.routes = example->dpdk.ports.at(0).routes;
  port.exception_tap = example->dpdk.ports.at(0).exception_tap;
  defaults.dpdk.ports = {port};
  origin::OriginGroup fresh;
  fresh.name = defaults.origins[0].name;
  fresh.hosts = defaults.origins[0].hosts;
  fresh.servers = defaults.origins[0].servers;
  fresh.health.path = defaults.origins[0].health.path;
  defaults.origins[0] = fresh;
  STRCMP_EQUAL(config_json(defaults).c_str(), config_json(*example).c_str());
}

TEST(Config, TheManualNamesEveryKeyOfTheExample) {
  const std::string manual = text_of(NEARFIELD_CONFIG_MANUAL);
  std::istringstream example(text_of(NEARFIELD_EXAMPLE_CONFIG) + text_of(NEARFIELD_EXAMPLE_ACCESS));
  std::string line;
  int keys = 0;
  while (std::getline(example, line)) {
    const std::size_t equals = line.find(" = ");
    if (equals == std::string::npos || line.starts_with('#') || line.starts_with(' ')) continue;
    const std::string key = "`" + line.substr(0, equals) + "`";
    CHECK_TEXT(manual.contains(key), (key + " is not in docs/configuration.md").c_str());
    ++keys;
  }
  CHECK(keys > 60);
}

TEST(Config, EveryKeyOfTheManualIsInTheExample) {
  const std::string example = text_of(NEARFIELD_EXAMPLE_CONFIG) + text_of(NEARFIELD_EXAMPLE_ACCESS);
  std::ifstream manual(NEARFIELD_CONFIG_MANUAL);
  std::string line;
  int keys = 0;
  while (std::getline(manual, line)) {
    if (!line.starts_with("| `")) continue;
    const std::string key = line.substr(3, line.find('`', 3) - 3);
    CHECK_TEXT(example.contains("\n" + key + " = "),
               (key + " of docs/configuration.md is not in docs/examples/node.toml").c_str());
    ++keys;
  }
  CHECK(keys > 60);
}

TEST(Config, WhatMustBeThereIsAskedFor) {
  expect_error("node.toml: node.listen: is missing", "");
  expect_error("node.toml: origin: is missing", "[node]\nlisten = [\":80\"]\n");
  expect_error(
      "node.toml:3: origin[0].name: is empty",
      "[node]\nlisten = [\":80\"]\n[[origin]]\nhosts = [\"*\"]\nservers = [\"http://a\"]\n");
  expect_error("node.toml:3: origin[0].servers: is empty: name at least one",
               "[node]\nlisten = [\":80\"]\n[[origin]]\nname = \"a\"\nhosts = [\"*\"]\n");
}

TEST(Config, MistakesAreFoundWithLineAndKey) {
  expect_error("node.toml:2: node.listen[0]: 'here' is not an address",
               "[node]\nlisten = [\"here\"]\n");
  expect_error("node.toml:2: node.listen[1]: '127.0.0.1:80' is there twice",
               "[node]\nlisten = [\"127.0.0.1:80\", \"127.0.0.1:80\"]\n");
  expect_error("node.toml:2: node.listen[1]: '[::]:80' is there twice",
               "[node]\nlisten = [\":80\", \"[::]:80\"]\n");
  expect_error_after("node.toml:7: chache: is not known: did you mean 'cache'?",
                     "[chache]\nram = \"1G\"\n");
  expect_error_after("node.toml:8: cache.rma: is not known: did you mean 'ram'?",
                     "[cache]\nrma = \"1G\"\n");
  expect_error_after("node.toml:8: cache.ram: is 1M: use 8M to 64T", "[cache]\nram = \"1M\"\n");
  expect_error_after("node.toml:8: cache.policy: there is no policy 'fifo': use one of ",
                     "[cache]\npolicy = \"fifo\"\n");
  expect_error_after("node.toml:8: cache.heuristic_share: '110%' is not a share",
                     "[cache]\nheuristic_share = \"110%\"\n");
  expect_error_after("node.toml:8: limits.header_timeout: '10' is not a duration",
                     "[limits]\nheader_timeout = \"10\"\n");
  expect_error_after("node.toml:8: limits.connections: is 99000000: use 0 to 16000000",
                     "[limits]\nconnections = 99000000\n");
  expect_error_after("node.toml:8: limits.target_bytes: is larger than limits.header_bytes",
                     "[limits]\ntarget_bytes = \"32K\"\n");
  expect_error_after("node.toml:9: cors.allow_credentials: does not go with",
                     "[cors]\nallowed_origins = [\"*\"]\nallow_credentials = true\n");
  expect_error_after("node.toml:8: cors.allowed_origins[0]: 'player.example' is not a web origin",
                     "[cors]\nallowed_origins = [\"player.example\"]\n");
  expect_error_after("node.toml:8: cors.exposed_fields: has bytes that cannot stand",
                     "[cors]\nexposed_fields = \"Age\\r\\nX: y\"\n");
  expect_error_after("node.toml:8: query.drop[0]: ", "[query]\ndrop = [\"a*b\"]\n");
  expect_error_after("node.toml:8: access_log.buffer: is 1K: use 64K to 1G",
                     "[access_log]\nbuffer = \"1K\"\n");
  expect_error("node.toml:2: node.name: 'two words' cannot be a node's name",
               "[node]\nname = \"two words\"\n");
  expect_error("node.toml:2: node.log_level: 'loud' is not a log level",
               "[node]\nlog_level = \"loud\"\n");
  expect_error("node.toml:2: node.admin: '9145' is not an address", "[node]\nadmin = \"9145\"\n");
  expect_error("node.toml:2: node.control: is 100 bytes long",
               "[node]\ncontrol = \"" + std::string(100, 'x') + "\"\n");
  expect_error("node.toml:3: node.admin: is also in node.listen",
               "[node]\nlisten = [\":80\"]\nadmin = \":80\"\n");
}

TEST(Config, MistakesInOriginsAreFoundWithLineAndKey) {
  const std::string begin =
      "[node]\nlisten = [\":80\"]\n[[origin]]\nname = \"a\"\nhosts = [\"*\"]\n";
  expect_error(
      "node.toml:6: origin[0].servers[0].url: origin 'ftp://x' does not begin with http://",
      begin + "servers = [\"ftp://x\"]\n");
  expect_error("node.toml:6: origin[0].servers[1].weight: is 0: use 1 to 1000",
               begin + "servers = [\"http://x\", {url = \"http://y\", weight = 0}]\n");
  expect_error("node.toml:6: origin[0].servers[1]: is the same as",
               begin + "servers = [\"http://x\", \"http://x:80\"]\n");
  expect_error("node.toml:6: origin[0].servers[0].prority: is not known: did you mean 'priority'?",
               begin + "servers = [{url = \"http://x\", prority = 2}]\n");
  expect_error("node.toml:8: origin[0].path.strip: is 'x/': begin with '/'",
               begin + "servers = [\"http://x\"]\n[origin.path]\nstrip = \"x/\"\n");
  expect_error("node.toml:8: origin[0].timeouts.connect: is out of range",
               begin + "servers = [\"http://x\"]\n[origin.timeouts]\nconnect = \"0s\"\n");
  expect_error("node.toml:7: origin[0].retries: is 17: use 0 to 16",
               begin + "servers = [\"http://x\"]\nretries = 17\n");
  expect_error("'a' is there twice", begin +
                                         "servers = [\"http://x\"]\n[[origin]]\nname = "
                                         "\"a\"\nhosts = [\"b\"]\nservers = [\"http://y\"]\n");
  expect_error("hosts has '*', which is already served",
               begin +
                   "servers = [\"http://x\"]\n[[origin]]\nname = \"b\"\nhosts = [\"*\"]\nservers = "
                   "[\"http://y\"]\n");
}

// Each part of a dotted key is a level of the tree; a file of nothing but dots overflowed the
// stack.
TEST(Config, KeysAreNotArbitrarilyDeep) {
  std::string deep = "a";
  for (int i = 0; i < 200'000; ++i) deep += ".a";
  for (const std::string& toml : {deep + " = 1\n", "[" + deep + "]\n", "b = {" + deep + " = 1}\n",
                                  "\"x.y\" . 'z' ." + deep + " = 1\n"}) {
    expect_error_after("node.toml:7: has a key of more than 16 parts", toml);
  }
  expect_error_after("exceeded maximum nested value depth", "a = " + std::string(900'000, '['));
  // Dots elsewhere do not count.
  const std::string dots(100, '.');
  const auto config = parse_config("# " + dots + "\n" + kMinimum + "[access_log]\npath = \"/\\\"" +
                                       dots + "\" # '" + dots + "\n[query]\ndrop = ['a." + dots +
                                       "', \"\"\"b\n" + dots + "\"\"\"]\n",
                                   "node.toml");
  STRCMP_CONTAINS("query.drop", config ? "" : config.error().text().c_str());
}

TEST(Config, AddressesDoNotCoverEachOther) {
  const auto listens = [](const std::string& list) {
    return errors_of("[node]\nlisten = [" + list + "]\n" + kMinimum.substr(kMinimum.find("[[")));
  };
  STRCMP_EQUAL(
      "node.toml:2: node.listen: has [::]:80, which is every address, beside 127.0.0.1:80: remove "
      "one",
      listens("\"127.0.0.1:80\", \":80\"").c_str());
  STRCMP_CONTAINS("beside 0.0.0.0:80", listens("\":80\", \"0.0.0.0:80\"").c_str());
  STRCMP_CONTAINS("has 0.0.0.0:80", listens("\"0.0.0.0:80\", \"127.0.0.1:80\"").c_str());
  STRCMP_EQUAL("no error",
               listens("\"0.0.0.0:80\", \"[::1]:80\", \":81\", \":0\", \"127.0.0.1:0\"").c_str());
  expect_error("node.admin: is also in node.listen",
               "[node]\nlisten = [\":80\"]\nadmin = \"127.0.0.1:80\"\n" +
                   kMinimum.substr(kMinimum.find("[[")));
}

TEST(Config, MistakesAreSaidFromTopToBottom) {
  const std::string errors = errors_of(kMinimum + "[cache]\nwrong = 1\nram = 1.5\n");
  CHECK(errors.find(":8: ") < errors.find(":9: "));
}

TEST(Config, EveryGroupIsLookedAt) {
  const std::string errors = errors_of(
      "[node]\nlisten = [\":80\"]\n"
      "[[origin]]\nname = \"a\"\nhosts = [\"*\"]\nservers = []\n"
      "[[origin]]\nname = \"b\"\nhosts = []\nservers = [\"http://y\"]\n");
  STRCMP_CONTAINS("node.toml:6: origin[0].servers: is empty", errors.c_str());
  STRCMP_CONTAINS("node.toml:9: origin[1].hosts: is empty", errors.c_str());
}

TEST(Config, OneMistakeIsSaidOnce) {
  STRCMP_EQUAL(
      "node.toml:2: node.listen[0]: 'x' is not an address and port (no port): write 192.0.2.1:80, "
      "[2001:db8::1]:80, or :80 for every address",
      errors_of("[node]\nlisten = [\"x\"]\n[[origin]]\nname = \"a\"\nhosts = [\"*\"]\nservers = "
                "[\"http://x\"]\n")
          .c_str());
}

TEST(Config, ManyMistakesAreBounded) {
  std::string toml = kMinimum + "[cache]\n";
  for (int i = 0; i < 50; ++i) toml += "wrong" + std::to_string(i) + " = 1\n";
  const auto config = parse_config(toml, "node.toml");
  CHECK_FALSE(config.has_value());
  UNSIGNED_LONGS_EQUAL(ConfigErrors::kMaximumErrors, config.error().errors.size());
  UNSIGNED_LONGS_EQUAL(30, config.error().left_out);
}

TEST(Config, FilesThatCannotBeRead) {
  const auto missing = load_config("/nonexistent/node.toml");
  STRCMP_EQUAL("/nonexistent/node.toml: cannot be read: No such file or directory",
               missing.error().text().c_str());
  const auto folder = load_config("/");
  STRCMP_CONTAINS("/: is a folder", folder.error().text().c_str());
  const std::string large =
      (std::filesystem::temp_directory_path() / ("nearfield-config-" + std::to_string(::getpid())))
          .string();
  {
    std::ofstream(large) << std::string(kMaximumConfigBytes + 1, '#');
  }
  const auto result = load_config(large);
  std::filesystem::remove(large);
  STRCMP_CONTAINS("is larger than 1 MiB", result.error().text().c_str());
}

TEST(Config, AFirstLookNeedsNoFile) {
  const auto config = config_from_flags({.listen = {"127.0.0.1:8080", "[::1]:8080"},
                                         .origin = "http://127.0.0.1:9000",
                                         .ram = "512M",
                                         .workers = 2,
                                         .control_path = "/tmp/c",
                                         .admin = "127.0.0.1:0",
                                         .access_log = "-",
                                         .log_level = "debug"});
  CHECK(config.has_value());
  UNSIGNED_LONGS_EQUAL(2, config->listen.size());
  CHECK_EQUAL(512ULL << 20, config->store.arena.bytes);
  CHECK_EQUAL(2U, config->workers);
  STRCMP_EQUAL("*", config->origins[0].hosts[0].c_str());
  CHECK(config->level == LogLevel::debug);
  STRCMP_EQUAL("command line", config->source.c_str());
}

TEST(Config, WrongFlagsAreNamed) {
  const auto config = config_from_flags({.listen = {"nowhere"},
                                         .origin = "gopher://secure",
                                         .ram = "lots",
                                         .workers = {},
                                         .control_path = std::string(81, 'c'),
                                         .admin = "x",
                                         .access_log = "",
                                         .log_level = "loud"});
  CHECK_FALSE(config.has_value());
  const std::string text = config.error().text();
  for (const char* flag :
       {"--listen: ", "--origin: ", "--ram: ", "--control: ", "--admin: ", "--log-level: "}) {
    STRCMP_CONTAINS(flag, text.c_str());
  }
}

TEST(Config, KnowsWhatNeedsARestart) {
  const auto running = parse_config(kMinimum, "node.toml");
  const auto same =
      parse_config(kMinimum + "[limits]\nfetches = 10\n[cors]\nenabled = false\n", "node.toml");
  UNSIGNED_LONGS_EQUAL(0, needs_restart(*running, *same).size());
  const auto other = parse_config(
      "[node]\nlisten = [\"127.0.0.1:8081\"]\nworkers = 3\nadmin = \":9145\"\n[cache]\nram = "
      "\"2G\"\npolicy = \"lru\"\n"
      "[[origin]]\nname = \"music\"\nhosts = [\"*\"]\nservers = [\"http://127.0.0.1:9000\"]\n",
      "node.toml");
  CHECK(other.has_value());
  const std::vector<std::string> expected = {"node.listen", "node.workers", "node.admin",
                                             "cache.ram", "cache.policy"};
  CHECK(needs_restart(*running, *other) == expected);
}
