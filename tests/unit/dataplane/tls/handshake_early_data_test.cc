// Early data that nobody asked for: what is told apart from the client's handshake, and that it has
// an end. The library's client cannot offer any, so hellos are edited here: the handshake goes on
// until the client would notice. (Whole ones: tests/system/test_tls.py.)
#include "dataplane/tls/handshake_early_data.h"

#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "dataplane/tls/record.h"
#include "tests/unit/dataplane/tls/handshake_test_support.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield;
using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

using Verdict = EarlyDataFilter::Verdict;

Bytes record(ContentType type, std::size_t body_bytes) {
  Bytes bytes(kRecordHeaderBytes + body_bytes, std::byte{0x5a});
  bytes[0] = static_cast<std::byte>(type);
  bytes[1] = bytes[2] = std::byte{3};
  bytes[3] = static_cast<std::byte>(body_bytes >> 8);
  bytes[4] = static_cast<std::byte>(body_bytes & 0xff);
  return bytes;
}

const Bytes kHello = record(ContentType::handshake, 300);
const Bytes kChangeCipherSpec = hex("14 0303 0001 01");

// The extension early_data (RFC 8446 4.2.10) put before all others of a ClientHello's record.
Bytes offering_early_data(Bytes hello) {
  const auto length_at = [&](std::size_t at, std::size_t bytes) {
    std::size_t value = 0;
    for (std::size_t i = 0; i < bytes; ++i)
      value = value << 8 | std::to_integer<std::size_t>(hello[at + i]);
    return value;
  };
  const auto longer = [&](std::size_t at, std::size_t bytes) {
    const std::size_t value = length_at(at, bytes) + 4;
    for (std::size_t i = 0; i < bytes; ++i)
      hello[at + i] = static_cast<std::byte>(value >> (8 * (bytes - 1 - i)));
  };
  std::size_t at = 5 + 4 + 2 + 32;
  at += 1 + length_at(at, 1);  // session
  at += 2 + length_at(at, 2);  // suites
  at += 1 + length_at(at, 1);  // compression
  longer(at, 2);
  longer(6, 3);
  longer(3, 2);
  const std::array<std::byte, 4> extension = {std::byte{0}, std::byte{42}, std::byte{0},
                                              std::byte{0}};
  hello.insert(hello.begin() + static_cast<std::ptrdiff_t>(at + 2), extension.begin(),
               extension.end());
  return hello;
}

}  // namespace

TEST_GROUP(EarlyDataFilter) {
  EarlyDataFilter filter;
  const Bytes early = record(ContentType::application_data, 100);

  void judges(Verdict verdict, std::span<const std::byte> bytes) {
    LONGS_EQUAL(static_cast<int>(verdict), static_cast<int>(filter.judge(bytes)));
  }
};

TEST(EarlyDataFilter, PassesEverythingWhenNoneWasOffered) {
  judges(Verdict::pass, kHello);
  for (int i = 0; i < 1000; ++i) judges(Verdict::pass, early);
  CHECK_FALSE(filter.exceeded());
}

TEST(EarlyDataFilter, DropsWhatTheClientsKeyDoesNotOpen) {
  for (const Aead aead : kAeads) {
    ConnectionSecrets secrets = server_secrets(Version::tls13, aead);
    EarlyDataFilter trying;
    trying.expect();
    CHECK_TRUE(trying.judge(kHello) == Verdict::pass);
    trying.use_secret(aead, secrets.hash,
                      std::span(secrets.receive.secret).first(hash_bytes(secrets.hash)));
    CHECK_TRUE(trying.judge(kChangeCipherSpec) == Verdict::pass);
    // Under keys of its own, and too short to be anything.
    Peer stranger(server_secrets(
        Version::tls13, aead == Aead::aes_128_gcm ? Aead::aes_256_gcm : Aead::aes_128_gcm));
    for (const std::size_t bytes : {0, 1, 500, 16384})
      CHECK_TRUE(trying.judge(stranger.seal(ContentType::application_data, Bytes(bytes))) ==
                 Verdict::drop);
    for (const std::size_t bytes : {0, 1, 16, 17})
      CHECK_TRUE(trying.judge(record(ContentType::application_data, bytes)) == Verdict::drop);
    // The client's flight is the client's to its end, also where it does not open.
    Peer client(secrets);
    Bytes finished = client.seal(ContentType::handshake, Bytes(36));
    finished.back() ^= std::byte{1};
    CHECK_TRUE(trying.judge(finished) == Verdict::drop);
    finished.back() ^= std::byte{1};
    CHECK_TRUE(trying.judge(finished) == Verdict::pass);
    CHECK_TRUE(trying.judge(finished) == Verdict::pass);
    CHECK_TRUE(trying.judge(early) == Verdict::pass);
  }
}

TEST(EarlyDataFilter, AfterARetryEverythingEncryptedIsEarlyUntilTheSecondHello) {
  filter.expect();
  judges(Verdict::pass, kHello);
  judges(Verdict::drop, early);
  judges(Verdict::pass, kChangeCipherSpec);
  judges(Verdict::drop, early);
  judges(Verdict::pass, kHello);
  judges(Verdict::pass, early);
}

TEST(EarlyDataFilter, AlertsInClearTextPass) {
  filter.expect();
  judges(Verdict::pass, kHello);
  judges(Verdict::pass, record(ContentType::alert, 2));
}

TEST(EarlyDataFilter, TakesWhatServersAnnounceAndHasAnEnd) {
  // 16 KiB of content in one record and in many small ones; empty records count, too.
  for (const std::size_t content : {16384, 100, 0}) {
    EarlyDataFilter trying;
    trying.expect();
    CHECK_TRUE(trying.judge(kHello) == Verdict::pass);
    const Bytes each = record(ContentType::application_data, content == 0 ? 0 : content + 17);
    std::size_t records = 0;
    while (trying.judge(each) == Verdict::drop) ++records;
    CHECK_TRUE(trying.exceeded());
    LONGS_EQUAL(EarlyDataFilter::kMaximumBytes / each.size(), records);
    CHECK_TRUE(records * content >= 16384 || content == 0);
    CHECK_TRUE(trying.judge(each) == Verdict::too_much);
  }
}

TEST_GROUP(HandshakeEarlyData) {
  TestAuthority authority;
  ServerOptions options;
  LibraryPeer client{MBEDTLS_SSL_IS_CLIENT};
  std::unique_ptr<Handshake> server;

  void setup() override {
    options.certificates = {authority.host("node.example")};
    options.ticket_keys = TicketKeys::make(real_now());
    client.suites({0x1301});
  }

  void feeds(const Bytes& bytes, Handshake::Step expected) {
    CHECK_TRUE(server->feed(bytes));
    LONGS_EQUAL(static_cast<int>(expected), static_cast<int>(server->step(real_now())));
  }

  // The first hello, and what the server answers.
  Bytes begin(bool offering) {
    client.start("node.example");
    client.handshake();
    server = Handshake::server(server_settings(options));
    feeds(offering ? offering_early_data(client.out) : client.out, Handshake::Step::need_more);
    client.out.clear();
    return server->take_output();
  }

  void fails_with(AlertDescription alert) {
    CHECK_TRUE(server->failure() == HandshakeFailure::malformed);
    LONGS_EQUAL(static_cast<int>(alert), server->alert());
  }
};

TEST(HandshakeEarlyData, IsPassedOverUpToItsBound) {
  CHECK_TRUE(begin(true).size() > 500);
  // In the pieces the network makes of it.
  const Bytes early = record(ContentType::application_data, 1000);
  std::size_t dropped = 0;
  for (; dropped + early.size() <= EarlyDataFilter::kMaximumBytes; dropped += early.size()) {
    CHECK_FALSE(server->feed(std::span(early).first(400)));
    feeds(Bytes(early.begin() + 400, early.end()), Handshake::Step::need_more);
    LONGS_EQUAL(0, server->input_bytes());
  }
  feeds(early, Handshake::Step::failed);
  fails_with(AlertDescription::unexpected_message);
  STRCMP_CONTAINS("early data", server->message().c_str());
  CHECK_FALSE(server->take_output().empty());
}

TEST(HandshakeEarlyData, IsAForgeryWhenItWasNotOffered) {
  begin(false);
  feeds(record(ContentType::application_data, 1000), Handshake::Step::failed);
  fails_with(AlertDescription::bad_record_mac);
}

TEST(HandshakeEarlyData, IsPassedOverBeforeASecondHello) {
  client.groups({MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519});
  Bytes retry = begin(true);
  CHECK_TRUE(retry.size() < 200);
  feeds(kChangeCipherSpec, Handshake::Step::need_more);
  for (int i = 0; i < 10; ++i)
    feeds(record(ContentType::application_data, 1000), Handshake::Step::need_more);
  client.in = retry;
  client.handshake();
  feeds(client.out, Handshake::Step::need_more);
  CHECK_TRUE(server->take_output().size() > 500);
  // After it there is none any more.
  feeds(record(ContentType::application_data, 1000), Handshake::Step::failed);
  fails_with(AlertDescription::bad_record_mac);
}
