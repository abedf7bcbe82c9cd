// One framing or none: anything two readers could understand differently is a fault.
#include "dataplane/http/framing.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

TEST_GROUP(Framing){};

TEST(Framing, ReadsLengthOrChunked) {
  FramingFields framing = read_framing(fields_of({{"Content-Length", "007"}}), 1);
  CHECK(framing.fault.empty() && framing.has_length && !framing.chunked);
  LONGS_EQUAL(7, framing.length);
  framing = read_framing(fields_of({{"transfer-encoding", "CHUNKED"}}), 1);
  CHECK(framing.fault.empty() && framing.chunked && !framing.has_length);
  framing = read_framing(Fields(), 1);
  CHECK(framing.fault.empty() && !framing.chunked && !framing.has_length);
}

TEST(Framing, RefusesTheRest) {
  const std::pair<Fields, bool> cases[] = {
      {fields_of({{"Content-Length", "1"}, {"Content-Length", "1"}}), false},
      {fields_of({{"Content-Length", "1, 1"}}), false},
      {fields_of({{"Content-Length", "9223372036854775808"}}), false},
      {fields_of({{"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}}), false},
      {fields_of({{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}), false},
      {fields_of({{"Transfer-Encoding", "chunked;q=1"}}), false},
      {fields_of({{"Transfer-Encoding", "chunked,"}}), true},
      {fields_of({{"Transfer-Encoding", "gzip"}}), true},
      {fields_of({{"Transfer-Encoding", "gzip, chunked"}}), true},
      {fields_of({{"Transfer-Encoding", "chunked, gzip"}}), false},
      {fields_of({{"Transfer-Encoding", ""}}), false},
  };
  for (const auto& [fields, unknown_coding] : cases) {
    const FramingFields framing = read_framing(fields, 1);
    CHECK_FALSE(framing.fault.empty());
    CHECK_EQUAL(unknown_coding, framing.unknown_coding);
    CHECK_FALSE(framing.chunked);
  }
  CHECK_FALSE(read_framing(fields_of({{"Transfer-Encoding", "chunked"}}), 0).fault.empty());
}

TEST(Framing, TrailersMayNotSayWhatOnlyAHeadMay) {
  Fields trailers =
      fields_of({{"Content-Length", "1"}, {"X-Sum", "a"}, {"HOST", "b"}, {"Set-Cookie", "c"}});
  remove_forbidden_trailers(trailers);
  TEXT_EQUAL("X-Sum: a\r\n", trailers.text());
}
