// Http2RequestReader: which fields make a request, which a refusal with a status, which a reset of
// the stream.
#include "dataplane/http/http2_request.h"

#include <utility>
#include <vector>

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

namespace {

using FieldList = std::vector<std::pair<std::string, std::string>>;
constexpr int kReset = -1;
constexpr int kTaken = 0;

FieldList operator+(FieldList first, const FieldList& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

const FieldList kMethod = {{":method", "GET"}};
const FieldList kScheme = {{":scheme", "https"}};
const FieldList kPath = {{":path", "/a?b"}};
const FieldList kAuthority = {{":authority", "music.example"}};
const FieldList kGet = kMethod + kScheme + kPath + kAuthority;
const FieldList kPost = FieldList{{":method", "POST"}} + kScheme + kPath + kAuthority;

RequestLimits small_limits() {
  RequestLimits limits;
  limits.max_head_bytes = 1000;
  limits.max_target_bytes = 100;
  limits.max_field_count = 10;
  limits.max_body_bytes = 5000;
  return limits;
}

}  // namespace

TEST_GROUP(Http2Request) {
  RequestHead head;
  Http2RequestReader reader;

  // The status it is refused with, kReset or kTaken.
  int read(const FieldList& fields, bool end_stream = true) {
    reader.begin(head, small_limits(), Scheme::kHttps);
    for (const auto& [name, value] : fields) {
      if (!reader.add(head, name, value)) return kReset;
    }
    const RequestError wrong = reader.finish(head, end_stream);
    return wrong.reason.empty() ? kTaken : wrong.status;
  }
};

TEST(Http2Request, FieldsMakeARequestARefusalOrAReset) {
  const struct {
    const char* what;
    FieldList fields;
    int expected;
  } cases[] = {
      {"the least there is", kGet, kTaken},
      {"pseudo fields in any order", kAuthority + kPath + kScheme + kMethod, kTaken},
      {"pseudo field behind a regular one", kMethod + kScheme + FieldList{{"x", "y"}} + kPath,
       kReset},
      {"method twice", kGet + kMethod, kReset},
      {"scheme twice", kGet + kScheme, kReset},
      {"path twice", kGet + kPath, kReset},
      {"authority twice", kGet + kAuthority, kReset},
      {"unknown pseudo field", kGet + FieldList{{":protocol", "websocket"}}, kReset},
      {"pseudo field of a response", kGet + FieldList{{":status", "200"}}, kReset},
      {"method that is no token", FieldList{{":method", "G T"}}, kReset},
      {"empty scheme", FieldList{{":scheme", ""}}, kReset},
      {"empty path", FieldList{{":path", ""}}, kReset},
      {"no method", kScheme + kPath + kAuthority, 400},
      {"no scheme", kMethod + kPath + kAuthority, 400},
      {"no path", kMethod + kScheme + kAuthority, 400},
      {"CONNECT", FieldList{{":method", "CONNECT"}} + kAuthority, 501},

      {"upper case", kGet + FieldList{{"X-a", "y"}}, kReset},
      {"empty name", kGet + FieldList{{"", "y"}}, kReset},
      {"space before a value", kGet + FieldList{{"x", " y"}}, kReset},
      {"tab behind a value", kGet + FieldList{{"x", "y\t"}}, kReset},
      {"line end in a value", kGet + FieldList{{"x", "y\r\nz: a"}}, kReset},
      {"connection", kGet + FieldList{{"connection", "close"}}, kReset},
      {"keep-alive", kGet + FieldList{{"keep-alive", "1"}}, kReset},
      {"proxy-connection", kGet + FieldList{{"proxy-connection", "close"}}, kReset},
      {"transfer-encoding", kGet + FieldList{{"transfer-encoding", "chunked"}}, kReset},
      {"upgrade", kGet + FieldList{{"upgrade", "h2c"}}, kReset},
      {"te: trailers", kGet + FieldList{{"te", "Trailers"}}, kTaken},
      {"te: something else", kGet + FieldList{{"te", "trailers, gzip"}}, kReset},
      {"cookie with a control character", kGet + FieldList{{"cookie", "a=\x01"}}, kReset},

      {"another scheme than the connection's",
       kMethod + FieldList{{":scheme", "http"}} + kPath + kAuthority, 421},
      {"scheme in capitals", kMethod + FieldList{{":scheme", "HTTPS"}} + kPath + kAuthority,
       kTaken},
      {"asterisk for OPTIONS",
       FieldList{{":method", "OPTIONS"}, {":path", "*"}} + kScheme + kAuthority, kTaken},
      {"asterisk for GET", kMethod + kScheme + FieldList{{":path", "*"}} + kAuthority, 400},
      {"path without its slash", kMethod + kScheme + FieldList{{":path", "a"}} + kAuthority, 400},
      {"path with a fragment", kMethod + kScheme + FieldList{{":path", "/#a"}} + kAuthority, 400},
      {"path of the largest size",
       kMethod + kScheme + FieldList{{":path", "/" + std::string(99, 'a')}} + kAuthority, kTaken},
      {"path beyond it",
       kMethod + kScheme + FieldList{{":path", "/" + std::string(100, 'a')}} + kAuthority, 414},

      {"neither authority nor Host", kMethod + kScheme + kPath, 400},
      {"Host only", kMethod + kScheme + kPath + FieldList{{"host", "music.example"}}, kTaken},
      {"Host as the authority", kGet + FieldList{{"host", "MUSIC.example:443"}}, kTaken},
      {"Host of another name", kGet + FieldList{{"host", "other.example"}}, 400},
      {"Host of another port", kGet + FieldList{{"host", "music.example:8443"}}, 400},
      {"Host twice", kGet + FieldList{{"host", "music.example"}, {"host", "music.example"}}, 400},
      {"malformed Host", kMethod + kScheme + kPath + FieldList{{"host", "a b"}}, 400},
      {"user in the authority", kMethod + kScheme + kPath + FieldList{{":authority", "u@a"}}, 400},

      {"fields too large", kGet + FieldList{{"x", std::string(1000, 'y')}}, 431},
      {"one field more than may be", kGet + FieldList(11, {"x", "y"}), 431},
      {"as many as may be", kGet + FieldList(10, {"x", "y"}), kTaken},
  };
  for (const auto& each : cases) LONGS_EQUAL_TEXT(each.expected, read(each.fields), each.what);
}

TEST(Http2Request, ContentIsFramedByTheStreamAndBoundedByItsDeclaredLength) {
  LONGS_EQUAL(kTaken, read(kPost, false));
  CHECK_TRUE(head.framing == BodyFraming::kChunked);
  LONGS_EQUAL(kTaken, read(kPost + FieldList{{"content-length", "5000"}}, false));
  CHECK_TRUE(head.framing == BodyFraming::kLength);
  LONGS_EQUAL(5000, head.content_length);
  LONGS_EQUAL(413, read(kPost + FieldList{{"content-length", "5001"}}, false));
  LONGS_EQUAL(400, read(kPost + FieldList{{"content-length", "+1"}}, false));
  LONGS_EQUAL(400,
              read(kPost + FieldList{{"content-length", "1"}, {"content-length", "2"}}, false));
  LONGS_EQUAL(kTaken, read(kPost));
  CHECK_TRUE(head.framing == BodyFraming::kNone);
  LONGS_EQUAL(kTaken, read(kPost + FieldList{{"expect", "100-continue"}}, false));
  CHECK_TRUE(head.expect_continue);
  LONGS_EQUAL(kTaken, read(kPost + FieldList{{"expect", "100-continue"}}, true));
  CHECK_FALSE(head.expect_continue);
}

TEST(Http2Request, TheHeadIsAsFromHttp11) {
  LONGS_EQUAL(kTaken, read(kMethod + kScheme + kPath +
                           FieldList{{":authority", "Music.Example:443"},
                                     {"cookie", "a=1"},
                                     {"x", "y"},
                                     {"cookie", "b=2"}}));
  CHECK_TRUE(head.method == Method::kGet);
  CHECK_TRUE(head.scheme == Scheme::kHttps);
  LONGS_EQUAL(2, head.version_major);
  TEXT_EQUAL("music.example", head.authority);
  TEXT_EQUAL("/a?b", head.target);
  TEXT_EQUAL("/a", head.path());
  TEXT_EQUAL("b", *head.query());
  // Crumbs are joined (RFC 9113 8.2.3), and the authority is said as HTTP/1.1 says it.
  LONGS_EQUAL(1, head.fields.count("Cookie"));
  TEXT_EQUAL("a=1; b=2", *head.fields.find("Cookie"));
  TEXT_EQUAL("music.example", *head.fields.find("Host"));
}

TEST(Http2Request, WhatIsRefusedIsKnownByItsPath) {
  const FieldList path = {{":path", "/albums/1?token=x"}};
  LONGS_EQUAL(431, read(path + kMethod + kScheme + kAuthority + FieldList(11, {"x", "y"})));
  TEXT_EQUAL("/albums/1", head.path());
  LONGS_EQUAL(421, read(path + kMethod + FieldList{{":scheme", "http"}} + kAuthority));
  TEXT_EQUAL("/albums/1", head.path());
  LONGS_EQUAL(400, read(path + kMethod + kScheme));
  TEXT_EQUAL("/albums/1", head.path());
  // One that is too long is not kept.
  LONGS_EQUAL(414, read(FieldList{{":path", "/" + std::string(100, 'a')}} + kMethod + kScheme));
  TEXT_EQUAL("/", head.path());
}

TEST(Http2Request, WhatIsBeyondALimitIsCountedToTheEnd) {
  LONGS_EQUAL(431, read(kGet + FieldList{{"x", std::string(5000, 'y')}, {"z", ""}}));
  const std::uint64_t fields = 4 + 2;
  const std::uint64_t pseudo =
      (7 + 3) + (7 + 5) + (5 + 4) + (10 + std::string("music.example").size());
  UNSIGNED_LONGS_EQUAL(pseudo + 5001 + 1 + 32 * fields, reader.section_bytes());
  reader.skip("t", "u");
  UNSIGNED_LONGS_EQUAL(pseudo + 5001 + 1 + 32 * fields + 34, reader.section_bytes());
}

TEST(Http2Request, AReaderBeginsAnew) {
  LONGS_EQUAL(431, read(kGet + FieldList{{"cookie", "a=1"}, {"x", std::string(5000, 'y')}}));
  LONGS_EQUAL(kTaken, read(kGet));
  CHECK_FALSE(head.fields.contains("Cookie"));
  CHECK_FALSE(head.fields.contains("x"));
}
