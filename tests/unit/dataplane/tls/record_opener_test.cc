// The receiving direction: what peers send when they behave, and each way in which they may not.
#include "dataplane/tls/record_opener.h"

#include <memory>
#include <optional>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

using Event = RecordOpener::Event;

namespace {

// Everything a run of feed() reported.
struct Collected {
  Bytes data;
  std::vector<RecordOpener::Step> events;  // without data and need_more
  AlertDescription error = AlertDescription::close_notify;
  bool failed = false;
};

void append(Bytes& to, std::span<const std::byte> more) {
  to.insert(to.end(), more.begin(), more.end());
}

Bytes text(std::string_view characters) {
  const auto bytes = std::as_bytes(std::span(characters));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_GROUP(RecordOpener) {
  RecordOpener::Workspace workspace{engine()};
  Random random{5};

  void feed(RecordOpener & opener, std::span<const std::byte> in, Collected & to) {
    for (;;) {
      const RecordOpener::Step step = opener.feed(in);
      CHECK_TRUE(step.consumed <= in.size());
      in = in.subspan(step.consumed);
      if (step.event == Event::need_more) {
        CHECK_TRUE(in.empty());
        return;
      }
      if (step.event == Event::error) {
        CHECK_TRUE(in.empty());
        to.failed = true;
        to.error = step.alert;
        return;
      }
      if (step.event == Event::application_data) {
        CHECK_FALSE(step.data.empty());
        append(to.data, step.data);
      } else {
        to.events.push_back(step);
      }
    }
  }

  Collected feed_all(RecordOpener & opener, std::span<const std::byte> in) {
    Collected collected;
    feed(opener, in, collected);
    return collected;
  }

  // `record` after nothing else is answered by `alert`, and so is all that follows.
  void refused(const ConnectionSecrets& secrets, std::span<const std::byte> record,
               AlertDescription alert, bool is_server = true) {
    RecordOpener opener(workspace, secrets, is_server);
    const Collected collected = feed_all(opener, record);
    CHECK_TRUE(collected.failed);
    STRCMP_EQUAL(name(alert).data(), name(collected.error).data());
    CHECK_TRUE(collected.data.empty());
    CHECK_FALSE(opener.closed());
    LONGS_EQUAL(0, opener.buffer_bytes());
    const auto again = opener.feed(text("anything"));
    CHECK_TRUE(again.event == Event::error && again.alert == alert);
    LONGS_EQUAL(8, again.consumed);
  }

  const ConnectionSecrets tls13 = server_secrets(Version::tls13, Aead::aes_128_gcm);
  const ConnectionSecrets tls12 = server_secrets(Version::tls12, Aead::aes_128_gcm);
};

// RFC 8448 3, as the server sees the client and as the client sees the server.
TEST(RecordOpener, OpensTheRecordsOfRfc8448) {
  const Bytes client_secret =
      hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
  const Bytes server_secret =
      hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643");
  const char* plaintext =
      "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d"
      "2e2f3031";
  for (const AeadEngine* with : engines()) {
    RecordOpener::Workspace own(*with);
    RecordOpener server(
        own, tls13_secrets(Aead::aes_128_gcm, Hash::sha256, client_secret, server_secret, true),
        true);
    const Collected from_client = feed_all(
        server, hex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b4"
                    "6b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4"
                    "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"));
    STRCMP_EQUAL(plaintext, to_hex(from_client.data).c_str());
    LONGS_EQUAL(1, from_client.events.size());
    CHECK_TRUE(from_client.events[0].event == Event::alert && !from_client.events[0].fatal);
    CHECK_TRUE(from_client.events[0].alert == AlertDescription::close_notify);
    CHECK_TRUE(server.closed());

    // The server's record 0 is its ticket.
    ConnectionSecrets secrets =
        tls13_secrets(Aead::aes_128_gcm, Hash::sha256, client_secret, server_secret, false);
    secrets.receive.next_sequence = 1;
    RecordOpener client(own, secrets, false);
    const Collected from_server = feed_all(
        client, hex("17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90"
                    "e6dffc602dcb501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d"
                    "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"));
    STRCMP_EQUAL(plaintext, to_hex(from_server.data).c_str());
    CHECK_TRUE(client.closed());
  }
}

TEST(RecordOpener, OpensEverySizeOfEverySuite) {
  for (const Version version : kVersions) {
    for (const Aead aead : kAeads) {
      const ConnectionSecrets secrets = server_secrets(version, aead);
      Peer peer(secrets);
      RecordOpener opener(workspace, secrets, true);
      for (std::size_t size = 1; size <= kMaximumPlaintext;
           size += size < 300 || size > 16300 ? 1 : 1 + random.below(60)) {
        const Bytes plaintext = random.bytes(size);
        const Bytes record = peer.seal(ContentType::application_data, plaintext);
        const auto step = opener.feed(record);
        CHECK_TRUE(step.event == Event::application_data);
        LONGS_EQUAL(record.size(), step.consumed);
        LONGS_EQUAL(size, step.data.size());
        MEMCMP_EQUAL(plaintext.data(), step.data.data(), size);
      }
      LONGS_EQUAL(0, opener.buffer_bytes());
    }
  }
}

TEST(RecordOpener, InputMayBeCutAnywhere) {
  for (const Version version : kVersions) {
    for (const Aead aead : kAeads) {
      const ConnectionSecrets secrets = server_secrets(version, aead);
      Peer peer(secrets);
      Bytes stream = peer.seal(ContentType::application_data, text("hello "));
      append(stream, peer.seal(ContentType::application_data, {}));
      append(stream, peer.seal(ContentType::application_data, text("world")));
      append(stream, peer.seal(ContentType::alert, hex("0100")));
      for (std::size_t at = 0; at <= stream.size(); ++at) {
        RecordOpener opener(workspace, secrets, true);
        Collected collected;
        feed(opener, std::span(stream).first(at), collected);
        feed(opener, std::span(stream).subspan(at), collected);
        CHECK_TRUE(collected.data == text("hello world"));
        CHECK_TRUE(opener.closed());
      }
      RecordOpener opener(workspace, secrets, true);
      Collected collected;
      for (const std::byte& byte : stream) feed(opener, {&byte, 1}, collected);
      CHECK_TRUE(collected.data == text("hello world"));
      CHECK_TRUE(opener.closed());
    }
  }
}

TEST(RecordOpener, HoldsOnlyACutRecordAndOnlyItsSize) {
  Peer peer(tls13);
  RecordOpener opener(workspace, tls13, true);
  const Bytes record = peer.seal(ContentType::application_data, random.bytes(1000));
  LONGS_EQUAL(0, opener.buffer_bytes());
  CHECK_TRUE(opener.feed(std::span(record).first(5)).event == Event::need_more);
  LONGS_EQUAL(0, opener.buffer_bytes());  // a header alone costs nothing
  opener.feed(std::span(record).subspan(5, 1));
  LONGS_EQUAL(record.size() - 5, opener.buffer_bytes());
  CHECK_TRUE(opener.feed(std::span(record).subspan(6)).event == Event::application_data);
  LONGS_EQUAL(0, opener.buffer_bytes());
}

TEST(RecordOpener, EveryFlippedBitIsFound) {
  for (const Version version : kVersions) {
    for (const Aead aead : kAeads) {
      const ConnectionSecrets secrets = server_secrets(version, aead);
      const Bytes record = Peer(secrets).seal(ContentType::application_data, random.bytes(40));
      for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
        Bytes changed = record;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        append(changed, Bytes(kMaximumRecordBytes));  // for lengths that grew
        RecordOpener opener(workspace, secrets, true);
        const Collected collected = feed_all(opener, changed);
        CHECK_TRUE(collected.failed && collected.data.empty());
        if (bit / 8 >= kRecordHeaderBytes) {
          CHECK_TRUE(collected.error == AlertDescription::bad_record_mac);
        }
      }
    }
  }
}

TEST(RecordOpener, RecordsAreOpenedInTheirOrderOnly) {
  for (const Version version : kVersions) {
    const ConnectionSecrets secrets = server_secrets(version, Aead::aes_128_gcm);
    Peer peer(secrets);
    const Bytes first = peer.seal(ContentType::application_data, text("first"));
    const Bytes second = peer.seal(ContentType::application_data, text("second"));
    refused(secrets, second, AlertDescription::bad_record_mac);
    RecordOpener opener(workspace, secrets, true);
    CHECK_TRUE(feed_all(opener, first).data == text("first"));
    CHECK_TRUE(feed_all(opener, first).error == AlertDescription::bad_record_mac);  // a replay
  }
}

TEST(RecordOpener, StripsPadding) {
  RecordOpener opener(workspace, tls13, true);
  Peer peer(tls13);
  for (const std::size_t padding : {0u, 1u, 255u, 16379u}) {
    Bytes inner = text("data");
    inner.push_back(std::byte{23});
    inner.resize(inner.size() + padding);
    CHECK_TRUE(feed_all(opener, peer.seal_inner(inner)).data == text("data"));
  }
  // Data may end in zeros itself.
  Bytes inner = hex("0000");
  inner.push_back(std::byte{23});
  LONGS_EQUAL(2, feed_all(opener, peer.seal_inner(inner)).data.size());
}

TEST(RecordOpener, PaddingAloneIsNoRecord) {
  refused(tls13, Peer(tls13).seal_inner(Bytes(1)), AlertDescription::unexpected_message);
  refused(tls13, Peer(tls13).seal_inner(Bytes(100)), AlertDescription::unexpected_message);
}

TEST(RecordOpener, RefusesRecordsThatAreTooLong) {
  // The longest inner plaintext passes, one more does not (RFC 8446 5.4).
  Bytes inner(kMaximumPlaintext, std::byte{'x'});
  inner.push_back(std::byte{23});
  RecordOpener opener(workspace, tls13, true);
  LONGS_EQUAL(kMaximumPlaintext, feed_all(opener, Peer(tls13).seal_inner(inner)).data.size());
  inner.push_back(std::byte{0});
  refused(tls13, Peer(tls13).seal_inner(inner), AlertDescription::record_overflow);
  refused(tls13, hex("1703034101"), AlertDescription::record_overflow);  // RFC 8446 5.2
  refused(tls13, hex("170303ffff"), AlertDescription::record_overflow);
  refused(tls12, hex("1703034019"), AlertDescription::record_overflow);
  refused(server_secrets(Version::tls12, Aead::chacha20_poly1305), hex("1703034011"),
          AlertDescription::record_overflow);
}

TEST(RecordOpener, RefusesRecordsWithoutRoomForATag) {
  refused(tls13, hex("1703030000"), AlertDescription::decode_error);
  refused(tls13, hex("1703030010"), AlertDescription::decode_error);
  refused(tls12, hex("1703030017"), AlertDescription::decode_error);
}

TEST(RecordOpener, RefusesOtherVersionsOfTheRecord) {
  refused(tls13, hex("1703010020"), AlertDescription::protocol_version);
  refused(tls12, hex("1602030020"), AlertDescription::protocol_version);
}

// RFC 8446 5: after the peer's Finished nothing is in clear text, not even the change_cipher_spec
// of the compatibility mode.
TEST(RecordOpener, RefusesOtherTypesOfRecords) {
  refused(tls13, hex("140303000101"), AlertDescription::unexpected_message);
  refused(tls13, hex("15030300020100"), AlertDescription::unexpected_message);
  refused(tls13, hex("1603030005"), AlertDescription::unexpected_message);
  refused(tls12, hex("140303000101"), AlertDescription::unexpected_message);
  refused(tls12, hex("1803030020"), AlertDescription::unexpected_message);
  refused(tls13, text("GET / HTTP/1.1\r\n"), AlertDescription::unexpected_message);
  // Inside a protected record of TLS 1.3.
  for (const char* inner : {"0114", "0118", "0100ff", "0101"}) {
    refused(tls13, Peer(tls13).seal_inner(hex(inner)), AlertDescription::unexpected_message);
  }
}

TEST(RecordOpener, EmptyRecordsAreBounded) {
  for (const ConnectionSecrets& secrets : {tls12, tls13}) {
    Peer peer(secrets);
    RecordOpener opener(workspace, secrets, true);
    Bytes stream;
    for (int round = 0; round < 3; ++round) {  // data makes up for them
      for (unsigned i = 0; i < RecordOpener::kMaximumIdleRecords; ++i) {
        append(stream, peer.seal(ContentType::application_data, {}));
      }
      append(stream, peer.seal(ContentType::application_data, text("x")));
    }
    CHECK_TRUE(feed_all(opener, stream).data == text("xxx"));
    stream.clear();
    for (unsigned i = 0; i <= RecordOpener::kMaximumIdleRecords; ++i) {
      append(stream, peer.seal(ContentType::application_data, {}));
    }
    const Collected collected = feed_all(opener, stream);
    CHECK_TRUE(collected.failed);
    CHECK_TRUE(collected.error == AlertDescription::unexpected_message);
  }
}

TEST(RecordOpener, FollowsKeyUpdates) {
  for (const Aead aead : kAeads) {
    const ConnectionSecrets secrets = server_secrets(Version::tls13, aead);
    Peer peer(secrets);
    RecordOpener opener(workspace, secrets, true);
    Bytes stream;
    for (int i = 0; i < 100; ++i) {
      append(stream, peer.seal(ContentType::application_data, text("a")));
      append(stream, peer.seal(ContentType::handshake, key_update_message(i % 3 == 0)));
      peer.update_keys();
    }
    append(stream, peer.seal(ContentType::application_data, text("z")));
    Collected collected;
    Random cuts(9);
    for (std::size_t at = 0; at < stream.size();) {
      const std::size_t size = std::min(1 + cuts.below(60), stream.size() - at);
      feed(opener, std::span(stream).subspan(at, size), collected);
      at += size;
    }
    CHECK_FALSE(collected.failed);
    LONGS_EQUAL(101, collected.data.size());
    LONGS_EQUAL(100, collected.events.size());
    for (std::size_t i = 0; i < 100; ++i) {
      CHECK_TRUE(collected.events[i].event == Event::key_update);
      CHECK_TRUE(collected.events[i].update_requested == (i % 3 == 0));
    }
  }
}

TEST(RecordOpener, SharesItsWorkspaceWithOthers) {
  const ConnectionSecrets others[] = {tls13, tls12, server_secrets(Version::tls13, kAeads[2])};
  std::vector<Peer> peers(std::begin(others), std::end(others));
  std::vector<std::unique_ptr<RecordOpener>> openers;
  for (const ConnectionSecrets& secrets : others)
    openers.push_back(std::make_unique<RecordOpener>(workspace, secrets, true));
  for (int turn = 0; turn < 200; ++turn) {
    const std::size_t index = random.below(peers.size());
    Peer& peer = peers[index];
    Bytes stream = peer.seal(ContentType::application_data, text("some"));
    if (others[index].version == Version::tls13 && random.below(4) == 0) {
      append(stream, peer.seal(ContentType::handshake, hex("1800000100")));
      peer.update_keys();
    }
    append(stream, peer.seal(ContentType::application_data, text(" more")));
    CHECK_TRUE(feed_all(*openers[index], stream).data == text("some more"));
  }
  // Another connection at the place in memory of one that ended.
  std::optional<RecordOpener> place;
  for (const Version version : kVersions) {
    const ConnectionSecrets secrets = server_secrets(version, Aead::aes_256_gcm);
    place.emplace(workspace, secrets, true);
    Peer peer(secrets);
    CHECK_TRUE(feed_all(*place, peer.seal(ContentType::application_data, text("x"))).data ==
               text("x"));
  }
}

TEST(RecordOpener, TheOldKeysEndWithTheKeyUpdate) {
  Peer peer(tls13);
  Bytes stream = peer.seal(ContentType::handshake, key_update_message(false));
  append(stream, peer.seal(ContentType::application_data, text("old key")));
  RecordOpener opener(workspace, tls13, true);
  const Collected collected = feed_all(opener, stream);
  LONGS_EQUAL(1, collected.events.size());
  CHECK_TRUE(collected.failed && collected.error == AlertDescription::bad_record_mac);
}

TEST(RecordOpener, KeyUpdatesWithoutDataAreBounded) {
  Peer peer(tls13);
  RecordOpener opener(workspace, tls13, true);
  for (unsigned i = 0; i <= RecordOpener::kMaximumIdleRecords; ++i) {
    const Collected collected =
        feed_all(opener, peer.seal(ContentType::handshake, key_update_message(true)));
    peer.update_keys();
    CHECK_TRUE(collected.failed == (i == RecordOpener::kMaximumIdleRecords));
  }
}

TEST(RecordOpener, NothingComesBetweenTheFragmentsOfAMessage) {
  Peer peer(tls13);
  Bytes stream = peer.seal(ContentType::handshake, hex("1800"));
  append(stream, peer.seal(ContentType::handshake, hex("000100")));
  peer.update_keys();
  append(stream, peer.seal(ContentType::application_data, text("x")));
  RecordOpener opener(workspace, tls13, true);
  const Collected collected = feed_all(opener, stream);
  CHECK_TRUE(!collected.failed && collected.data == text("x"));

  for (const ContentType type : {ContentType::application_data, ContentType::alert}) {
    Peer other(tls13);
    Bytes interleaved = other.seal(ContentType::handshake, hex("1800"));
    append(interleaved, other.seal(type, hex("0100")));
    refused(tls13, interleaved, AlertDescription::unexpected_message);
  }
  refused(tls13, Peer(tls13).seal(ContentType::handshake, {}),
          AlertDescription::unexpected_message);
}

TEST(RecordOpener, TicketsAreForClients) {
  const Bytes ticket = hex("0400000cabababababababababababab");
  refused(tls13, Peer(tls13).seal(ContentType::handshake, ticket),
          AlertDescription::unexpected_message);
  Peer peer(tls13);
  Bytes stream = peer.seal(ContentType::handshake, ticket);
  append(stream, peer.seal(ContentType::application_data, text("x")));
  RecordOpener client(workspace, tls13, false);
  const Collected collected = feed_all(client, stream);
  CHECK_TRUE(!collected.failed && collected.events.empty() && collected.data == text("x"));
  Bytes many;
  for (unsigned i = 0; i <= RecordOpener::kMaximumIdleRecords; ++i) {
    append(many, peer.seal(ContentType::handshake, ticket));
  }
  CHECK_TRUE(feed_all(client, many).failed);
}

TEST(RecordOpener, AlertsOfTls13AreFatalByTheirDescription) {
  const auto alert = [this](std::string_view bytes) {
    RecordOpener opener(workspace, tls13, true);
    const Collected collected = feed_all(opener, Peer(tls13).seal(ContentType::alert, hex(bytes)));
    CHECK_FALSE(collected.failed);
    LONGS_EQUAL(1, collected.events.size());
    return collected.events.at(0);
  };
  CHECK_FALSE(alert("0100").fatal);
  CHECK_FALSE(alert("0200").fatal);
  CHECK_FALSE(alert("015a").fatal);
  CHECK_TRUE(alert("0114").fatal);
  CHECK_TRUE(alert("0150").fatal);
  CHECK_TRUE(alert("01ff").fatal);
  CHECK_TRUE(alert("0114").alert == AlertDescription::bad_record_mac);
}

TEST(RecordOpener, AlertsOfTls12AreFatalByTheirLevel) {
  Peer peer(tls12);
  RecordOpener opener(workspace, tls12, true);
  Collected collected = feed_all(opener, peer.seal(ContentType::alert, hex("0164")));
  CHECK_TRUE(collected.events.at(0).event == Event::alert && !collected.events[0].fatal);
  CHECK_TRUE(collected.events[0].alert == AlertDescription::no_renegotiation);
  collected = feed_all(opener, peer.seal(ContentType::alert, hex("0228")));
  CHECK_TRUE(collected.events.at(0).fatal);
  CHECK_FALSE(opener.closed());  // over, but not orderly
  refused(tls12, Peer(tls12).seal(ContentType::alert, hex("0364")),
          AlertDescription::illegal_parameter);
}

TEST(RecordOpener, MalformedAlertsAreRefused) {
  for (const char* bytes : {"", "01", "010001", "01000100"}) {
    for (const ConnectionSecrets& secrets : {tls12, tls13}) {
      refused(secrets, Peer(secrets).seal(ContentType::alert, hex(bytes)),
              AlertDescription::decode_error);
    }
  }
}

TEST(RecordOpener, WarningsAreBounded) {
  Peer peer(tls12);
  RecordOpener opener(workspace, tls12, true);
  Bytes stream;
  for (unsigned i = 0; i <= RecordOpener::kMaximumIdleRecords; ++i) {
    append(stream, peer.seal(ContentType::alert, hex("0164")));
  }
  const Collected collected = feed_all(opener, stream);
  LONGS_EQUAL(RecordOpener::kMaximumIdleRecords, collected.events.size());
  CHECK_TRUE(collected.failed);
}

TEST(RecordOpener, WhatFollowsTheEndIsIgnored) {
  for (const char* last : {"0100", "0228"}) {
    Peer peer(tls13);
    Bytes stream = peer.seal(ContentType::alert, hex(last));
    append(stream, peer.seal(ContentType::application_data, text("late")));
    append(stream, text("and this is no record at all"));
    RecordOpener opener(workspace, tls13, true);
    const auto step = opener.feed(stream);
    CHECK_TRUE(step.event == Event::alert);
    LONGS_EQUAL(stream.size(), step.consumed);
    const auto after = opener.feed(text("more"));
    CHECK_TRUE(after.event == Event::need_more);
    LONGS_EQUAL(4, after.consumed);
  }
}

TEST(RecordOpener, RenegotiationsAreReportedAndBounded) {
  Peer peer(tls12);
  RecordOpener server(workspace, tls12, true);
  for (unsigned i = 0; i <= RecordOpener::kMaximumRenegotiations; ++i) {
    Bytes stream = peer.seal(ContentType::handshake, hex("010000020303"));
    append(stream, peer.seal(ContentType::application_data, text("x")));
    const Collected collected = feed_all(server, stream);
    if (i < RecordOpener::kMaximumRenegotiations) {
      CHECK_TRUE(collected.events.at(0).event == Event::renegotiation);
      CHECK_TRUE(collected.data == text("x"));
    } else {
      CHECK_TRUE(collected.failed);
    }
  }
  RecordOpener client(workspace, tls12, false);
  const Collected collected =
      feed_all(client, Peer(tls12).seal(ContentType::handshake, hex("00000000")));
  CHECK_TRUE(collected.events.at(0).event == Event::renegotiation);
}

// RFC 5288 3: the explicit nonce is the peer's to choose.
TEST(RecordOpener, TakesTheExplicitNonceOfTls12FromTheRecord) {
  ExpandedKey key;
  engine().expand(tls12.aead, std::span(tls12.receive.key).first(16), key);
  const Bytes plaintext = text("chosen nonce");
  Bytes record = hex("1703030000 1122334455667788");
  record[4] = static_cast<std::byte>(8 + plaintext.size() + 16);
  Nonce nonce;
  std::ranges::copy(std::span(tls12.receive.iv).first(4), nonce.begin());
  std::ranges::copy(std::span(record).subspan(5), nonce.begin() + 4);
  Bytes aad = hex("0000000000000001 170303 0000");  // record 1: 0 was the Finished
  aad[12] = static_cast<std::byte>(plaintext.size());
  record.resize(record.size() + plaintext.size() + kTagBytes);
  const iovec one = piece(plaintext);
  engine().seal(tls12.aead, key, nonce, aad, {&one, 1}, {}, record.data() + 13,
                record.data() + 13 + plaintext.size());
  RecordOpener opener(workspace, tls12, true);
  CHECK_TRUE(feed_all(opener, record).data == plaintext);
}

TEST(RecordOpener, SequenceNumbersDoNotWrap) {
  ConnectionSecrets secrets = tls13;
  secrets.receive.next_sequence = ~std::uint64_t{0} - 1;
  Peer peer(secrets);
  RecordOpener opener(workspace, secrets, true);
  CHECK_TRUE(feed_all(opener, peer.seal(ContentType::application_data, text("x"))).data.size() ==
             1);
  CHECK_TRUE(feed_all(opener, peer.seal(ContentType::application_data, text("x"))).error ==
             AlertDescription::unexpected_message);
}
