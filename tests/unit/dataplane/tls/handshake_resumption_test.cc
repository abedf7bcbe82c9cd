// Session tickets: what resumes, what does not, and what a resumed session still knows.
#include <mbedtls/ssl_ciphersuites.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/session_ticket.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

// The client's session with what is in its ticket changed; `keys` are those of the file whose first
// key has that name. The content keeps its length, and so does the ticket.
Bytes with_ticket(Bytes session, TicketKeys& keys, std::byte name, auto&& change) {
  const Bytes names(TicketKeys::kNameBytes, name);
  const auto found = std::ranges::search(session, names);
  CHECK_FALSE(found.empty());
  const auto at = static_cast<std::size_t>(found.begin() - session.begin());
  const std::size_t length = std::to_integer<std::size_t>(session[at - 2]) << 8 |
                             std::to_integer<std::size_t>(session[at - 1]);
  const auto place = std::span(session).subspan(at, length);
  Bytes content(length);
  std::size_t bytes = 0;
  CHECK_TRUE(keys.open(real_now(), place, content, bytes) == TicketKeys::Opened::current);
  auto ticket = decode(std::span(content).first(bytes));
  CHECK_TRUE(ticket.has_value());
  change(*ticket);
  LONGS_EQUAL(length, keys.seal(real_now(), encode(*ticket), place));
  return session;
}

}  // namespace

TEST_GROUP(HandshakeResumption) {
  TestAuthority authority;
  ServerOptions options;
  std::string host = "node.example";
  std::vector<std::string> protocols = {"h2"};
  WallTime now = real_now();
  std::vector<std::string> warnings;

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
  options.ticket_keys = *TicketKeys::load(file, warnings);
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    options.ticket_keys = *TicketKeys::load(file, warnings);
    const Outcome first = connect(version, {});
    options.ticket_keys = *TicketKeys::load(file, warnings);
    CHECK_TRUE(connect(version, first.session).resumed);
    // A new key in front, the old one behind it: still good. The old one gone: a full handshake.
    options.ticket_keys = *TicketKeys::load(
        authority.write("both", std::string(48, 'n') + std::string(48, 'k')), warnings);
    CHECK_TRUE(connect(version, first.session).resumed);
    options.ticket_keys = *TicketKeys::load(authority.write("new", std::string(48, 'n')), warnings);
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

TEST(HandshakeResumption, RenewalEndsAWeekAfterTheFullHandshake) {
  options.ticket_keys =
      *TicketKeys::load(authority.write("tickets", std::string(48, 'k')), warnings);
  const auto aged = [&](const Bytes& session, std::chrono::seconds age) {
    return with_ticket(session, *options.ticket_keys, std::byte{'k'},
                       [&](SessionTicket& ticket) { ticket.full_handshake -= age; });
  };
  constexpr std::chrono::hours kWeek{7 * 24};
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    const Outcome first = connect(version, {});
    const Outcome old = connect(version, aged(first.session, kWeek - std::chrono::hours(1)));
    CHECK_TRUE(old.resumed);
    CHECK_FALSE(connect(version, aged(first.session, kWeek + std::chrono::hours(1))).resumed);
    // The ticket that the resumed session got counts from the full handshake, too.
    if (old.session.empty()) continue;
    CHECK_FALSE(connect(version, aged(old.session, std::chrono::hours(2))).resumed);
  }
}

TEST(HandshakeResumption, ItEndsWithTheClientsCertificate) {
  options.ticket_keys =
      *TicketKeys::load(authority.write("tickets", std::string(48, 'k')), warnings);
  options.client_certificates = ClientCertificates::required;
  options.client_ca_file = authority.ca_file();
  // 2,030,000,000 seconds: far enough for this test, near enough to be told from none.
  const CertificateFiles own =
      authority.issue({.subject = "CN=listener-7", .not_after = "20340430085320"});
  for (const auto version : {MBEDTLS_SSL_VERSION_TLS1_2, MBEDTLS_SSL_VERSION_TLS1_3}) {
    Outcome outcome = connect(version, {}, &own);
    // Seen twice: in the ticket of the full handshake and in that of a resumed one.
    for (int i = 0; i < 2 && !outcome.session.empty(); ++i) {
      WallTime not_after{};
      const Bytes ended = with_ticket(
          outcome.session, *options.ticket_keys, std::byte{'k'}, [&](SessionTicket& ticket) {
            not_after = std::exchange(ticket.peer_not_after, now - std::chrono::seconds(10));
          });
      LONGS_EQUAL(2'030'000'000, not_after.time_since_epoch().count());
      CHECK_FALSE(connect(version, ended, &own).resumed);
      outcome = connect(version, outcome.session, &own);
      CHECK_TRUE(outcome.resumed);
    }
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
  ticket.full_handshake = now - std::chrono::hours(30);
  ticket.peer_not_after = now + std::chrono::hours(3);
  ticket.peer_certificate = "CN=x";
  const Bytes session(40, std::byte{7});
  ticket.session = session;
  const Bytes content = encode(ticket);
  const auto back = decode(content);
  CHECK_TRUE(back.has_value());
  CHECK_TRUE(back->binding == ticket.binding);
  CHECK_TRUE(back->created == now);
  CHECK_TRUE(back->full_handshake == ticket.full_handshake);
  CHECK_TRUE(back->peer_not_after == ticket.peer_not_after);
  CHECK_TRUE(session_end(*back) == ticket.peer_not_after);
  ticket.peer_not_after = WallTime::max();
  CHECK_TRUE(session_end(ticket) == ticket.full_handshake + std::chrono::hours(7 * 24));
  STRCMP_EQUAL("CN=x", back->peer_certificate.c_str());
  LONGS_EQUAL(session.size(), back->session.size());
  for (std::size_t i = 0; i < content.size() - session.size(); ++i)
    CHECK_FALSE(decode(std::span(content).first(i)).has_value());
}
