// Packets: known bytes, what is built is read again, every change of a bit is noticed.
#include "tests/sim/tcp/packet.h"

#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "tests/sim/tcp/exchange.h"

using namespace nearfield::sim::tcp;

namespace {

Segment full_segment(bool is_v6) {
  Segment segment;
  segment.source = {is_v6 ? make_v6(1) : make_v4(192, 0, 2, 1), 80};
  segment.destination = {is_v6 ? make_v6(2) : make_v4(198, 51, 100, 7), 51000};
  segment.ecn = Ecn::ect0;
  segment.sequence = 0xfffffff0;
  segment.acknowledgment = 0x01020304;
  segment.flags = kAck | kPsh;
  segment.window = 500;
  segment.timestamps = Timestamps{77, 88};
  segment.sack_blocks = {SackBlock{1, 2}, SackBlock{3, 4}, SackBlock{5, 6}, SackBlock{}};
  segment.sack_block_count = 3;
  return segment;
}

Bytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

}  // namespace

TEST_GROUP(SimTcpPacket){};

TEST(SimTcpPacket, TheChecksumOfTheRfc) {
  // RFC 1071 section 3: the sum is ddf2.
  const Bytes example = bytes_of({0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7});
  UNSIGNED_LONGS_EQUAL(0xffff - 0xddf2, internet_checksum(example));
}

TEST(SimTcpPacket, ReadsASynOfAnotherMaker) {
  // As a Linux kernel sends it over loopback: MSS 65495, SACK, timestamps, scale 7. The checksums
  // were worked out by another program.
  Bytes packet = bytes_of({0x45, 0x00, 0x00, 0x3c, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x06, 0x00, 0x00,
                           127,  0,    0,    1,    127,  0,    0,    1,    0x9c, 0x40, 0x00, 0x50,
                           0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x02, 0xff, 0xd7,
                           0x00, 0x00, 0x00, 0x00, 0x02, 0x04, 0xff, 0xd7, 0x04, 0x02, 0x08, 0x0a,
                           0x00, 0x00, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x01, 0x03, 0x03, 0x07});
  CHECK(read(packet).error() == Flaw::header_checksum);
  packet[10] = std::byte{0x20};
  packet[11] = std::byte{0x74};
  CHECK(read(packet).error() == Flaw::tcp_checksum);
  packet[36] = std::byte{0xb3};
  packet[37] = std::byte{0x6b};
  const auto syn = read(packet);
  CHECK(syn.has_value());
  UNSIGNED_LONGS_EQUAL(40'000, syn->source.port);
  UNSIGNED_LONGS_EQUAL(kSyn, syn->flags);
  UNSIGNED_LONGS_EQUAL(65495, *syn->maximum_segment_bytes);
  UNSIGNED_LONGS_EQUAL(7, *syn->window_scale);
  CHECK(syn->sack_permitted);
  UNSIGNED_LONGS_EQUAL(5, syn->timestamps->value);
}

TEST(SimTcpPacket, WhatIsBuiltIsReadAgain) {
  for (const bool is_v6 : {false, true}) {
    Segment segment = full_segment(is_v6);
    const Bytes payload(333, std::byte{9});
    segment.payload = payload;
    const Bytes packet = build(segment);
    const auto again = read(packet);
    CHECK(again.has_value());
    CHECK(again->source == segment.source && again->destination == segment.destination);
    CHECK(again->ecn == Ecn::ect0);
    UNSIGNED_LONGS_EQUAL(0xfffffff0, again->sequence);
    UNSIGNED_LONGS_EQUAL(0x01020304, again->acknowledgment);
    UNSIGNED_LONGS_EQUAL(kAck | kPsh, again->flags);
    UNSIGNED_LONGS_EQUAL(500, again->window);
    UNSIGNED_LONGS_EQUAL(88, again->timestamps->echo);
    UNSIGNED_LONGS_EQUAL(3, again->sack_block_count);
    UNSIGNED_LONGS_EQUAL(6, again->sack_blocks[2].end);
    UNSIGNED_LONGS_EQUAL(40, again->option_bytes);
    CHECK(std::ranges::equal(again->payload, payload));
  }
}

TEST(SimTcpPacket, EveryFlippedBitThatAChecksumCoversIsSeen) {
  for (const bool is_v6 : {false, true}) {
    Bytes packet = build(full_segment(is_v6));
    for (std::size_t bit = is_v6 ? 64 : 0; bit < packet.size() * 8; ++bit) {
      packet[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
      CHECK(!read(packet));
      packet[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    }
    for (std::size_t size = 0; size < packet.size(); ++size)
      CHECK(!read(std::span(packet).first(size)));
    CHECK(read(packet).has_value());
  }
}

TEST(SimTcpPacket, MarksOnlyWhatIsCapable) {
  for (const bool is_v6 : {false, true}) {
    Segment segment = full_segment(is_v6);
    Bytes packet = build(segment);
    CHECK(mark_congestion(packet));
    CHECK(read(packet)->ecn == Ecn::experienced);
    bleach_congestion(packet);
    CHECK(read(packet)->ecn == Ecn::not_capable);
    segment.ecn = Ecn::not_capable;
    packet = build(segment);
    CHECK(!mark_congestion(packet));
    CHECK(read(packet)->ecn == Ecn::not_capable);
  }
}

TEST(SimTcpPacket, TooBigQuotesThePacketToItsSender) {
  Segment segment = full_segment(false);
  const Bytes payload(1000, std::byte{1});
  segment.payload = payload;
  const Bytes packet = build(segment);
  const Bytes answer = build_packet_too_big(packet, make_v4(192, 0, 2, 254), 1280);
  UNSIGNED_LONGS_EQUAL(576, answer.size());
  UNSIGNED_LONGS_EQUAL(0, internet_checksum(std::span(answer).first(20)));
  UNSIGNED_LONGS_EQUAL(0, internet_checksum(std::span(answer).subspan(20)));
  CHECK(std::equal(answer.begin() + 16, answer.begin() + 20, packet.begin() + 12));
  CHECK(answer[20] == std::byte{3} && answer[21] == std::byte{4});
  CHECK(answer[26] == std::byte{5} && answer[27] == std::byte{0});
  CHECK(std::equal(answer.begin() + 28, answer.end(), packet.begin()));

  segment = full_segment(true);
  segment.payload = payload;
  const Bytes packet_v6 = build(segment);
  const Bytes answer_v6 = build_packet_too_big(packet_v6, make_v6(0xfe), 1280);
  CHECK(answer_v6[40] == std::byte{2} && answer_v6[41] == std::byte{0});
  CHECK(answer_v6[46] == std::byte{5} && answer_v6[47] == std::byte{0});
  CHECK(std::equal(answer_v6.begin() + 48, answer_v6.end(), packet_v6.begin()));
}

TEST_GROUP(SimTcpExchange){};

TEST(SimTcpExchange, RequestsComeBackAndNonsenseDoesNot) {
  auto bytes = encode_request({0xdeadbeef, 123'456'789, true, 654'321});
  const auto request = decode_request(bytes);
  UNSIGNED_LONGS_EQUAL(0xdeadbeef, request->connection);
  UNSIGNED_LONGS_EQUAL(123'456'789, request->answer_bytes);
  CHECK(request->server_closes);
  UNSIGNED_LONGS_EQUAL(654'321, request->body_bytes);
  bytes[2] = std::byte{1};
  CHECK(decode_request(bytes).error() == RequestFlaw::unknown_flags);
  bytes[0] = std::byte{'X'};
  CHECK(decode_request(bytes).error() == RequestFlaw::wrong_magic);
  CHECK(decode_request(encode_request({1, kMaximumAnswerBytes + 1, false})).error() ==
        RequestFlaw::answer_too_long);
  CHECK(decode_request(encode_request({1, 1, false, kMaximumBodyBytes + 1})).error() ==
        RequestFlaw::body_too_long);
}

TEST(SimTcpExchange, ThePatternKnowsItsPosition) {
  Bytes bytes;
  const std::uint64_t position = 1'048'000;  // across the table's end
  while (bytes.size() < 4000) {
    const auto piece = pattern_at(42, position + bytes.size(), 4000 - bytes.size());
    CHECK(!piece.empty());
    bytes.insert(bytes.end(), piece.begin(), piece.end());
  }
  UNSIGNED_LONGS_EQUAL(4000, first_wrong_byte(42, position, bytes));
  CHECK(first_wrong_byte(42, position + 1, bytes) < 16);
  CHECK(first_wrong_byte(43, position, bytes) < 16);
  bytes[1234] ^= std::byte{1};
  UNSIGNED_LONGS_EQUAL(1234, first_wrong_byte(42, position, bytes));
}
