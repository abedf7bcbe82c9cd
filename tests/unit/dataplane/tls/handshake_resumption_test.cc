// Session tickets: what resumes, what does not, and what a resumed session still knows.
#include <mbedtls/ssl_ciphersuites.h>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/session_ticket.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

TEST_GROUP(HandshakeResumption) {
  TestAuthority authority;
  ServerOptions options;
  std::string host = "node.example";
  std::vector<std::string> protocols = {"h2"};
  WallTime now = real_now();

  void setup() override {
    options.certificates = {authority.host("node.example", KeyKind::p256, {"other.example"})};
    options.ticket_keys = TicketKeys::make(now);
  }

  struct Outcome {
    bool resumed = false;
    Bytes session;
    std::string peer_certificate;
  };

  // One connection with a client of that version, `session` empty or offered. Data flows whatever
  // happened.
  Outcome connect(mbedtls_ssl_protocol_version version, const Bytes& session,
                  const CertificateFiles* own = nullptr,
                  std::vector<int> suites = {0x1301, 0x1302, 0xc02b, 0xc02c}) {
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.versions(version, version);
    client.suites(std::move(suites));
    client.protocols(protocols);
    if (own != nullptr) client.own_certificate(*own);
    client.start(host);
    if (!session.empty()) client.resume(session);
    const auto server = Handshake::server(server_settings(options));
    LONGS_EQUAL(static_cast<int>(Handshake::Step::finished),
                static_cast<int>(converse(*server, client)));
    LONGS_EQUAL(0, client.handshake());
    check_data(*server, client);
    CHECK_EQUAL(server->resumed(), server->security().resumed);
    return {server->resumed(), client.session(), server->security().peer_certificate};
  }
};

TEST(HandshakeResumption, ASessionResumesAgainAndAgain) {
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    Outcome outcome = connect(version, {});
    CHECK_FALSE(outcome.resumed);
    for (int i = 0; i < 3; ++i) {
      CHECK_FALSE(outcome.session.empty());
      const Outcome again = connect(version, outcome.session);
      CHECK_TRUE(again.resumed);
      if (!again.session.empty()) outcome = again;
    }
  }
}

TEST(HandshakeResumption, ItResumesAfterAReloadWithOtherCertificates) {
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    const Outcome first = connect(version, {});
    options.certificates = {authority.host("node.example", KeyKind::p256, {"other.example"})};
    CHECK_TRUE(connect(version, first.session).resumed);
  }
}

TEST(HandshakeResumption, ItResumesOnAnotherNodeWithTheSameKeyFile) {
  const std::string file = authority.write("tickets", std::string(48, 'k'));
  options.ticket_keys = *TicketKeys::load(file);
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    options.ticket_keys = *TicketKeys::load(file);
    const Outcome first = connect(version, {});
    options.ticket_keys = *TicketKeys::load(file);
    CHECK_TRUE(connect(version, first.session).resumed);
    // A new key in front, the old one behind it: still good. The old one gone: a full handshake.
    options.ticket_keys =
        *TicketKeys::load(authority.write("both", std::string(48, 'n') + std::string(48, 'k')));
    CHECK_TRUE(connect(version, first.session).resumed);
    options.ticket_keys = *TicketKeys::load(authority.write("new", std::string(48, 'n')));
    CHECK_FALSE(connect(version, first.session).resumed);
  }
}

TEST(HandshakeResumption, AnotherProtocolIsAnotherSession) {
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    protocols = {"h2"};
    const Outcome first = connect(version, {});
    protocols = {"http/1.1"};
    CHECK_FALSE(connect(version, first.session).resumed);
  }
}

TEST(HandshakeResumption, ClientCertificatesSurviveAndTheSettingBinds) {
  const CertificateFiles own = authority.issue({.subject = "CN=listener-7"});
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    options.client_certificates = ClientCertificates::required;
    options.client_ca_file = authority.ca_file();
    const Outcome first = connect(version, {}, &own);
    STRCMP_EQUAL("CN=listener-7", first.peer_certificate.c_str());
    const Outcome second = connect(version, first.session, &own);
    CHECK_TRUE(second.resumed);
    STRCMP_EQUAL("CN=listener-7", second.peer_certificate.c_str());
    // What was proven under one setting says nothing under another.
    options.client_certificates = ClientCertificates::optional;
    CHECK_FALSE(connect(version, first.session, &own).resumed);
    TestAuthority stranger("Strange Authority");
    options.client_certificates = ClientCertificates::optional;
    const Outcome anonymous = connect(version, {});
    STRCMP_EQUAL("", anonymous.peer_certificate.c_str());
    options.client_certificates = ClientCertificates::none;
    CHECK_FALSE(connect(version, anonymous.session).resumed);
  }
}

TEST(HandshakeResumption, ASuiteNoLongerOfferedIsNoFailure) {
  // The library would end such a handshake; ours takes another suite.
  const Outcome first = connect(MBEDTLS_SSL_VERSION_TLS1_3, {}, nullptr, {0x1302});
  CHECK_FALSE(
      connect(MBEDTLS_SSL_VERSION_TLS1_3, first.session, nullptr, {0x1302, 0x1301}).resumed);
  const Outcome old = connect(MBEDTLS_SSL_VERSION_TLS1_2, {}, nullptr, {0xc02c});
  CHECK_FALSE(connect(MBEDTLS_SSL_VERSION_TLS1_2, old.session, nullptr, {0xc02c, 0xc02b}).resumed);
}

TEST(HandshakeResumption, AnotherNameIsAnotherSession) {
  // The library's client refuses to offer it with TLS 1.3; TLS 1.2's does offer.
  const Outcome first = connect(MBEDTLS_SSL_VERSION_TLS1_2, {});
  CHECK_TRUE(connect(MBEDTLS_SSL_VERSION_TLS1_2, first.session).resumed);
  host = "other.example";
  CHECK_FALSE(connect(MBEDTLS_SSL_VERSION_TLS1_2, first.session).resumed);
}

TEST(HandshakeResumption, OurTicketContentReadsBackAndRefusesWhatIsCut) {
  SessionTicket ticket;
  ticket.binding.version = Version::tls12;
  ticket.binding.server_name = "node.example";
  ticket.binding.protocol = "h2";
  ticket.binding.suites = 0x1ff;
  ticket.binding.chacha_first = true;
  ticket.created = now;
  ticket.peer_certificate = "CN=x";
  const Bytes session(40, std::byte{7});
  ticket.session = session;
  const Bytes content = encode(ticket);
  const auto back = decode(content);
  CHECK_TRUE(back.has_value());
  CHECK_TRUE(back->binding == ticket.binding);
  CHECK_TRUE(back->created == now);
  STRCMP_EQUAL("CN=x", back->peer_certificate.c_str());
  LONGS_EQUAL(session.size(), back->session.size());
  for (std::size_t i = 0; i < content.size() - session.size(); ++i)
    CHECK_FALSE(decode(std::span(content).first(i)).has_value());
}
