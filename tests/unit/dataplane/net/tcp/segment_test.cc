// Segments from and to the wire: what Linux sends is read and written byte for byte, and options
// that a stranger broke cost only themselves.
#include "dataplane/net/tcp/segment.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield::net::tcp;

namespace {

std::vector<std::byte> bytes(std::initializer_list<unsigned> values) {
  std::vector<std::byte> result;
  for (const unsigned value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

// 80 -> 40000 with these options (padded with zeros to words) and flags, and two bytes of payload.
std::vector<std::byte> segment_with(std::initializer_list<unsigned> options, unsigned flags) {
  std::vector<std::byte> result =
      bytes({0x00, 0x50, 0x9c, 0x40,  0x01, 0x02, 0x03, 0x04, 0x05, 0x06,
             0x07, 0x08, 0,    flags, 0xab, 0xcd, 0x12, 0x34, 0,    0});
  for (const unsigned value : options) result.push_back(static_cast<std::byte>(value));
  result.resize((result.size() + 3) / 4 * 4);
  result[12] = static_cast<std::byte>(result.size() / 4 << 4);
  result.push_back(std::byte{'h'});
  result.push_back(std::byte{'i'});
  return result;
}

constexpr unsigned kSyn = 0x02;
constexpr unsigned kAck = 0x10;

}  // namespace

TEST_GROUP(Segment){};

TEST(Segment, FieldsArePlacedAsTheRfcDraws) {
  const std::vector<std::byte> wire = segment_with({}, 0x99);
  const auto segment = parse_segment(wire);
  CHECK(segment.has_value());
  const Header& header = segment->header;
  UNSIGNED_LONGS_EQUAL(80, header.source_port);
  UNSIGNED_LONGS_EQUAL(40000, header.destination_port);
  UNSIGNED_LONGS_EQUAL(0x01020304, header.sequence.value);
  UNSIGNED_LONGS_EQUAL(0x05060708, header.acknowledgment.value);
  UNSIGNED_LONGS_EQUAL(0xabcd, header.window);
  CHECK((header.flags == Flags{.fin = true, .psh = true, .ack = true, .cwr = true}));
  UNSIGNED_LONGS_EQUAL(2, segment->payload.size());
  POINTERS_EQUAL(wire.data() + 20, segment->payload.data());
  UNSIGNED_LONGS_EQUAL(3, segment->sequence_length());
}

TEST(Segment, ASynAsLinuxSendsItIsReadAndWrittenByteForByte) {
  const auto wire =
      bytes({0xc3, 0x50, 0x00, 0x50, 0x11, 0x22, 0x33, 0x44, 0,    0,    0, 0, 0xa0, 0x02,
             0xff, 0xff, 0,    0,    0,    0,    2,    4,    0x05, 0xb4, 4, 2, 8,    0x0a,
             0xde, 0xad, 0xbe, 0xef, 0,    0,    0,    0,    1,    3,    3, 7});
  const auto segment = parse_segment(wire);
  CHECK(segment.has_value());
  const Options& options = segment->header.options;
  UNSIGNED_LONGS_EQUAL(1460, options.maximum_segment_bytes.value_or(0));
  UNSIGNED_LONGS_EQUAL(7, options.window_shift.value_or(99));
  CHECK(options.sack_permitted);
  CHECK((options.timestamps == Timestamps{.value = 0xdeadbeef, .echo = 0}));
  UNSIGNED_LONGS_EQUAL(wire.size(), header_bytes(options));
  std::vector<std::byte> written(kMaximumHeaderBytes, std::byte{0xee});
  written.resize(write_header(segment->header, written));
  CHECK(written == wire);
}

TEST(Segment, ThreeSackBlocksFitBesideTimestampsFourAlone) {
  Header header;
  header.flags.ack = true;
  for (std::uint32_t i = 0; i < 4; ++i) {
    header.options.sack.add({.begin = {1000 * i}, .end = {1000 * i + 500}});
  }
  std::vector<std::byte> out(kMaximumHeaderBytes);
  UNSIGNED_LONGS_EQUAL(20 + 36, header_bytes(header.options));
  UNSIGNED_LONGS_EQUAL(56, write_header(header, out));
  auto reread = parse_segment(std::span(out).first(56));
  UNSIGNED_LONGS_EQUAL(4, reread->header.options.sack.count);
  CHECK((reread->header.options.sack.blocks[3] == SackBlock{.begin = {3000}, .end = {3500}}));

  header.options.timestamps = Timestamps{.value = 1, .echo = 2};
  UNSIGNED_LONGS_EQUAL(60, write_header(header, out));
  reread = parse_segment(out);
  UNSIGNED_LONGS_EQUAL(3, reread->header.options.sack.count);
  CHECK((reread->header.options.sack.blocks[0] == SackBlock{.begin = {0}, .end = {500}}));
  CHECK((reread->header.options.timestamps == Timestamps{.value = 1, .echo = 2}));
}

TEST(Segment, HeaderBytesIsWhatIsWrittenForEveryCombination) {
  for (unsigned choice = 0; choice < 16; ++choice) {
    for (std::uint32_t blocks = 0; blocks <= 4; ++blocks) {
      Header header;
      header.flags.syn = true;
      Options& options = header.options;
      if ((choice & 1) != 0) options.maximum_segment_bytes = 536;
      if ((choice & 2) != 0) options.window_shift = 14;
      options.sack_permitted = (choice & 4) != 0;
      if ((choice & 8) != 0) options.timestamps = Timestamps{.value = 7, .echo = 8};
      for (std::uint32_t i = 0; i < blocks; ++i) options.sack.add({.begin = {i}, .end = {i + 1}});
      std::vector<std::byte> out(kMaximumHeaderBytes, std::byte{0xff});
      const std::size_t length = write_header(header, out);
      UNSIGNED_LONGS_EQUAL(header_bytes(options), length);
      UNSIGNED_LONGS_EQUAL(0, length % 4);
      CHECK(length <= kMaximumHeaderBytes);
      CHECK(std::all_of(out.begin() + static_cast<std::ptrdiff_t>(length), out.end(),
                        [](std::byte byte) { return byte == std::byte{0xff}; }));
      const auto reread = parse_segment(std::span(out).first(length));
      CHECK(reread.has_value());
      CHECK(reread->header.options.maximum_segment_bytes == options.maximum_segment_bytes);
      CHECK(reread->header.options.window_shift == options.window_shift);
      CHECK(reread->header.options.sack_permitted == options.sack_permitted);
      CHECK(reread->header.options.timestamps == options.timestamps);
      CHECK(reread->header.options.sack.count >= std::min(blocks, std::uint32_t{2}));
    }
  }
}

TEST(Segment, EachFlagGoesThereAndBack) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto segment = parse_segment(segment_with({}, bits));
    std::vector<std::byte> out(kMaximumHeaderBytes);
    write_header(segment->header, out);
    UNSIGNED_LONGS_EQUAL(bits, std::to_integer<unsigned>(out[13]));
  }
}

TEST(Segment, TooShortOrShorterThanItsHeaderSaysIsNoSegment) {
  const std::vector<std::byte> wire = segment_with({1, 1, 1, 1}, kAck);
  for (std::size_t length = 0; length < 24; ++length) {
    CHECK(!parse_segment(std::span(wire).first(length)));
  }
  CHECK(parse_segment(std::span(wire).first(24)).has_value());
  std::vector<std::byte> broken = wire;
  broken[12] = std::byte{0x40};  // four words
  CHECK(!parse_segment(broken));
  broken[12] = std::byte{0xf0};
  CHECK(!parse_segment(broken));
}

TEST(Segment, AnUnknownOptionIsSkipped) {
  const auto segment =
      parse_segment(segment_with({254, 4, 9, 9, 8, 10, 0, 0, 0, 5, 0, 0, 0, 6}, kAck));
  CHECK((segment->header.options.timestamps == Timestamps{.value = 5, .echo = 6}));
}

TEST(Segment, AKnownOptionOfAWrongLengthIsIgnoredAndTheNextOneRead) {
  const auto segment = parse_segment(segment_with(
      {2, 3, 9, 3, 4, 9, 9, 4, 3, 9, 8, 4, 9, 9, 5, 9, 1, 2, 3, 4, 5, 6, 7, 5, 2, 3, 3, 6}, kSyn));
  const Options& options = segment->header.options;
  CHECK(!options.maximum_segment_bytes);
  CHECK(!options.sack_permitted);
  CHECK(!options.timestamps);
  UNSIGNED_LONGS_EQUAL(0, options.sack.count);
  UNSIGNED_LONGS_EQUAL(6, options.window_shift.value_or(99));
}

TEST(Segment, ALengthThatLeavesTheHeaderOrIsBelowTwoEndsTheOptions) {
  for (const unsigned length : {0u, 1u, 20u, 255u}) {
    const auto segment = parse_segment(segment_with({3, 3, 5, 2, length, 4, 2, 1}, kSyn));
    UNSIGNED_LONGS_EQUAL(5, segment->header.options.window_shift.value_or(99));
    CHECK(!segment->header.options.maximum_segment_bytes);
    CHECK(!segment->header.options.sack_permitted);
  }
  // A kind with no byte left for its length.
  CHECK(!parse_segment(segment_with({1, 1, 1, 4}, kSyn))->header.options.sack_permitted);
}

TEST(Segment, NothingBehindTheEndOfOptionsIsRead) {
  const auto segment = parse_segment(segment_with({0, 4, 2, 1}, kSyn));
  CHECK(!segment->header.options.sack_permitted);
}

TEST(Segment, OfARepeatedOptionTheLastCounts) {
  const auto segment = parse_segment(segment_with({2, 4, 1, 0, 2, 4, 2, 0}, kSyn));
  UNSIGNED_LONGS_EQUAL(512, segment->header.options.maximum_segment_bytes.value_or(0));
}

TEST(Segment, OptionsOfASynMeanNothingElsewhere) {
  const auto segment = parse_segment(segment_with({2, 4, 5, 0xb4, 3, 3, 7, 4, 2}, kAck));
  CHECK(!segment->header.options.maximum_segment_bytes);
  CHECK(!segment->header.options.window_shift);
  CHECK(!segment->header.options.sack_permitted);
}
