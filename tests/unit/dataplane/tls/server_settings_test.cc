// Server settings: which certificate a name gets, what make() refuses and warns of, and client
// certificates.
#include "dataplane/tls/server_settings.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <utility>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

// Self-signed, with its key: the library knows neither.
constexpr const char* kEd25519 =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBLjCB4aADAgECAhRHzUJWL5s0zDuinjkBU59KB9y5rjAFBgMrZXAwDTELMAkG\n"
    "A1UEAwwCZWQwHhcNMjYxMTIxMjMxOTI0WhcNMjcwMjE5MjMxOTI0WjANMQswCQYD\n"
    "VQQDDAJlZDAqMAUGAytlcAMhAOXJ85ZEeyBubAqkArWepNxCq24Qq21BCvfY99tO\n"
    "O6PFo1MwUTAdBgNVHQ4EFgQUhI4bhgL5NBeXtj3Su64amYfBdcswHwYDVR0jBBgw\n"
    "FoAUhI4bhgL5NBeXtj3Su64amYfBdcswDwYDVR0TAQH/BAUwAwEB/zAFBgMrZXAD\n"
    "QQANO3N9V8CK0SNS8ZT9DY1RQXFfbZ6EPbAb/Os8Arr90XhpeGkDZ0+i/qlV2+Cv\n"
    "9qK+nLmA1nmXfxgX0xCntjAO\n"
    "-----END CERTIFICATE-----\n";
constexpr const char* kEd25519Key =
    "-----BEGIN PRIVATE KEY-----\n"
    "MC4CAQAwBQYDK2VwBCIEIDMw2848gW3924W6PnILoSOgW4ScnzakQtfe2UPcC+LI\n"
    "-----END PRIVATE KEY-----\n";

}  // namespace

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
  options.certificates = {{good.chain, good.chain}};
  refused("holds certificates but no private key: name the file that does with `key`");
  options.certificates = {{authority.write("ed25519.pem", kEd25519), good.key}};
  refused("ed25519.pem holds a certificate whose key or signature is neither ECDSA");
  options.certificates = {{good.chain, authority.write("ed25519.key", kEd25519Key)}};
  refused("ed25519.key holds a key that is neither ECDSA on a known curve nor RSA");
  // The library counts what it cannot read once it has read another of the file.
  options.certificates = {
      {authority.write("mixed.pem", kEd25519 + TestAuthority::read(good.chain)), good.key}};
  refused("1 of the certificates in ");
  refused("mixed.pem cannot be read: damaged, or with a key or signature that is neither ECDSA");
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
  options.certificates = {authority.issue(
      {.subject = "CN=address", .addresses = {std::string("\xc0\x00\x02\x07", 4)}})};
  CHECK_TRUE(server_settings(options)->warnings().empty());
  options.certificates = {authority.host("node.example")};
  CHECK_TRUE(server_settings(options)->warnings().empty());
  ::chmod(options.certificates[0].key.c_str(), 0644);
  warns("chmod");
}

TEST(ServerSettings, ACommonNameIsChosenByButWarnedOf) {
  options.certificates = {authority.host("first.example"),
                          authority.issue({.subject = "CN=Common.example"})};
  warns("has no subject alternative name; clients do not look at its Common Name (RFC 9525)");
  STRCMP_EQUAL("CN=Common.example", served(server_settings(options), "common.example").c_str());
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

// The library calls that a certificate it cannot process, and gives a number.
TEST(ServerSettings, ACertificateForOtherUsesIsRefusedInWords) {
  options.certificates = {authority.host("node.example")};
  options.client_ca_file = authority.ca_file();
  const std::array<std::pair<TestAuthority::Request, const char*>, 2> cases = {
      {{{.subject = "CN=signer", .is_for_signing_code = true},
        "its extended key usage does not name what it is used for"},
       {{.subject = "CN=ca", .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN},
        "its key usage does not allow handshakes"}}};
  for (const auto& [request, why] : cases) {
    const CertificateFiles own = authority.issue(request);
    for (const auto setting : {ClientCertificates::optional, ClientCertificates::required}) {
      options.client_certificates = setting;
      for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
        LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
        client.versions(version, version);
        client.own_certificate(own);
        client.start("node.example");
        const auto server = Handshake::server(server_settings(options));
        CHECK_TRUE(converse(*server, client) == Handshake::Step::failed);
        CHECK_TRUE(server->failure() == HandshakeFailure::peer_certificate);
        STRCMP_CONTAINS(why, server->message().c_str());
      }
    }
  }
}
