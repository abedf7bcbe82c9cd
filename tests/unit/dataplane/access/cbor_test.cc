// CBOR of strangers: what is read, and how much work it may cause before a signature is looked at.
#include "dataplane/access/cbor.h"

#include <CppUTest/TestHarness.h>

#include <string>

using namespace nearfield::access;

TEST_GROUP(Cbor){
    static bool reads(const std::string& bytes){return parse_cbor(bytes_of(bytes)).has_value();
}
// A map from 0, 1, 2... to 0, or an array of so many zeros.
static std::string map(std::size_t entries) {
  std::string out;
  append_cbor_head(out, 5, entries);
  for (std::size_t i = 0; i < entries; ++i) {
    append_cbor_integer(out, static_cast<std::int64_t>(i));
    append_cbor_integer(out, 0);
  }
  return out;
}
static std::string array(std::size_t entries) {
  std::string out;
  append_cbor_head(out, 4, entries);
  return out.append(entries, '\0');
}
}
;

TEST(Cbor, ReadsWhatTokensAreMadeOf) {
  const std::string token(
      "\xd8\x3d\xa3\x01\x63"
      "abc\x20\x42xy\x05\x82\xf5\xfb\x3f\xf0\0\0\0\0\0\0",
      24);
  const auto item = parse_cbor(bytes_of(token));
  CHECK_TRUE(item.has_value());
  LONGS_EQUAL(61, item->integer);
  const CborItem& claims = item->children.front();
  LONGS_EQUAL(6, claims.children.size());
  STRCMP_EQUAL("abc", std::string(claims.children[1].text()).c_str());
  LONGS_EQUAL(-1, claims.children[2].integer);
  DOUBLES_EQUAL(1.0, claims.children[5].children[1].number, 0);
  std::string written;
  append_cbor(written, *item);
  CHECK_TRUE(written == token);
}

TEST(Cbor, MapsAndArraysAreBoundedInEntries) {
  CHECK_TRUE(reads(map(kMaximumCborEntries)));
  CHECK_FALSE(reads(map(kMaximumCborEntries + 1)));
  CHECK_TRUE(reads(array(kMaximumCborEntries)));
  CHECK_FALSE(reads(array(kMaximumCborEntries + 1)));
  // Of what is announced nothing is read or reserved.
  for (const int major : {4, 5}) {
    for (const std::uint64_t entries :
         {std::uint64_t{65}, std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
      std::string huge;
      append_cbor_head(huge, major, entries);
      CHECK_FALSE(reads(huge + std::string(8000, '\0')));
    }
  }
}

TEST(Cbor, NestingIsBounded) {
  const auto nested = [](int depth) {
    return std::string(static_cast<std::size_t>(depth), '\x81') + '\0';
  };
  CHECK_TRUE(reads(nested(kMaximumCborDepth)));
  CHECK_FALSE(reads(nested(kMaximumCborDepth + 1)));
  CHECK_FALSE(reads(nested(6000)));
  // Tags are levels too.
  CHECK_FALSE(reads(std::string(6000, '\xc1') + '\0'));
}

TEST(Cbor, ItemsAreBoundedInAll) {
  const auto grid = [](std::size_t rows) {
    std::string out;
    append_cbor_head(out, 4, rows);
    for (std::size_t i = 0; i < rows; ++i) out += array(63);
    return out;
  };
  CHECK_TRUE(reads(grid(7)));   // 1 + 7 * 64
  CHECK_FALSE(reads(grid(8)));  // 1 + 8 * 64
}

TEST(Cbor, RefusesWhatIsNotOneWholeItem) {
  for (const std::string& bad :
       {std::string(), std::string("\x01\x01"), std::string("\x82\x01"), std::string("\x42x"),
        std::string("\x9f\x01\xff"), std::string("\x5f\x41x\xff"), std::string("\xa1\x01"),
        std::string("\xa2\x01\x02\x01\x03"),
        std::string("\xa2\x61"
                    "a\x02\x61"
                    "a\x03"),
        std::string("\xa1\x41x\x01"), std::string("\xc1"), std::string("\x1c")}) {
    CHECK_FALSE(reads(bad));
  }
}
