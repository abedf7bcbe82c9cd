// The Internet checksum: all ways of summing agree with the definition, however bytes are cut.
#include "dataplane/net/ip/checksum.h"

#include <random>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

namespace {

// RFC 1071 as it is written down: words in network byte order, end-around carry.
std::uint16_t by_definition(std::span<const std::byte> bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += std::to_integer<std::uint32_t>(bytes[i]) << (i % 2 == 0 ? 8 : 0);
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<std::uint16_t>(~sum);
}

Bytes random_bytes(std::mt19937& random, std::size_t size) {
  Bytes result(size);
  for (std::byte& byte : result) byte = static_cast<std::byte>(random());
  return result;
}

}  // namespace

TEST_GROUP(Checksum) { std::mt19937 random{1}; };

TEST(Checksum, TheExampleOfTheRfc) {
  Checksum checksum;
  checksum.add(hex("00 01 f2 03 f4 f5 f6 f7"));
  UNSIGNED_LONGS_EQUAL(static_cast<std::uint16_t>(~0xddf2), checksum.finish());
  UNSIGNED_LONGS_EQUAL(0xddf2, partial(checksum));
}

TEST(Checksum, AllWaysAgreeForEveryLengthAndAlignment) {
  const Bytes buffer = random_bytes(random, 2100);
  for (std::size_t offset = 0; offset < 33; ++offset) {
    for (std::size_t size = 0; size < 2048; size += size < 300 ? 1 : 61) {
      const auto bytes = std::span(buffer).subspan(offset, size);
      const std::uint16_t portable = folded(portable_sum(bytes));
      if (has_vector_sum()) CHECK(folded(vector_sum(bytes)) == portable);
      Checksum checksum;
      checksum.add(bytes);
      CHECK(checksum.finish() == by_definition(bytes));
    }
  }
}

TEST(Checksum, AllOnesCarryThroughEveryFold) {
  const Bytes ones(1 << 17, std::byte{0xff});
  UNSIGNED_LONGS_EQUAL(0xffff, folded(portable_sum(ones)));
  if (has_vector_sum()) UNSIGNED_LONGS_EQUAL(0xffff, folded(vector_sum(ones)));
  UNSIGNED_LONGS_EQUAL(0xffff, folded(~std::uint64_t{0}));
  UNSIGNED_LONGS_EQUAL(0, folded(0));
  Checksum checksum;
  checksum.add(ones);
  UNSIGNED_LONGS_EQUAL(0, checksum.finish());
}

TEST(Checksum, CutsDoNotMatterOddOnesNeither) {
  const Bytes buffer = random_bytes(random, 9000);
  for (int turn = 0; turn < 300; ++turn) {
    std::span<const std::byte> left = std::span(buffer).first(random() % buffer.size());
    const std::uint16_t expected = by_definition(left);
    Checksum checksum;
    while (!left.empty()) {
      const std::size_t piece = std::min<std::size_t>(left.size(), random() % 700);
      checksum.add(left.first(piece));
      left = left.subspan(piece);
    }
    CHECK(checksum.finish() == expected);
  }
}

TEST(Checksum, AWordBehindAnOddByteIsTwoBytesToo) {
  Checksum checksum;
  checksum.add(hex("ab"));
  checksum.add_word(0x1234);
  checksum.add(hex("cd"));
  CHECK(checksum.finish() == by_definition(hex("ab 1234 cd")));
}

TEST(Checksum, APacketThatHoldsItsChecksumSumsToZero) {
  Checksum checksum;  // an IPv4 header
  checksum.add(hex("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7"));
  UNSIGNED_LONGS_EQUAL(0, checksum.finish());
}

TEST(Checksum, PseudoHeadersOfBothFamilies) {
  CHECK(pseudo_header(address("192.0.2.1"), address("198.51.100.2"), 6, 1000).finish() ==
        by_definition(hex("c0000201 c6336402 00 06 03e8")));
  CHECK(pseudo_header(address("2001:db8::1"), address("2001:db8::2"), 58, 0x12345).finish() ==
        by_definition(hex("20010db8000000000000000000000001 20010db8000000000000000000000002"
                          "00012345 000000 3a")));
}

TEST(Checksum, AnUpdateIsAsIfSummedAnew) {
  for (int turn = 0; turn < 20000; ++turn) {
    Bytes bytes = random_bytes(random, 20);
    if (turn % 3 == 0) std::fill(bytes.begin() + 2, bytes.end(), std::byte{0xff});
    const auto from = static_cast<std::uint16_t>(std::to_integer<unsigned>(bytes[0]) << 8 |
                                                 std::to_integer<unsigned>(bytes[1]));
    const std::uint16_t before = by_definition(bytes);
    const auto to = static_cast<std::uint16_t>(turn % 5 == 0 ? 0 : random());
    bytes[0] = static_cast<std::byte>(to >> 8);
    bytes[1] = static_cast<std::byte>(to & 0xff);
    UNSIGNED_LONGS_EQUAL(by_definition(bytes), updated_checksum(before, from, to));
  }
}
