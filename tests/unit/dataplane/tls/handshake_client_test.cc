// The client side, towards origins: verification, names, addresses, pins, own certificates.
#include <mbedtls/sha256.h>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/client_settings.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

TEST_GROUP(HandshakeClient) {
  TestAuthority authority;
  ClientOptions options;
  CertificateFiles origin;

  void setup() override {
    origin = authority.issue({.subject = "CN=origin",
                              .names = {"origin.example"},
                              .addresses = {std::string("\xc0\x00\x02\x07", 4)}});
    options.ca_file = authority.ca_file();
  }

  // Against the plain library as the origin.
  std::unique_ptr<Handshake> connect(
      const std::string& name, mbedtls_ssl_protocol_version version = MBEDTLS_SSL_VERSION_TLS1_3) {
    LibraryPeer server(MBEDTLS_SSL_IS_SERVER);
    server.versions(version, version);
    server.own_certificate(origin);
    server.start("");
    auto client = Handshake::client(client_settings(options), name);
    if (converse(*client, server) == Handshake::Step::finished) check_data(*client, server);
    return client;
  }
  void succeeds(const std::string& name) {
    for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3})
      STRCMP_EQUAL("", connect(name, version)->message().c_str());
  }
  void fails(const std::string& name, const char* why) {
    for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
      const auto client = connect(name, version);
      CHECK_TEXT(client->failure() == HandshakeFailure::peer_certificate,
                 client->message().c_str());
      STRCMP_CONTAINS(why, client->message().c_str());
    }
  }
  PublicKeyPin pin_of_origin() {
    std::vector<std::string> warnings;
    const auto loaded = *Certificate::load(origin, real_now(), warnings);
    PublicKeyPin pin{};
    mbedtls_sha256(loaded->chain()->pk_raw.p, loaded->chain()->pk_raw.len,
                   reinterpret_cast<unsigned char*>(pin.data()), 0);
    return pin;
  }
};

TEST(HandshakeClient, ATrustedNameIsAccepted) { succeeds("origin.example"); }

TEST(HandshakeClient, AnotherNameIsRefused) {
  fails("evil.example", "it is not for 'evil.example' but for 192.0.2.7, origin.example");
}

TEST(HandshakeClient, AnotherAuthorityIsRefused) {
  TestAuthority other("Other Authority");
  options.ca_file = other.ca_file();
  fails("origin.example", "not signed by an authority that is trusted here");
}

TEST(HandshakeClient, AnExpiredCertificateIsRefused) {
  origin = authority.issue(
      {.subject = "CN=origin", .names = {"origin.example"}, .not_after = "20210101000000"});
  fails("origin.example", "expired");
}

TEST(HandshakeClient, AddressesAreVerifiedAndNotSentAsNames) {
  succeeds("192.0.2.7");
  fails("192.0.2.8", "it is not for '192.0.2.8' but for 192.0.2.7, origin.example");
}

// RFC 9525: whoever signed it has checked the names of the extension, not the Common Name.
TEST(HandshakeClient, ACommonNameIsNoName) {
  origin = authority.issue({.subject = "CN=origin.example"});
  fails("origin.example", "it is not for 'origin.example': it has no subject alternative name");
  origin = authority.issue({.subject = "CN=192.0.2.7"});
  fails("192.0.2.7", "it has no subject alternative name");
  options.verify = false;
  options.ca_file = "";
  succeeds("origin.example");
}

// Whatever its letters would mean as a length, the answer is not waited for.
TEST(HandshakeClient, AServerWithoutTlsIsToldSo) {
  for (const std::string_view answer :
       {"HTTP/1.1 400 Bad Request\r\n\r\n", "220 mail.example ESMTP\r\n", "hello"}) {
    auto client = Handshake::client(client_settings(options), "origin.example");
    CHECK_TRUE(client->step(real_now()) == Handshake::Step::need_more);
    CHECK_TRUE(client->feed(std::as_bytes(std::span(answer))));
    CHECK_TRUE(client->step(real_now()) == Handshake::Step::failed);
    CHECK_TRUE(client->failure() == HandshakeFailure::not_tls);
    STRCMP_CONTAINS("does not speak TLS on this port", client->message().c_str());
  }
}

TEST(HandshakeClient, VerificationOffTakesAnythingButPinsStillHold) {
  options.verify = false;
  options.ca_file = "";
  succeeds("evil.example");
  options.pins = {pin_of_origin()};
  succeeds("evil.example");
  options.pins = {PublicKeyPin{}};
  fails("evil.example", "none of those pinned");
}

TEST(HandshakeClient, PinsAddToVerification) {
  options.pins = {PublicKeyPin{}, pin_of_origin()};
  succeeds("origin.example");
  options.pins = {PublicKeyPin{}};
  fails("origin.example", "none of those pinned");
}

TEST(HandshakeClient, PinsAreReadInBothWaysOfWriting) {
  const auto hexadecimal =
      ClientSettings::parse_pin("00ff000000000000000000000000000000000000000000000000000000000001");
  CHECK_TRUE(hexadecimal.has_value());
  CHECK_TRUE((*hexadecimal)[1] == std::byte{255} && (*hexadecimal)[31] == std::byte{1});
  for (const char* text : {"sha256/AP8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=",
                           "sha256//AP8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="})
    CHECK_TRUE(ClientSettings::parse_pin(text).value() == *hexadecimal);
  for (const char* text : {"", "00ff", "sha256/AP8=", "sha1/AP8AAAAAAAAAAAAAAAAAAAAAAAA="})
    CHECK_FALSE(ClientSettings::parse_pin(text).has_value());
}

TEST(HandshakeClient, AnOwnCertificateProvesWhoWeAre) {
  options.own = authority.issue({.subject = "CN=node-3"});
  // It is for no host, and need not be.
  CHECK_TRUE(client_settings(options)->warnings().empty());
  ServerOptions serving;
  serving.certificates = {authority.host("origin.example")};
  serving.client_certificates = ClientCertificates::required;
  serving.client_ca_file = authority.ca_file();
  const auto server = Handshake::server(server_settings(serving));
  const auto client = Handshake::client(client_settings(options), "origin.example");
  const Both both = converse(*server, *client);
  CHECK_TRUE(both.server == Handshake::Step::finished);
  CHECK_TRUE(both.client == Handshake::Step::finished);
  STRCMP_EQUAL("CN=node-3", server->security().peer_certificate.c_str());
}

TEST(HandshakeClient, AMissingBundleIsAnErrorWithItsName) {
  options.ca_file = authority.file("missing.pem");
  const auto made = ClientSettings::make(options, real_now());
  CHECK_FALSE(made.has_value());
  STRCMP_CONTAINS("missing.pem", made.error().message.c_str());
}
