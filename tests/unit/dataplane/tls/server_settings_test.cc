// Server settings: which certificate a name gets, what make() refuses and warns of, and client
// certificates.
#include "dataplane/tls/server_settings.h"

#include <sys/stat.h>

#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/server_settings_parts.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

TEST_GROUP(ServerSettings) {
  TestAuthority authority;
  ServerOptions options;

  std::string served(const std::shared_ptr<const ServerSettings>& settings, const std::string& host,
                     mbedtls_ssl_protocol_version version = MBEDTLS_SSL_VERSION_TLS1_3) {
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.versions(version, version);
    client.start(host);
    const auto server = Handshake::server(settings);
    CHECK_TRUE(converse(*server, client) == Handshake::Step::finished);
    STRCMP_EQUAL(host.c_str(), server->security().server_name.c_str());
    return client.peer_subject();
  }
  void refused(const char* why) {
    const auto made = ServerSettings::make(options, real_now());
    CHECK_FALSE(made.has_value());
    STRCMP_CONTAINS(why, made.error().message.c_str());
  }
  void warns(const char* text) {
    const auto settings = server_settings(options);
    bool found = false;
    for (const std::string& warning : settings->warnings()) found |= warning.contains(text);
    CHECK_TRUE(found);
  }
};

TEST(ServerSettings, TheMostExactNameWins) {
  options.certificates = {authority.host("first.example"), authority.host("*.music.example"),
                          authority.host("live.music.example")};
  const auto settings = server_settings(options);
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    STRCMP_EQUAL("CN=live.music.example", served(settings, "live.music.example", version).c_str());
    STRCMP_EQUAL("CN=*.music.example", served(settings, "cache.music.example", version).c_str());
    // One label only, and not none.
    STRCMP_EQUAL("CN=first.example", served(settings, "a.b.music.example", version).c_str());
    STRCMP_EQUAL("CN=first.example", served(settings, "music.example", version).c_str());
    STRCMP_EQUAL("CN=first.example", served(settings, "unknown.example", version).c_str());
    STRCMP_EQUAL("CN=first.example", served(settings, "", version).c_str());
  }
}

TEST(ServerSettings, P256IsTakenWhereItCostsNoRoundTrip) {
  options.certificates = {authority.host("first.example")};
  const auto settings = server_settings(options);
  // Bits are in the order of kGroups: X25519, P-256, P-384.
  const auto first_group = [&](bool tls13, std::uint8_t groups, std::uint8_t shares) {
    ClientHello hello;
    hello.tls13 = tls13;
    hello.groups = groups;
    hello.shares = shares;
    return settings->parts().config_for(hello).get()->MBEDTLS_PRIVATE(group_list)[0];
  };
  LONGS_EQUAL(0x0017, first_group(false, 0b111, 0));
  LONGS_EQUAL(0x001d, first_group(false, 0b101, 0));
  LONGS_EQUAL(0x001d, first_group(false, 0, 0));
  LONGS_EQUAL(0x0017, first_group(true, 0b111, 0b011));
  LONGS_EQUAL(0x0017, first_group(true, 0b111, 0b010));
  LONGS_EQUAL(0x001d, first_group(true, 0b111, 0b001));
  LONGS_EQUAL(0x001d, first_group(true, 0b111, 0));
  // The library would take whichever of the two the client put first.
  LONGS_EQUAL(0x001d, first_group(true, 0b111, 0b111));
}

TEST(ServerSettings, NamesAreComparedWithoutCase) {
  options.certificates = {authority.host("first.example"), authority.host("Live.Music.Example")};
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("LIVE.music.EXAMPLE");
  const auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, client) == Handshake::Step::finished);
  STRCMP_EQUAL("CN=Live.Music.Example", client.peer_subject().c_str());
  STRCMP_EQUAL("live.music.example", server->security().server_name.c_str());
}

TEST(ServerSettings, AP384KeyServesToo) {
  options.certificates = {authority.host("node.example", KeyKind::p384)};
  STRCMP_EQUAL("CN=node.example", served(server_settings(options), "node.example").c_str());
}

TEST(ServerSettings, BadFilesAreRefusedByName) {
  refused("no certificate is given");
  const CertificateFiles good = authority.host("node.example");
  options.certificates = {{authority.file("missing.pem"), good.key}};
  refused("missing.pem");
  options.certificates = {{good.chain, authority.file("missing.key")}};
  refused("missing.key");
  options.certificates = {{authority.write("rubbish.pem", "rubbish"), good.key}};
  refused("rubbish.pem is not a chain of certificates");
  options.certificates = {{good.chain, authority.write("rubbish.key", "rubbish")}};
  refused("rubbish.key is not a private key");
  options.certificates = {{good.chain, authority.host("other.example").key}};
  refused("does not belong to the first certificate");
  options.certificates = {authority.host("weak.example", KeyKind::rsa1024)};
  refused("RSA key of 1024 bits");
  options.certificates = {authority.host("odd.example", KeyKind::p521)};
  refused("another curve than P-256 and P-384");
  options.certificates = {good};
  options.client_certificates = ClientCertificates::required;
  refused("no file with their certification authorities");
  options.client_certificates = ClientCertificates::none;
  options.protocols = {""};
  refused("must have 1 to 32 bytes");
}

// What is accepted can be sent: the library has room for 16 KiB.
TEST(ServerSettings, AChainTooLongToBeSentIsRefused) {
  const CertificateFiles good = authority.host("node.example");
  const std::string one = TestAuthority::read(good.chain);
  std::string chain;
  for (int copies = 0; copies < 100; ++copies) chain += one;
  options.certificates = {{authority.write("long.pem", chain), good.key}};
  refused("long.pem holds 100 certificates");
  while (!ServerSettings::make(options, real_now())) {
    CHECK_TRUE(chain.size() > one.size());
    chain.resize(chain.size() - one.size());
    authority.write("long.pem", chain);
  }
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3})
    STRCMP_EQUAL("CN=node.example",
                 served(server_settings(options), "node.example", version).c_str());
}

TEST(ServerSettings, ChainAndKeyMayShareAFile) {
  const CertificateFiles apart = authority.host("node.example");
  const std::string both = authority.write(
      "both.pem", TestAuthority::read(apart.chain) + TestAuthority::read(apart.key));
  options.certificates = {{both, both}};
  STRCMP_EQUAL("CN=node.example", served(server_settings(options), "node.example").c_str());
}

TEST(ServerSettings, BearableFaultsAreWarnings) {
  options.certificates = {authority.issue(
      {.subject = "CN=old", .names = {"old.example"}, .not_after = "20210101000000"})};
  warns("has expired on 2021-01-01");
  options.certificates = {authority.issue(
      {.subject = "CN=new", .names = {"new.example"}, .not_before = "20980101000000"})};
  warns("is valid only from 2098-01-01");
  options.certificates = {authority.host("node.example")};
  CHECK_TRUE(server_settings(options)->warnings().empty());
  ::chmod(options.certificates[0].key.c_str(), 0644);
  warns("chmod");
}

TEST(ServerSettings, ExpiryIsKnownAndWarnedOfFromThirtyDaysOn) {
  options.certificates = {authority.issue({.subject = "CN=node.example",
                                           .names = {"Node.example", "*.node.example"},
                                           .not_after = "20300615120000"})};
  const auto expiries = server_settings(options)->expiries();
  LONGS_EQUAL(1, expiries.size());
  STRCMP_EQUAL("CN=node.example", expiries[0].subject.c_str());
  LONGS_EQUAL(2, expiries[0].names.size());
  CHECK_TRUE(std::ranges::contains(expiries[0].names, "node.example"));
  CHECK_TRUE(std::ranges::contains(expiries[0].names, "*.node.example"));
  const WallTime end = expiries[0].not_after;
  LONGS_EQUAL(1907755200, end.time_since_epoch().count());
  LONGS_EQUAL(0, expiry_warnings(expiries, end - std::chrono::days(31)).size());
  STRCMP_CONTAINS("expires in 29 days",
                  expiry_warnings(expiries, end - std::chrono::hours(29 * 24 + 1))[0].c_str());
  STRCMP_CONTAINS("has expired",
                  expiry_warnings(expiries, end + std::chrono::seconds(1))[0].c_str());
}

TEST(ServerSettings, ClientCertificates) {
  options.certificates = {authority.host("node.example")};
  options.client_ca_file = authority.ca_file();
  TestAuthority stranger("Stranger");
  const CertificateFiles known = authority.issue({.subject = "CN=known"});
  const CertificateFiles unknown = stranger.issue({.subject = "CN=unknown"});
  struct Case {
    ClientCertificates setting;
    const CertificateFiles* own;
    HandshakeFailure failure;
    const char* subject;
  };
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    for (const Case& c : {
             Case{ClientCertificates::none, &known, HandshakeFailure::none, ""},
             Case{ClientCertificates::optional, nullptr, HandshakeFailure::none, ""},
             Case{ClientCertificates::optional, &known, HandshakeFailure::none, "CN=known"},
             Case{ClientCertificates::optional, &unknown, HandshakeFailure::peer_certificate, ""},
             Case{ClientCertificates::required, nullptr, HandshakeFailure::peer_certificate, ""},
             Case{ClientCertificates::required, &known, HandshakeFailure::none, "CN=known"},
             Case{ClientCertificates::required, &unknown, HandshakeFailure::peer_certificate, ""},
         }) {
      options.client_certificates = c.setting;
      LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
      client.versions(version, version);
      if (c.own != nullptr) client.own_certificate(*c.own);
      client.start("node.example");
      const auto server = Handshake::server(server_settings(options));
      converse(*server, client);
      STRCMP_EQUAL(std::string(text(c.failure)).c_str(),
                   std::string(text(server->failure())).c_str());
      STRCMP_EQUAL(c.subject, server->security().peer_certificate.c_str());
      if (c.failure == HandshakeFailure::none) check_data(*server, client);
    }
  }
}
