// The part of a configuration that is about TLS and https: defaults, ranges, and what does not go
// together.
#include "dataplane/control/config_tls.h"

#include "CppUTest/TestHarness.h"
#include "dataplane/control/config.h"
#include "dataplane/control/config_json.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

namespace {

const std::string kOrigin =
    "[[origin]]\nname = \"music\"\nhosts = [\"*\"]\nservers = [\"http://127.0.0.1:9000\"]\n";
// Seven lines; what a test adds begins on the eighth, within [tls].
const std::string kMinimum = kOrigin +
                             "[tls]\nlisten = [\"127.0.0.1:8443\"]\n"
                             "certificates = [{certificate = \"a.pem\", key = \"a.key\"}]\n";

std::string errors_of(const std::string& toml) {
  const auto config = parse_config(toml, "node.toml");
  return config ? "no error" : config.error().text();
}

void expect(const std::string& expected, const std::string& more) {
  CHECK_EQUAL("node.toml:" + expected, errors_of(kMinimum + more));
}

void expect_part(const char* expected, const std::string& more) {
  STRCMP_CONTAINS(expected, errors_of(kMinimum + more).c_str());
}

}  // namespace

TEST_GROUP(ConfigTls){};

TEST(ConfigTls, AddressesWithTlsAreEnough) {
  const auto config = parse_config(kMinimum, "node.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  CHECK(config->listen.empty());
  STRCMP_EQUAL("127.0.0.1:8443", config->tls.listen.at(0).text().c_str());
  STRCMP_EQUAL("a.key", config->tls.certificates.at(0).key.c_str());
  CHECK(config->tls.tls12);
  CHECK(config->tls.protocols == (std::vector<std::string>{"h2", "http/1.1"}));
  CHECK(config->tls.client_certificates == tls::ClientCertificates::none);
  CHECK(config->tls.tickets);
  CHECK_FALSE(config->settings.https.redirect);
  CHECK(config->settings.https.hsts == 0s);
}

TEST(ConfigTls, EveryKeyArrives) {
  const auto config = parse_config(
      kMinimum +
          "minimum_version = \"1.3\"\nprotocols = [\"http/1.1\"]\n"
          "client_certificates = \"required\"\nclient_ca = \"ca.pem\"\nticket_keys = \"t.key\"\n"
          "[tls.handshakes]\ntimeout = \"5s\"\ntotal = 100\nper_prefix = 10\nprefix_v4_bits = 32\n"
          "prefix_v6_bits = 64\n"
          "[tls.helpers]\nthreads = 3\nqueue = 50\nqueue_per_prefix = 5\nnice = 0\n"
          "[https]\nredirect = true\nredirect_port = 8443\nhsts = \"365d\"\n"
          "hsts_subdomains = true\nhsts_preload = true\n",
      "node.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  const TlsConfig& tls = config->tls;
  CHECK_FALSE(tls.tls12);
  CHECK(tls.protocols == std::vector<std::string>{"http/1.1"});
  CHECK(tls.client_certificates == tls::ClientCertificates::required);
  STRCMP_EQUAL("ca.pem", tls.client_ca_file.c_str());
  STRCMP_EQUAL("t.key", tls.ticket_keys_file.c_str());
  CHECK(tls.handshakes.timeout == 5s);
  CHECK_EQUAL(100U, tls.handshakes.total);
  CHECK_EQUAL(10U, tls.handshakes.per_prefix);
  CHECK_EQUAL(32, tls.handshakes.prefix_v4_bits);
  CHECK_EQUAL(64, tls.handshakes.prefix_v6_bits);
  CHECK_EQUAL(3U, tls.helpers.threads);
  CHECK_EQUAL(50U, tls.helpers.maximum_jobs);
  CHECK_EQUAL(5U, tls.helpers.maximum_jobs_per_prefix);
  CHECK_EQUAL(0, tls.helpers.nice);
  const proxy::HttpsPolicy& https = config->settings.https;
  CHECK(https.redirect && https.hsts_subdomains && https.hsts_preload);
  CHECK_EQUAL(8443, https.redirect_port);
  CHECK(https.hsts == std::chrono::days(365));
}

TEST(ConfigTls, ACertificateMayHoldItsKeyAndBeOnlyANameInAList) {
  const auto config = parse_config(
      kOrigin + "[tls]\nlisten = [\":443\"]\ncertificates = [\"both.pem\"]\n", "node.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  STRCMP_EQUAL("both.pem", config->tls.certificates[0].chain.c_str());
  STRCMP_EQUAL("both.pem", config->tls.certificates[0].key.c_str());
}

TEST(ConfigTls, AddressesAndCertificatesWantEachOther) {
  STRCMP_CONTAINS("node.toml:5: tls.certificates: is missing: name the certificate",
                  errors_of(kOrigin + "[tls]\nlisten = [\":443\"]\n").c_str());
  STRCMP_CONTAINS(
      "node.toml:5: tls.listen: is missing: certificates want an address",
      errors_of(kOrigin + "[tls]\ncertificates = [{certificate = \"a.pem\"}]\n").c_str());
  STRCMP_CONTAINS("node.toml: node.listen: is missing", errors_of(kOrigin).c_str());
  STRCMP_CONTAINS(
      "node.toml:7: tls.certificates[0].certificate: is missing: name the PEM file",
      errors_of(kOrigin + "[tls]\nlisten = [\":443\"]\ncertificates = [{key = \"a.key\"}]\n")
          .c_str());
  STRCMP_CONTAINS(
      "'a.pem' is there twice",
      errors_of(kOrigin + "[tls]\nlisten = [\":443\"]\ncertificates = [\"a.pem\", \"a.pem\"]\n")
          .c_str());
}

TEST(ConfigTls, AnAddressSpeaksOneOfBoth) {
  const auto both = [](const std::string& clear, const std::string& tls) {
    return errors_of("[node]\nlisten = [\"" + clear + "\"]\n" + kOrigin +
                     "[tls]\ncertificates = [\"a.pem\"]\nlisten = [\"" + tls + "\"]\n");
  };
  for (const auto& [clear, tls] :
       {std::pair{":443", ":443"}, {":443", "127.0.0.1:443"}, {"127.0.0.1:443", ":443"}}) {
    STRCMP_CONTAINS("node.toml:9: tls.listen: has ", both(clear, tls).c_str());
    STRCMP_CONTAINS("one address speaks TLS or clear text", both(clear, tls).c_str());
  }
  STRCMP_EQUAL("no error", both(":80", ":443").c_str());
  STRCMP_EQUAL("no error", both("127.0.0.1:0", "127.0.0.1:0").c_str());
  STRCMP_CONTAINS("tls.listen[1]: '[::]:443' is there twice",
                  both(":80", ":443\", \"[::]:443").c_str());
  STRCMP_CONTAINS("tls.listen: has [::]:443, which is every address, beside 127.0.0.1:443",
                  both(":80", ":443\", \"127.0.0.1:443").c_str());
  STRCMP_CONTAINS("node.admin: is also in tls.listen",
                  errors_of("[node]\nadmin = \"127.0.0.1:8443\"\n" + kMinimum).c_str());
}

TEST(ConfigTls, MistakesAreFoundWithLineAndKey) {
  expect(
      "8: tls.minimum_version: '1.1' is not a version a node speaks: use 1.2 or 1.3 (older ones "
      "are not safe)",
      "minimum_version = \"1.1\"\n");
  expect_part("node.toml:8: tls.protocols[1]: 'spdy/3' is not a protocol a node speaks",
              "protocols = [\"h2\", \"spdy/3\"]\n");
  expect("8: tls.client_certificates: 'maybe' is not known: use none, optional or required",
         "client_certificates = \"maybe\"\n");
  expect_part("tls.client_ca: is missing: name the PEM file with the authorities",
              "client_certificates = \"optional\"\n");
  expect("9: tls.ticket_keys: is of no use with tickets = false: remove one of them",
         "tickets = false\nticket_keys = \"t.key\"\n");
  expect("9: tls.handshakes.timeout: is 1ms: use 100ms to 10m",
         "[tls.handshakes]\ntimeout = \"1ms\"\n");
  expect("9: tls.handshakes.total: is 0: use 1 to 1000000", "[tls.handshakes]\ntotal = 0\n");
  expect(
      "10: tls.handshakes.per_prefix: is larger than tls.handshakes.total, which it is a part of",
      "[tls.handshakes]\ntotal = 5\nper_prefix = 6\n");
  expect("9: tls.helpers.threads: is 65: use 1 to 64", "[tls.helpers]\nthreads = 65\n");
  expect("10: tls.helpers.queue_per_prefix: is larger than tls.helpers.queue, which it is in",
         "[tls.helpers]\nqueue = 5\nqueue_per_prefix = 6\n");
  expect("8: tls.certificate: is not known: did you mean 'certificates'?",
         "certificate = \"a.pem\"\n");
}

TEST(ConfigTls, HttpsWantsWhatItTalksAbout) {
  STRCMP_CONTAINS(
      "https.redirect: sends listeners to TLS, which this node does not speak",
      errors_of("[node]\nlisten = [\":80\"]\n" + kOrigin + "[https]\nredirect = true\n").c_str());
  STRCMP_CONTAINS(
      "https.hsts: is only said over TLS, which this node does not speak",
      errors_of("[node]\nlisten = [\":80\"]\n" + kOrigin + "[https]\nhsts = \"365d\"\n").c_str());
  // What is wrong with a key says nothing of another whose name begins alike.
  const std::string both = errors_of("[node]\nlisten = [\":80\"]\n" + kOrigin +
                                     "[https]\nhsts = \"365d\"\nhsts_subdomains = 1\n");
  STRCMP_CONTAINS("https.hsts: is only said over TLS", both.c_str());
  STRCMP_CONTAINS("https.hsts_subdomains: ", both.c_str());
  expect_part("https.hsts_subdomains: is part of hsts, which is 0s",
              "[https]\nhsts_subdomains = true\n");
  expect_part("https.hsts_preload: is taken by browsers only with hsts = \"365d\"",
              "[https]\nhsts = \"30d\"\nhsts_subdomains = true\nhsts_preload = true\n");
  expect("9: https.hsts: is 500ms: use whole multiples of 1s", "[https]\nhsts = \"500ms\"\n");
}

TEST(ConfigTls, AddressesOfAPortOfOurOwnAreChecked) {
  const std::string port = "[node]\ntransport = \"dpdk\"\n" + kOrigin +
                           "[dpdk]\nhugepages = false\n[[dpdk.port]]\nname = \"net_null0\"\n"
                           "addresses = [\"192.0.2.10/24\"]\n[tls]\ncertificates = [\"a.pem\"]\n";
  STRCMP_CONTAINS("tls.listen: has 203.0.113.1:443, which no [[dpdk.port]] has",
                  errors_of(port + "listen = [\"203.0.113.1:443\"]\n").c_str());
  STRCMP_CONTAINS("tls.listen: has port 0", errors_of(port + "listen = [\":0\"]\n").c_str());
  STRCMP_EQUAL("no error", errors_of(port + "listen = [\"192.0.2.10:443\"]\n").c_str());
}

TEST(ConfigTls, AReloadBringsCertificatesAndLimitsButNoAddresses) {
  const auto running = parse_config(kMinimum, "node.toml");
  const auto renewed = parse_config(
      kMinimum + "minimum_version = \"1.3\"\n[tls.handshakes]\ntotal = 9000\n", "node.toml");
  CHECK_TEXT(renewed.has_value(), renewed ? "" : renewed.error().text().c_str());
  CHECK(needs_restart(*running, *renewed).empty());
  const auto other = parse_config(
      "[node]\nlisten = [\":80\"]\n" + kMinimum + "[tls.helpers]\nthreads = 7\n", "node.toml");
  CHECK(needs_restart(*running, *other) ==
        (std::vector<std::string>{"node.listen", "tls.helpers"}));
  CHECK(needs_restart(*other, *running) ==
        (std::vector<std::string>{"node.listen", "tls.helpers"}));
}

TEST(ConfigTls, AFirstLookTakesACertificate) {
  QuickLook flags;
  flags.tls_listen = {"127.0.0.1:8443"};
  flags.certificate = "a.pem";
  flags.origin = "http://127.0.0.1:9000";
  const auto config = config_from_flags(flags);
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  CHECK(config->listen.empty());
  STRCMP_EQUAL("a.pem", config->tls.certificates.at(0).key.c_str());
  flags.tls_listen = {"here"};
  STRCMP_CONTAINS("--tls-listen: 'here' is not an address",
                  config_from_flags(flags).error().text().c_str());
}

TEST(ConfigTls, TheConfigurationIsShown) {
  const std::string shown = config_json(*parse_config(kMinimum, "node.toml"));
  STRCMP_CONTAINS("\"certificates\":[{\"certificate\":\"a.pem\",\"key\":\"a.key\"}]",
                  shown.c_str());
  STRCMP_CONTAINS("\"handshakes\":{\"timeout_ms\":10000", shown.c_str());
  STRCMP_CONTAINS("\"hsts_ms\":0", shown.c_str());
}
