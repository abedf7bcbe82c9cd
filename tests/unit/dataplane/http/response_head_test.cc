// Status lines.
#include "dataplane/http/response_head.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

TEST_GROUP(ResponseHead){};

TEST(ResponseHead, WritesStatusLinesAlsoForUnknownCodes) {
  std::string out;
  append_status_line(out, 206);
  append_status_line(out, 599);
  TEXT_EQUAL("HTTP/1.1 206 Partial Content\r\nHTTP/1.1 599 Unknown\r\n", out);
}

TEST(ResponseHead, ClearForgetsEverything) {
  ResponseHead head;
  head.status = 404;
  head.fields.add("A", "b");
  head.has_content_length = true;
  head.content_length = 9;
  head.clear();
  LONGS_EQUAL(200, head.status);
  CHECK(head.fields.empty());
  CHECK_FALSE(head.has_content_length);
}
