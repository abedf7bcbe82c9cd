// Handshake messages after the handshake: which are read, which are refused, and how.
#include "dataplane/tls/post_handshake.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

TEST_GROUP(PostHandshake) {
  PostHandshake server13{Version::tls13, true};
  PostHandshake client13{Version::tls13, false};
  PostHandshake server12{Version::tls12, true};
  PostHandshake client12{Version::tls12, false};

  void refused(PostHandshake & reader, std::string_view record, AlertDescription alert) {
    const auto found = reader.read_record(hex(record));
    CHECK_FALSE(found.has_value());
    if (!found) STRCMP_EQUAL(name(alert).data(), name(found.error()).data());
  }
};

TEST(PostHandshake, ReadsKeyUpdates) {
  auto found = server13.read_record(hex("1800000100"));
  CHECK_TRUE(found.has_value() && found->key_update && !found->update_requested);
  found = client13.read_record(hex("1800000101"));
  CHECK_TRUE(found.has_value() && found->key_update && found->update_requested);
  CHECK_FALSE(client13.within_message());
  CHECK_TRUE(client13.read_record(key_update_message(true))->update_requested);
  CHECK_FALSE(client13.read_record(key_update_message(false))->update_requested);
}

TEST(PostHandshake, ReadsKeyUpdatesInFragments) {
  for (const char* part : {"18", "0000", "01"}) {
    const auto found = server13.read_record(hex(part));
    CHECK_TRUE(found.has_value() && !found->key_update);
    CHECK_TRUE(server13.within_message());
  }
  const auto found = server13.read_record(hex("01"));
  CHECK_TRUE(found.has_value() && found->key_update && found->update_requested);
  CHECK_FALSE(server13.within_message());
}

TEST(PostHandshake, RefusesMalformedKeyUpdates) {
  refused(server13, "1800000102", AlertDescription::illegal_parameter);
  refused(client13, "18000002", AlertDescription::decode_error);
  PostHandshake empty{Version::tls13, true};
  refused(empty, "18000000", AlertDescription::decode_error);
}

TEST(PostHandshake, AKeyUpdateEndsItsRecord) {
  refused(server13, "180000010018", AlertDescription::unexpected_message);
  refused(client13, "18000001001800000100", AlertDescription::unexpected_message);
}

TEST(PostHandshake, AClientSkipsTickets) {
  std::string ticket = "040000c8";
  for (int i = 0; i < 200; ++i) ticket += "ab";
  auto found = client13.read_record(hex(ticket + ticket + "1800000101"));
  CHECK_TRUE(found.has_value() && found->key_update && found->update_requested);
  // Byte by byte.
  for (const std::byte byte : hex(ticket)) {
    found = client13.read_record({&byte, 1});
    CHECK_TRUE(found.has_value() && !found->key_update && !found->renegotiation);
  }
  CHECK_FALSE(client13.within_message());
  // An empty message is complete with its header.
  CHECK_TRUE(client13.read_record(hex("04000000")).has_value());
  CHECK_FALSE(client13.within_message());
  refused(client13, "04010001", AlertDescription::decode_error);
}

TEST(PostHandshake, AServerReadsNothingElse) {
  for (unsigned type = 0; type < 256; ++type) {
    if (type == 24) continue;
    PostHandshake reader{Version::tls13, true};
    const std::byte first{static_cast<std::uint8_t>(type)};
    const auto found = reader.read_record({&first, 1});
    CHECK_FALSE(found.has_value());
    CHECK_TRUE(found.error() == AlertDescription::unexpected_message);
  }
}

TEST(PostHandshake, FragmentsAreNotEmpty) {
  refused(server13, "", AlertDescription::unexpected_message);
}

TEST(PostHandshake, SeesRenegotiations) {
  auto found = client12.read_record(hex("00000000"));
  CHECK_TRUE(found.has_value() && found->renegotiation && !found->key_update);
  found = server12.read_record(hex("010000050303"));
  CHECK_TRUE(found.has_value() && !found->renegotiation);
  found = server12.read_record(hex("010203"));
  CHECK_TRUE(found.has_value() && found->renegotiation);
  refused(client12, "00000001", AlertDescription::decode_error);
  refused(server12, "010100 01", AlertDescription::decode_error);
  PostHandshake again{Version::tls12, true};
  refused(again, "18", AlertDescription::unexpected_message);
  PostHandshake third{Version::tls12, false};
  refused(third, "01", AlertDescription::unexpected_message);
}
