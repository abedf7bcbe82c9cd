// Byte ranges: asked for, resolved, described and laid out.
#include "dataplane/http/range.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

namespace {

std::string ranges(std::string_view value, std::uint64_t size) {
  const auto request = parse_range(value);
  if (!request) return "ignored";
  const RangeSet set = resolve_ranges(*request, size);
  if (set.count == 0) return "unsatisfiable";
  std::string out;
  for (const ByteRange& range : set.view()) {
    out += std::to_string(range.first) + "-" + std::to_string(range.last) + " ";
  }
  return out;
}

}  // namespace

TEST_GROUP(Range){};

TEST(Range, Table) {
  struct Case {
    std::string_view value;
    std::uint64_t size;
    std::string_view expected;
  };
  const Case cases[] = {
      {"bytes=0-1", 10, "0-1 "},
      {"bytes=1-", 10, "1-9 "},
      {"bytes=-1", 10, "9-9 "},
      {"bytes=-20", 10, "0-9 "},
      {"bytes=0-9223372036854775807", 10, "0-9 "},
      {"BYTES=5-5", 10, "5-5 "},
      {"bytes=9-9", 10, "9-9 "},
      {"bytes=10-", 10, "unsatisfiable"},
      {"bytes=-0", 10, "unsatisfiable"},
      {"bytes=0-", 0, "unsatisfiable"},
      {"bytes=-5", 0, "unsatisfiable"},
      {"bytes=0-0,-1", 10, "0-0 9-9 "},
      {"bytes= 0-0 , -1 ,", 10, "0-0 9-9 "},
      {"bytes=10-,0-1", 10, "0-1 "},
      {"bytes=8-9,0-1", 10, "8-9 0-1 "},
      {"bytes=0-1,2-3", 10, "0-3 "},
      {"bytes=2-3,0-1", 10, "2-3 0-1 "},
      {"bytes=0-5,3-9", 10, "0-9 "},
      {"bytes=0-0,5-6,6-9,0-2", 10, "0-2 5-9 "},
      {"bytes=0-,0-,0-,0-", 10, "0-9 "},
      {"bytes=18446744073709551615-", 10, "unsatisfiable"},
      {"bytes=5-99999999999999999999999", 10, "5-9 "},
      {"bytes=-99999999999999999999999", 10, "0-9 "},
      {"bytes=5-99999999999999999999999x", 10, "ignored"},
      {"bytes=9223372036854775807-", 10, "unsatisfiable"},
      {"", 10, "ignored"},
      {"bytes", 10, "ignored"},
      {"bytes=", 10, "ignored"},
      {"bytes=,", 10, "ignored"},
      {"bytes=-", 10, "ignored"},
      {"bytes=a-b", 10, "ignored"},
      {"bytes=1-0", 10, "ignored"},
      {"bytes=0-1,5", 10, "ignored"},
      {"bytes=0--1", 10, "ignored"},
      {"bytes=+0-1", 10, "ignored"},
      {"bytes=0 -1", 10, "ignored"},
      {"bytes =0-1", 10, "ignored"},
      {"bytes 0-1", 10, "ignored"},
      {"items=0-1", 10, "ignored"},
      {"bytes=0x0-1", 10, "ignored"},
  };
  for (const Case& test : cases) {
    if (ranges(test.value, test.size) != test.expected) {
      FAIL((ranges(test.value, test.size) + ": " + std::string(test.value)).c_str());
    }
  }
}

TEST(Range, TooManyAreIgnored) {
  std::string value = "bytes=0-0";
  for (std::size_t i = 1; i < kMaxRanges; ++i)
    value += "," + std::to_string(i * 2) + "-" + std::to_string(i * 2);
  LONGS_EQUAL(kMaxRanges, parse_range(value)->count);
  CHECK_FALSE(parse_range(value + ",99-99").has_value());
}

TEST(Range, ContentRangeIsReadStrictly) {
  auto parsed = parse_content_range("bytes 4-9/10");
  CHECK(parsed->range == (ByteRange{4, 9}));
  CHECK(parsed->complete_size == 10);
  parsed = parse_content_range("Bytes 4-9/*");
  CHECK(parsed->range == (ByteRange{4, 9}));
  CHECK_FALSE(parsed->complete_size.has_value());
  parsed = parse_content_range("bytes */10");
  CHECK_FALSE(parsed->range.has_value());
  CHECK(parsed->complete_size == 10);
  for (std::string_view bad : {"", "garbage", "bytes", "bytes 4-9", "bytes 9-4/10", "bytes 4-10/10",
                               "bytes */*", "bytes 4/10", "bytes -4/10", "bytes 4-/10",
                               "bytes=4-9/10", "bytes 4-9/10x", "bytes 4 - 9/10", "items 4-9/10",
                               "bytes 4-9/ 10", "bytes  4-9/10", "bytes 0-1/2, bytes 0-1/2"}) {
    CHECK_FALSE(parse_content_range(bad).has_value());
  }
}

TEST(Range, ContentRangeIsWritten) {
  std::string out;
  append_content_range(out, {4, 9}, 10);
  out += "|";
  append_content_range(out, {0, 0}, std::nullopt);
  out += "|";
  append_unsatisfied_content_range(out, 0);
  TEXT_EQUAL("bytes 4-9/10|bytes 0-0/*|bytes */0", out);
}

TEST(Range, MultipartLayoutHasTheLengthItSays) {
  const MultipartRanges parts("SEP", "audio/mp4", 100);
  TEXT_EQUAL("multipart/byteranges; boundary=SEP", parts.media_type());
  const ByteRange wanted[] = {{0, 1}, {50, 52}};
  std::string body;
  parts.append_part_head(body, wanted[0]);
  body += "ab";
  parts.append_part_head(body, wanted[1]);
  body += "cde";
  parts.append_end(body);
  TEXT_EQUAL(
      "\r\n--SEP\r\nContent-Type: audio/mp4\r\nContent-Range: bytes 0-1/100\r\n\r\nab"
      "\r\n--SEP\r\nContent-Type: audio/mp4\r\nContent-Range: bytes 50-52/100\r\n\r\ncde"
      "\r\n--SEP--\r\n",
      body);
  LONGS_EQUAL(body.size(), parts.total_size(wanted));
  std::string untyped;
  MultipartRanges("S", "", 2).append_part_head(untyped, {0, 1});
  TEXT_EQUAL("\r\n--S\r\nContent-Range: bytes 0-1/2\r\n\r\n", untyped);
}
