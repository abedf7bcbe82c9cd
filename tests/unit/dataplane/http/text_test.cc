// The grammar pieces that all field parsers stand on.
#include "dataplane/http/text.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

namespace {

std::string elements(std::string_view value) {
  std::string out;
  ListReader list(value);
  while (const auto element = list.next()) out += "[" + std::string(*element) + "]";
  return out;
}

}  // namespace

TEST_GROUP(HttpText){};

TEST(HttpText, ListsRespectQuotesAndSkipEmptyMembers) {
  TEXT_EQUAL("[a][b]", elements("a,b"));
  TEXT_EQUAL("[a][b c]", elements(" , a ,\t b c ,,"));
  TEXT_EQUAL("[a=\"x, y\"][b]", elements("a=\"x, y\", b"));
  TEXT_EQUAL("[\"a\\\", b\"][c]", elements("\"a\\\", b\",c"));
  TEXT_EQUAL("[a][\"open, b]", elements("a, \"open, b"));
  TEXT_EQUAL("[\"end\\]", elements("\"end\\"));
  TEXT_EQUAL("", elements(""));
  TEXT_EQUAL("", elements(" ,\t, "));
}

TEST(HttpText, ListContainsIgnoresCaseOfWholeElements) {
  CHECK(list_contains("foo, Close", "close"));
  CHECK_FALSE(list_contains("foo, closed", "close"));
  CHECK_FALSE(list_contains("\"close\"", "close"));
}

TEST(HttpText, DecimalsAreDigitsOnly) {
  CHECK(parse_decimal("0") == 0);
  CHECK(parse_decimal("007") == 7);
  CHECK(parse_decimal("18446744073709551615") == UINT64_MAX);
  for (std::string_view bad : {"", "+1", "-1", " 1", "1 ", "0x1", "1.0", "18446744073709551616"}) {
    CHECK_FALSE(parse_decimal(bad).has_value());
  }
}

TEST(HttpText, TokensAndValues) {
  CHECK(is_token("X-Foo!#$%&'*+.^_`|~9"));
  for (std::string_view bad : {"", "a b", "a:", "a\"", "a(", "a\x80", "a/"})
    CHECK_FALSE(is_token(bad));
  CHECK(is_field_value("a\tb \x80\xff"));
  CHECK_FALSE(is_field_value("a\rb"));
  CHECK_FALSE(is_field_value(std::string_view("\0", 1)));
  CHECK_FALSE(is_field_value("\x7f"));
}

TEST(HttpText, HexDigitsOfBothCasesHaveAValueAndNothingElseHas) {
  std::string digits;
  for (int c = 0; c < 256; ++c) {
    if (hex_value(static_cast<char>(c)) >= 0) digits += static_cast<char>(c);
  }
  TEXT_EQUAL("0123456789ABCDEFabcdef", digits);
  LONGS_EQUAL(0, hex_value('0'));
  LONGS_EQUAL(10, hex_value('A'));
  LONGS_EQUAL(15, hex_value('f'));
}
