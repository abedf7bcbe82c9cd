// What a 304 or a HEAD response changes in what is stored.
#include "dataplane/http/update.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

TEST_GROUP(Update){};

TEST(Update, ReplacesByNameAndKeepsTheRest) {
  Fields stored = fields_of({{"Cache-Control", "max-age=1"},
                             {"ETag", "\"a\""},
                             {"Test-Header", "A"},
                             {"Set-Cookie", "a"},
                             {"Set-Cookie", "b"},
                             {"Kept", "yes"}});
  update_stored_fields(stored, fields_of({{"cache-control", "max-age=3600"},
                                          {"Test-Header", "B"},
                                          {"Set-Cookie", "c"},
                                          {"Content-Type", "text/plain"},
                                          {"Date", "now"}}));
  TEXT_EQUAL("max-age=3600", *stored.combined("Cache-Control"));
  TEXT_EQUAL("B", *stored.combined("Test-Header"));
  TEXT_EQUAL("c", *stored.combined("Set-Cookie"));
  TEXT_EQUAL("yes", *stored.combined("Kept"));
  TEXT_EQUAL("text/plain", *stored.combined("Content-Type"));
  TEXT_EQUAL("\"a\"", *stored.combined("ETag"));
}

TEST(Update, BytesKeepWhatDescribesThem) {
  Fields stored = fields_of({{"Content-Length", "36"}, {"Content-Encoding", "gzip"}});
  update_stored_fields(stored, fields_of({{"Content-Length", "10"},
                                          {"Content-Encoding", "br"},
                                          {"Content-Range", "bytes 0-1/2"},
                                          {"Transfer-Encoding", "chunked"},
                                          {"Connection", "close"}}));
  TEXT_EQUAL("Content-Length: 36\r\nContent-Encoding: gzip\r\n", stored.text());
}

TEST(Update, AgeAndDateSpeakOfOneExchange) {
  Fields stored = fields_of({{"Age", "30"}, {"Date", "then"}});
  update_stored_fields(stored, fields_of({{"Date", "now"}}));
  TEXT_EQUAL("Date: now\r\n", stored.text());
}

TEST(Update, WeakTagDoesNotWeakenAStrongOne) {
  Fields stored = fields_of({{"ETag", "\"a\""}});
  update_stored_fields(stored, fields_of({{"ETag", "W/\"a\""}}));
  TEXT_EQUAL("\"a\"", *stored.combined("ETag"));
  stored = fields_of({{"ETag", "W/\"a\""}});
  update_stored_fields(stored, fields_of({{"ETag", "\"b\""}}));
  TEXT_EQUAL("\"b\"", *stored.combined("ETag"));
}

TEST(Update, NotModifiedConfirmsWhatItNames) {
  const Fields stored = fields_of({{"ETag", "\"a\""}, {"Last-Modified", "then"}});
  CHECK(confirms(Fields(), stored, true));
  CHECK_FALSE(confirms(Fields(), stored, false));
  CHECK(confirms(fields_of({{"ETag", "\"a\""}}), stored, false));
  CHECK(confirms(fields_of({{"ETag", "W/\"a\""}}), stored, false));
  CHECK_FALSE(confirms(fields_of({{"ETag", "\"b\""}}), stored, true));
  CHECK_FALSE(confirms(fields_of({{"ETag", "\"b\""}, {"Last-Modified", "then"}}), stored, true));
  CHECK(confirms(fields_of({{"Last-Modified", "then"}}), stored, false));
  CHECK_FALSE(confirms(fields_of({{"Last-Modified", "now"}}), stored, true));
  const Fields odd = fields_of({{"ETag", "unquoted"}});
  CHECK(confirms(fields_of({{"ETag", "unquoted"}}), odd, false));
  CHECK_FALSE(confirms(fields_of({{"ETag", "\"unquoted\""}}), odd, true));
  const Fields weak = fields_of({{"ETag", "W/\"a\""}});
  CHECK_FALSE(confirms(fields_of({{"ETag", "\"a\""}}), weak, false));
}

TEST(Update, HeadConfirmsOrShowsAnotherRepresentation) {
  const Fields stored = fields_of({{"ETag", "\"a\""}, {"Content-Length", "5"}});
  CHECK(head_effect(200, Fields(), stored, 5) == HeadEffect::kUpdate);
  CHECK(head_effect(200, fields_of({{"ETag", "\"a\""}, {"Content-Length", "5"}}), stored, 5) ==
        HeadEffect::kUpdate);
  CHECK(head_effect(200, fields_of({{"ETag", "\"b\""}}), stored, 5) == HeadEffect::kInvalidate);
  CHECK(head_effect(200, fields_of({{"Last-Modified", "x"}}), stored, 5) ==
        HeadEffect::kInvalidate);
  CHECK(head_effect(200, fields_of({{"Content-Length", "6"}}), stored, 5) ==
        HeadEffect::kInvalidate);
  CHECK(head_effect(200, fields_of({{"Content-Length", "5"}}), stored) == HeadEffect::kUpdate);
  CHECK(head_effect(200, fields_of({{"Content-Length", "5"}}), Fields()) ==
        HeadEffect::kInvalidate);
  CHECK(head_effect(410, Fields(), stored, 5) == HeadEffect::kNone);
  CHECK(head_effect(304, Fields(), stored, 5) == HeadEffect::kNone);
}
