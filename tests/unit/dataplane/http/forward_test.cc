// What passes a proxy, and what does not.
#include "dataplane/http/forward.h"

#include "dataplane/http/date.h"
#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono;

namespace {
const WallTime kNow = sys_days(2025y / 6 / 1);
}

TEST_GROUP(Forward){};

TEST(Forward, HopByHopFieldsStayOnTheirHop) {
  Fields fields = fields_of({{"Connection", "a, B"},
                             {"A", "1"},
                             {"b", "2"},
                             {"C", "3"},
                             {"Keep-Alive", "timeout=5"},
                             {"Proxy-Connection", "x"},
                             {"Proxy-Authenticate", "x"},
                             {"Proxy-Authorization", "x"},
                             {"Proxy-Authentication-Info", "x"},
                             {"TE", "trailers"},
                             {"Trailer", "X-Sum"},
                             {"Transfer-Encoding", "chunked"},
                             {"Upgrade", "h2c"},
                             {"connection", "c"},
                             {"Cache-Control", "no-cache"}});
  remove_hop_by_hop(fields);
  TEXT_EQUAL("Cache-Control: no-cache\r\n", fields.text());
}

TEST(Forward, TrailerStaysWithTrailersThatPass) {
  Fields fields = fields_of({{"Trailer", "X-Sum"}, {"TE", "trailers"}});
  remove_hop_by_hop(fields, true);
  TEXT_EQUAL("Trailer: X-Sum\r\n", fields.text());
}

TEST(Forward, ConnectionCannotStripWhatAMessageNeeds) {
  Fields fields = fields_of(
      {{"Connection",
        "Host, Cache-Control, Content-Length, ETag, Vary, Set-Cookie, authorization, close"},
       {"Host", "a"},
       {"Cache-Control", "private"},
       {"Content-Length", "1"},
       {"Authorization", "x"},
       {"Vary", "A"}});
  remove_hop_by_hop(fields);
  LONGS_EQUAL(5, fields.size());
}

TEST(Forward, StorageLeavesOutWhatTheResponseSays) {
  CacheDirectives directives;
  parse_cache_control("private=\"X-Secret\", no-cache=\"X-Once, X-Twice\"", directives);
  Fields fields = fields_of({{"X-Secret", "1"},
                             {"x-once", "2"},
                             {"X-Twice", "3"},
                             {"X-Kept", "4"},
                             {"Connection", "x"},
                             {"Set-Cookie", "5"}});
  prepare_for_storage(fields, directives);
  TEXT_EQUAL("X-Kept: 4\r\nSet-Cookie: 5\r\n", fields.text());
  CachePolicy policy;
  policy.set_cookie = SetCookie::kStrip;
  prepare_for_storage(fields, {}, policy);
  TEXT_EQUAL("X-Kept: 4\r\n", fields.text());
}

TEST(Forward, DateIsAddedOnlyWhereThereIsNoneToRead) {
  Fields fields;
  ensure_date(fields, kNow);
  TEXT_EQUAL("Date: Sun, 01 Jun 2025 00:00:00 GMT\r\n", fields.text());
  fields.set("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
  ensure_date(fields, kNow);
  TEXT_EQUAL("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", fields.text());
  fields.set("Date", "foo");
  ensure_date(fields, kNow);
  TEXT_EQUAL("Date: Sun, 01 Jun 2025 00:00:00 GMT\r\n", fields.text());
}

TEST(Forward, ViaGrowsAndShowsCircles) {
  Fields fields = fields_of({{"Via", "1.0 fred, 1.1 p.example.net (Comment)"}});
  CHECK_FALSE(via_contains(fields, "nearfield"));
  CHECK(via_contains(fields, "P.example.net"));
  append_via(fields, 0, "nearfield");
  append_via(fields, 1, "nearfield");
  TEXT_EQUAL("1.0 fred, 1.1 p.example.net (Comment), 1.0 nearfield, 1.1 nearfield",
             *fields.combined("via"));
  CHECK(via_contains(fields, "nearfield"));
  CHECK_FALSE(via_contains(fields_of({{"Via", "nearfield"}}), "nearfield"));
}

TEST(Forward, MaxForwardsCountsForOptionsAndTrace) {
  RequestHead request;
  request.method = Method::kOptions;
  CHECK(update_max_forwards(request) == MaxForwards::kForward);
  request.fields.add("Max-Forwards", "2");
  CHECK(update_max_forwards(request) == MaxForwards::kForward);
  TEXT_EQUAL("1", *request.fields.find("max-forwards"));
  CHECK(update_max_forwards(request) == MaxForwards::kForward);
  CHECK(update_max_forwards(request) == MaxForwards::kAnswerHere);
  request.fields.set("Max-Forwards", "many");
  CHECK(update_max_forwards(request) == MaxForwards::kForward);
  request.method = Method::kGet;
  request.fields.set("Max-Forwards", "0");
  CHECK(update_max_forwards(request) == MaxForwards::kForward);
}

TEST(Forward, ValidatorsAreSentAsTheyCame) {
  Fields request = fields_of({{"If-None-Match", "\"theirs\""},
                              {"Range", "bytes=0-1"},
                              {"If-Range", "x"},
                              {"If-Match", "*"}});
  remove_conditions(request);
  CHECK(request.empty());
  CHECK(add_validators(request, fields_of({{"ETag", "unquoted"}, {"Last-Modified", "some day"}})));
  TEXT_EQUAL("If-None-Match: unquoted\r\nIf-Modified-Since: some day\r\n", request.text());
  request.clear();
  CHECK_FALSE(add_validators(request, fields_of({{"ETag", ""}})));
  CHECK(request.empty());
}

TEST(Forward, RangesGoWithAStrongValidatorOrNone) {
  Fields request;
  CHECK(add_range(request, 5, std::nullopt, fields_of({{"ETag", "\"a\""}}), kNow));
  TEXT_EQUAL("Range: bytes=5-\r\nIf-Range: \"a\"\r\n", request.text());
  CHECK_FALSE(add_range(
      request, 5, 9,
      fields_of({{"ETag", "W/\"a\""}, {"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}), kNow));
  TEXT_EQUAL("Range: bytes=5-9\r\n", request.text());
  CHECK(add_range(request, 5, 9, fields_of({{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}),
                  kNow));
  TEXT_EQUAL("Sun, 06 Nov 1994 08:49:37 GMT", *request.find("If-Range"));
  CHECK_FALSE(add_range(request, 5, 9, Fields(), kNow));
}
