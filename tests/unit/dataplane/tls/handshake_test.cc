// Handshakes against the plain library: versions, suites, keys, names, protocols, what is left over
// and with which sequence numbers records go on.
#include "dataplane/tls/handshake.h"

#include <mbedtls/ssl_ciphersuites.h>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/suites.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

constexpr auto kTls12 = MBEDTLS_SSL_VERSION_TLS1_2;
constexpr auto kTls13 = MBEDTLS_SSL_VERSION_TLS1_3;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_GROUP(Handshake) {
  TestAuthority authority;
  ServerOptions options;

  void setup() override {
    options.certificates = {authority.host("node.example"),
                            authority.host("node.example", KeyKind::rsa2048)};
    options.ticket_keys = TicketKeys::make(real_now());
  }

  // A whole handshake with a library client, then data.
  void succeeds(LibraryPeer & client, const char* version, const char* cipher,
                std::size_t cut = 0) {
    client.start("node.example");
    const auto server = Handshake::server(server_settings(options));
    LONGS_EQUAL(static_cast<int>(Handshake::Step::finished),
                static_cast<int>(converse(*server, client, cut)));
    LONGS_EQUAL(0, client.handshake());
    STRCMP_EQUAL(version, std::string(server->security().version).c_str());
    STRCMP_EQUAL(cipher, std::string(server->security().cipher).c_str());
    STRCMP_EQUAL("node.example", server->security().server_name.c_str());
    CHECK_FALSE(server->resumed());
    check_data(*server, client);
  }

  void fails(LibraryPeer & client, HandshakeFailure why, int alert) {
    client.start("node.example");
    const auto server = Handshake::server(server_settings(options));
    LONGS_EQUAL(static_cast<int>(Handshake::Step::failed),
                static_cast<int>(converse(*server, client)));
    STRCMP_EQUAL(std::string(text(why)).c_str(), std::string(text(server->failure())).c_str());
    LONGS_EQUAL(alert, server->alert());
    CHECK_FALSE(server->message().empty());
  }

  // Bytes that are no library's.
  void refuses(std::span<const std::byte> bytes, HandshakeFailure why, int alert) {
    const auto server = Handshake::server(server_settings(options));
    CHECK_TRUE(server->feed(bytes));
    LONGS_EQUAL(static_cast<int>(Handshake::Step::failed),
                static_cast<int>(server->step(real_now())));
    STRCMP_EQUAL(std::string(text(why)).c_str(), std::string(text(server->failure())).c_str());
    LONGS_EQUAL(alert, server->alert());
    LONGS_EQUAL(alert < 0 ? 0 : 7, server->take_output().size());
  }
};

TEST(Handshake, EverySuiteWithItsKeyAgreesAndCarriesData) {
  for (const Suite& suite : kSuites) {
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.suites({suite.id});
    const auto only = suite.version == Version::tls13 ? kTls13 : kTls12;
    client.versions(only, only);
    client.trust(authority.certificate());
    succeeds(client, suite.version == Version::tls13 ? "TLSv1.3" : "TLSv1.2",
             std::string(suite.name).c_str());
  }
}

TEST(Handshake, WithTicketsOffTheFirstRecordIsNumberZero) {
  options.ticket_keys = nullptr;
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("node.example");
  const auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, client) == Handshake::Step::finished);
  LONGS_EQUAL(0, client.handshake());
  LONGS_EQUAL(0, server->take_secrets().send.next_sequence);
}

TEST(Handshake, ATicketIsCountedAsARecord) {
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("node.example");
  const auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, client) == Handshake::Step::finished);
  LONGS_EQUAL(0, client.handshake());
  const ConnectionSecrets secrets = server->take_secrets();
  LONGS_EQUAL(1, secrets.send.next_sequence);
  LONGS_EQUAL(0, secrets.receive.next_sequence);
}

TEST(Handshake, BothKeysServeAndTheClientsSignaturesDecide) {
  LibraryPeer ecdsa(MBEDTLS_SSL_IS_CLIENT);
  ecdsa.suites({0x1301});
  ecdsa.signatures({0x0804, 0x0403});
  succeeds(ecdsa, "TLSv1.3", "TLS_AES_128_GCM_SHA256");  // cheaper for us, though second
  CHECK_TRUE(mbedtls_pk_get_type(&mbedtls_ssl_get_peer_cert(ecdsa.ssl())->pk) == MBEDTLS_PK_ECKEY);
  LibraryPeer rsa(MBEDTLS_SSL_IS_CLIENT);
  rsa.suites({0x1301});
  rsa.signatures({0x0804});
  succeeds(rsa, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
  CHECK_TRUE(mbedtls_pk_get_type(&mbedtls_ssl_get_peer_cert(rsa.ssl())->pk) == MBEDTLS_PK_RSA);
  LibraryPeer old(MBEDTLS_SSL_IS_CLIENT);
  old.versions(kTls12, kTls12);
  old.suites({0xc02b, 0xc02f});
  old.signatures({0x0401});
  succeeds(old, "TLSv1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
}

TEST(Handshake, AesPreferringClientsGetAes128WhateverTheirOrder) {
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.suites({0x1302, 0x1303, 0x1301});
  succeeds(client, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
  LibraryPeer old(MBEDTLS_SSL_IS_CLIENT);
  old.versions(kTls12, kTls12);
  old.suites({0xc02c, 0xcca9, 0xc02b});
  succeeds(old, "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
}

TEST(Handshake, ClientsWithoutAesInHardwareGetChaCha) {
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.suites({0x1303, 0x1301, 0x1302});
  succeeds(client, "TLSv1.3", "TLS_CHACHA20_POLY1305_SHA256");
}

TEST(Handshake, EveryGroupIsSpokenAndAnUnknownShareLeadsToARetry) {
  for (const std::uint16_t group : kGroups) {
    for (const auto version : {kTls12, kTls13}) {
      LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
      client.versions(version, version);
      client.suites({0x1301, 0xc02f});  // RSA: P-256 need not be among the groups
      client.groups({group});
      succeeds(
          client, version == kTls13 ? "TLSv1.3" : "TLSv1.2",
          version == kTls13 ? "TLS_AES_128_GCM_SHA256" : "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256");
    }
  }
  LibraryPeer retry(MBEDTLS_SSL_IS_CLIENT);
  retry.suites({0x1301});
  retry.groups({MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519});
  succeeds(retry, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
}

TEST(Handshake, InputMayComeByteByByte) {
  for (const auto version : {kTls12, kTls13}) {
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.versions(version, version);
    client.suites({0x1301, 0xc02b});
    succeeds(
        client, version == kTls13 ? "TLSv1.3" : "TLSv1.2",
        version == kTls13 ? "TLS_AES_128_GCM_SHA256" : "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        1);
  }
}

TEST(Handshake, AClientHelloMayBeSplitOverRecordsAtEveryByte) {
  for (const auto version : {kTls12, kTls13}) {
    LibraryPeer probe(MBEDTLS_SSL_IS_CLIENT);
    probe.versions(version, version);
    probe.start("node.example");
    probe.handshake();
    const std::size_t length = probe.out.size() - 5;
    const auto settings = server_settings(options);
    for (std::size_t at = 1; at < length; ++at) {
      const auto server = Handshake::server(settings);
      Bytes split;
      const auto record = [&](std::size_t from, std::size_t to) {
        const std::size_t count = to - from;
        split.insert(split.end(),
                     {std::byte{22}, std::byte{3}, std::byte{1}, static_cast<std::byte>(count >> 8),
                      static_cast<std::byte>(count & 255)});
        split.insert(split.end(), probe.out.begin() + 5 + static_cast<std::ptrdiff_t>(from),
                     probe.out.begin() + 5 + static_cast<std::ptrdiff_t>(to));
      };
      record(0, at);
      CHECK_FALSE(server->feed(split));  // nothing to do for a helper yet
      split.clear();
      record(at, length);
      CHECK_TRUE(server->feed(split));
      // The whole handshake is too slow to do for every byte.
      if (at % 64 != 1) continue;
      LONGS_EQUAL(static_cast<int>(Handshake::Step::need_more),
                  static_cast<int>(server->step(real_now())));
      CHECK_TRUE(server->take_output().size() > 200);
    }
  }
}

TEST(Handshake, AHelloInRecordsOfOneByteFinishes) {
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("node.example");
  client.handshake();
  Bytes split;
  for (std::size_t i = 5; i < client.out.size(); ++i)
    split.insert(split.end(), {std::byte{22}, std::byte{3}, std::byte{1}, std::byte{0},
                               std::byte{1}, client.out[i]});
  client.out = split;
  const auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, client) == Handshake::Step::finished);
  LONGS_EQUAL(0, client.handshake());
  check_data(*server, client);
}

TEST(Handshake, AnUnfinishedHelloHoldsNoMoreThanItself) {
  // The longest hello there may be, but for its last byte, in records of one byte and all at once;
  // then in the longest records that fit.
  const auto settings = server_settings(options);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{8000}}) {
    Bytes message(Handshake::kMaximumClientHelloBytes - 1, std::byte{7});
    message[0] = std::byte{1};
    message[1] = std::byte{0};
    message[2] = static_cast<std::byte>((Handshake::kMaximumClientHelloBytes - 4) >> 8);
    message[3] = static_cast<std::byte>((Handshake::kMaximumClientHelloBytes - 4) & 255);
    Bytes records;
    for (std::size_t at = 0; at < message.size(); at += piece) {
      const std::size_t count = std::min(piece, message.size() - at);
      records.insert(records.end(),
                     {std::byte{22}, std::byte{3}, std::byte{1}, static_cast<std::byte>(count >> 8),
                      static_cast<std::byte>(count & 255)});
      records.insert(records.end(), message.begin() + static_cast<std::ptrdiff_t>(at),
                     message.begin() + static_cast<std::ptrdiff_t>(at + count));
    }
    const auto server = Handshake::server(settings);
    CHECK_FALSE(server->feed(records));
    LONGS_EQUAL(message.size(), server->input_bytes());
    // A record that is longer than what the hello still wants need not come whole to be refused.
    const std::array<std::byte, 5> longer = {std::byte{22}, std::byte{3}, std::byte{1},
                                             std::byte{0x40}, std::byte{0}};
    CHECK_TRUE(server->feed(longer));
    CHECK_TRUE(server->step(real_now()) == Handshake::Step::failed);
    LONGS_EQUAL(10, server->alert());
  }
}

TEST(Handshake, WhatFollowsTheLastFlightIsLeftOver) {
  for (const auto version : {kTls12, kTls13}) {
    options.ticket_keys = nullptr;
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.versions(version, version);
    client.start("node.example");
    const auto server = Handshake::server(server_settings(options));
    client.handshake();
    CHECK_TRUE(server->feed(client.out));
    client.out.clear();
    server->step(real_now());
    client.in = server->take_output();
    client.handshake();
    if (version == kTls13) {
      LONGS_EQUAL(0, client.handshake());  // a client of TLS 1.3 may speak with its Finished
      CHECK_TRUE(client.write("GET / HTTP/1.1\r\n\r\n"));
    }
    // Half a record more than whole ones.
    const Bytes flight = client.out;
    server->feed(std::span(flight).first(flight.size() - 3));
    if (version == kTls12) {
      CHECK_TRUE(server->step(real_now()) == Handshake::Step::need_more);
      server->feed(std::span(flight).last(3));
      CHECK_TRUE(server->step(real_now()) == Handshake::Step::finished);
      LONGS_EQUAL(0, server->take_leftover().size());
      continue;
    }
    CHECK_TRUE(server->step(real_now()) == Handshake::Step::finished);
    Bytes leftover = server->take_leftover();
    leftover.insert(leftover.end(), flight.end() - 3, flight.end());
    STRCMP_EQUAL("GET / HTTP/1.1\r\n\r\n", Records(*server).open(leftover).c_str());
  }
}

TEST(Handshake, ProtocolsAreNegotiatedOrRefused) {
  LibraryPeer modern(MBEDTLS_SSL_IS_CLIENT);
  modern.protocols({"http/1.1", "h2"});
  modern.start("node.example");
  auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, modern) == Handshake::Step::finished);
  STRCMP_EQUAL("h2", server->security().protocol.c_str());
  STRCMP_EQUAL("h2", mbedtls_ssl_get_alpn_protocol(modern.ssl()));
  LibraryPeer silent(MBEDTLS_SSL_IS_CLIENT);
  silent.start("node.example");
  server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, silent) == Handshake::Step::finished);
  STRCMP_EQUAL("", server->security().protocol.c_str());
  for (const auto version : {kTls12, kTls13}) {
    LibraryPeer other(MBEDTLS_SSL_IS_CLIENT);
    other.versions(version, version);
    other.protocols({"smtp"});
    fails(other, HandshakeFailure::no_common_protocol, 120);
  }
}

TEST(Handshake, OldAndForeignPeersAreTurnedAwayBeforeTheyCostAnything) {
  // SSL 2.0's hello, a TLS 1.0 hello, clear HTTP, an SSH client, an alert.
  refuses(bytes_of(std::string_view("\x80\x2e\x01\x03\x01", 5)), HandshakeFailure::version, 70);
  std::string tls10("\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01", 11);
  tls10 += std::string(32, 'r') + std::string("\x00\x00\x02\x00\x2f\x01\x00", 7);
  refuses(bytes_of(tls10), HandshakeFailure::version, 70);
  refuses(bytes_of("GET / HTTP/1.1\r\n"), HandshakeFailure::not_tls, -1);
  refuses(bytes_of("SSH-2.0-x"), HandshakeFailure::not_tls, -1);
  refuses(bytes_of(std::string_view("\x15\x03\x01\x00\x02\x02\x28", 7)),
          HandshakeFailure::peer_alert, -1);
  // A hello that says it has 64 KiB; one of a wrong type; an empty record.
  refuses(bytes_of(std::string_view("\x16\x03\x01\x00\x04\x01\x01\x00\x00", 9)),
          HandshakeFailure::too_large, 47);
  refuses(bytes_of(std::string_view("\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9)),
          HandshakeFailure::malformed, 10);
  refuses(bytes_of(std::string_view("\x16\x03\x01\x00\x00", 5)), HandshakeFailure::malformed, 10);
  refuses(bytes_of(std::string_view("\x16\x03\x01\x40\x01", 5)), HandshakeFailure::malformed, 22);
}

TEST(Handshake, Tls12CanBeSwitchedOff) {
  options.tls12 = false;
  LibraryPeer old(MBEDTLS_SSL_IS_CLIENT);
  old.versions(kTls12, kTls12);
  fails(old, HandshakeFailure::version, 70);
  LibraryPeer modern(MBEDTLS_SSL_IS_CLIENT);
  modern.suites({0x1301});
  succeeds(modern, "TLSv1.3", "TLS_AES_128_GCM_SHA256");
}

TEST(Handshake, SuitesWithoutForwardSecrecyOrAeadAreNotSpoken) {
  for (const int suite :
       {MBEDTLS_TLS_RSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
        MBEDTLS_TLS_DHE_RSA_WITH_AES_128_GCM_SHA256, MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}) {
    LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
    client.versions(kTls12, kTls12);
    client.suites({suite});
    fails(client, HandshakeFailure::no_common_choice, 40);
  }
}

TEST(Handshake, AClientThatGivesUpIsReportedWithItsAlert) {
  TestAuthority other("Other Authority");
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.trust(other.certificate());
  client.start("node.example");
  const auto server = Handshake::server(server_settings(options));
  CHECK_TRUE(converse(*server, client) == Handshake::Step::failed);
  STRCMP_EQUAL("peer_alert", std::string(text(server->failure())).c_str());
  STRCMP_CONTAINS("unknown_ca", server->message().c_str());
  LONGS_EQUAL(-1, server->alert());
}

TEST(Handshake, TheEndOfInputFailsIt) {
  const auto settings = server_settings(options);
  auto server = Handshake::server(settings);
  CHECK_FALSE(server->feed(bytes_of("\x16\x03\x01")));
  server->end_of_input();
  CHECK_TRUE(server->ready());
  CHECK_TRUE(server->step(real_now()) == Handshake::Step::failed);
  CHECK_TRUE(server->failure() == HandshakeFailure::ended);
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("node.example");
  client.handshake();
  server = Handshake::server(settings);
  server->feed(client.out);
  server->step(real_now());
  server->end_of_input();
  CHECK_TRUE(server->step(real_now()) == Handshake::Step::failed);
  CHECK_TRUE(server->failure() == HandshakeFailure::ended);
}

TEST(Handshake, InputWithoutEndIsBounded) {
  const auto server = Handshake::server(server_settings(options));
  LibraryPeer client(MBEDTLS_SSL_IS_CLIENT);
  client.start("node.example");
  client.handshake();
  CHECK_TRUE(server->feed(client.out));
  CHECK_TRUE(server->step(real_now()) == Handshake::Step::need_more);
  // While no helper runs, a peer sends on and on.
  const Bytes more(4096, std::byte{0});
  std::size_t fed = client.out.size();
  for (; fed <= Handshake::kMaximumInputBytes; fed += more.size()) server->feed(more);
  CHECK_TRUE(server->step(real_now()) == Handshake::Step::failed);
  CHECK_TRUE(server->failure() == HandshakeFailure::too_large);
}

TEST(Handshake, OurOwnTwoSidesAgree) {
  ClientOptions trusting;
  trusting.ca_file = authority.ca_file();
  {
    const auto server = Handshake::server(server_settings(options));
    const auto client = Handshake::client(client_settings(trusting), "node.example");
    const Both both = converse(*server, *client);
    CHECK_TRUE(both.server == Handshake::Step::finished);
    CHECK_TRUE(both.client == Handshake::Step::finished);
    STRCMP_EQUAL("http/1.1", client->security().protocol.c_str());
    // The server's ticket is in the client's leftover; its records go on behind it.
    const Bytes leftover = client->take_leftover();
    CHECK_FALSE(leftover.empty());
    Records ours(*server);
    Records theirs(*client);
    STRCMP_EQUAL("", theirs.open(leftover).c_str());
    STRCMP_EQUAL("hello", theirs.open(ours.seal("hello")).c_str());
    STRCMP_EQUAL("answer", ours.open(theirs.seal("answer")).c_str());
  }
}
