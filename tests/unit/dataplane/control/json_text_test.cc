// JSON strings from hostile bytes.
#include "dataplane/control/json_text.h"

#include <boost/json.hpp>
#include <random>

#include "CppUTest/TestHarness.h"

using namespace nearfield::control;

namespace {
std::string quoted(std::string_view bytes) {
  std::string out;
  append_json_string(out, bytes);
  return out;
}
}  // namespace

TEST_GROUP(JsonText){};

TEST(JsonText, LeavesPlainTextAlone) {
  STRCMP_EQUAL("\"\"", quoted("").c_str());
  STRCMP_EQUAL("\"/album/01.mp4\"", quoted("/album/01.mp4").c_str());
  STRCMP_EQUAL(
      "\"Sm\xc3\xb8rrebr\xc3\xb8"
      "d \xe2\x99\xab \xf0\x9f\x8e\xbb\"",
      quoted("Sm\xc3\xb8rrebr\xc3\xb8"
             "d \xe2\x99\xab \xf0\x9f\x8e\xbb")
          .c_str());
}

TEST(JsonText, EscapesWhatWouldEndTheStringOrTheLine) {
  STRCMP_EQUAL(R"("a\"b\\c\n\r\t\u0000\u001b\u007f")",
               quoted(std::string_view("a\"b\\c\n\r\t\0\x1b\x7f", 11)).c_str());
  STRCMP_EQUAL(R"("\u2028\u2029")", quoted("\xe2\x80\xa8\xe2\x80\xa9").c_str());
}

TEST(JsonText, ReplacesWhatIsNotUtf8) {
  const std::string bad = "\xef\xbf\xbd";
  STRCMP_EQUAL(("\"" + bad + "\"").c_str(), quoted("\xff").c_str());
  STRCMP_EQUAL(("\"" + bad + bad + "\"").c_str(), quoted("\xc0\xaf").c_str());  // overlong
  STRCMP_EQUAL(("\"" + bad + bad + bad + "\"").c_str(),
               quoted("\xed\xa0\x80").c_str());  // a surrogate
  STRCMP_EQUAL(("\"" + bad + bad + bad + bad + "\"").c_str(),
               quoted("\xf4\x90\x80\x80").c_str());                               // beyond Unicode
  STRCMP_EQUAL(("\"" + bad + bad + "x\"").c_str(), quoted("\xe2\x80x").c_str());  // cut short
  STRCMP_EQUAL(("\"a" + bad + "\"").c_str(), quoted("a\xc3").c_str());
}

// Whatever the bytes: one line, and a JSON parser that insists on UTF-8 reads it.
TEST(JsonText, IsValidForRandomBytes) {
  std::minstd_rand random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 256);
    const std::string text = quoted(bytes);
    boost::system::error_code code;
    const boost::json::value value = boost::json::parse(text, code);
    CHECK_TEXT(!code && value.is_string(), text.c_str());
    CHECK(text.find('\n') == std::string::npos);
  }
}
