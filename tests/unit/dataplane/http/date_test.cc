// Three forms of HTTP dates, and the many that are none.
#include "dataplane/http/date.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace std::chrono;

namespace {

const WallTime kNow = sys_days(2025y / 6 / 1);
const WallTime kExample = sys_days(1994y / 11 / 6) + 8h + 49min + 37s;

void expect_date(WallTime expected, std::string_view text) {
  const auto parsed = parse_http_date(text, kNow);
  if (!parsed) FAIL(("not read: " + std::string(text)).c_str());
  LONGLONGS_EQUAL(expected.time_since_epoch().count(), parsed->time_since_epoch().count());
}

}  // namespace

TEST_GROUP(HttpDate){};

TEST(HttpDate, ReadsTheThreeForms) {
  expect_date(kExample, "Sun, 06 Nov 1994 08:49:37 GMT");
  expect_date(kExample, "Sunday, 06-Nov-94 08:49:37 GMT");
  expect_date(kExample, "Sun Nov  6 08:49:37 1994");
  expect_date(sys_days(1994y / 11 / 16) + 8h, "Wed Nov 16 08:00:00 1994");
}

TEST(HttpDate, CaseOfNamesDoesNotMatterNorDoesTheWrongWeekday) {
  expect_date(kExample, "SUN, 06 NOV 1994 08:49:37 gMT");
  expect_date(kExample, "Mon, 06 Nov 1994 08:49:37 GMT");
  expect_date(kExample, "Wednesday, 06-Nov-94 08:49:37 GMT");
  expect_date(sys_days(2050y / 8 / 8) + 2h + 1min + 18s, "Thu Aug  8 02:01:18 2050");
}

TEST(HttpDate, TwoDigitYearsLieWithinFiftyYears) {
  expect_date(sys_days(2050y / 8 / 18) + 2h + 1min + 18s, "Thursday, 18-Aug-50 02:01:18 GMT");
  expect_date(sys_days(2075y / 8 / 18), "Thursday, 18-Aug-75 00:00:00 GMT");
  expect_date(sys_days(1976y / 8 / 18), "Thursday, 18-Aug-76 00:00:00 GMT");
  const auto late = parse_http_date("Thursday, 18-Aug-20 00:00:00 GMT", sys_days(2090y / 1 / 1));
  CHECK(late == WallTime(sys_days(2120y / 8 / 18)));
}

TEST(HttpDate, ReachesBeyond32Bits) {
  expect_date(sys_days(2038y / 1 / 19) + 14h + 14min + 8s, "Tue, 19 Jan 2038 14:14:08 GMT");
  expect_date(sys_days(2286y / 11 / 21) + 4h, "Sun, 21 Nov 2286 04:00:00 GMT");
  expect_date(sys_days(9999y / 12 / 31) + 23h + 59min + 59s, "Fri, 31 Dec 9999 23:59:59 GMT");
  expect_date(sys_days(2017y / 1 / 1), "Sat, 31 Dec 2016 23:59:60 GMT");
  expect_date(sys_days(2024y / 2 / 29), "Thu, 29 Feb 2024 00:00:00 GMT");
}

TEST(HttpDate, RefusesEverythingElse) {
  const std::string_view refused[] = {
      "",
      "0",
      "-1",
      "foo",
      "Sun, 06 Nov 1994 08:49:37 UTC",
      "Sun, 06 Nov 1994 08:49:37 AEST",
      "Sun, 06 Nov 1994 08:49:37",
      "Sun, 06 Nov 1994 08:49:37 +0000",
      "Sun, 06 Nov 94 08:49:37 GMT",
      "Sun 06 Nov 1994 08:49:37 GMT",
      "Sun,06 Nov 1994 08:49:37 GMT",
      "Sun, 06  Nov 1994 08:49:37 GMT",
      "Sun,  06 Nov 1994  08:49:37 GMT",
      "Sun, 06-Nov-1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08.49.37 GMT",
      "Sun, 06 Nov 1994 8:49:37 GMT",
      "Sun, 6 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMT ",
      " Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 08:49:37 GMTx",
      "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:00 GMT",
      "Sun, 06 Nov 1994 08:00:61 GMT",
      "Sun, 31 Feb 1994 08:49:37 GMT",
      "Sun, 29 Feb 2023 08:49:37 GMT",
      "Sun, 00 Nov 1994 08:49:37 GMT",
      "Sun, 06 Nop 1994 08:49:37 GMT",
      "Xyz, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06 Nov 1994 08:49:37 GMT",
      "Sunday, 06-Nov-1994 08:49:37 GMT",
      "Sun, 06-Nov-94 08:49:37 GMT",
      "Sunday 06-Nov-94 08:49:37 GMT",
      "Sun Nov 6 08:49:37 1994",
      "Sun Nov 06 08:49:37 94",
      "Sun Nov  6 08:49:37 1994 GMT",
      "1994-11-06T08:49:37Z",
  };
  for (std::string_view text : refused) {
    if (parse_http_date(text, kNow)) FAIL(("read: " + std::string(text)).c_str());
  }
}

TEST(HttpDate, WritesImfFixdateAndReadsItBack) {
  TEXT_EQUAL("Sun, 06 Nov 1994 08:49:37 GMT", std::string_view(format_http_date(kExample)));
  TEXT_EQUAL("Thu, 01 Jan 1970 00:00:00 GMT", std::string_view(format_http_date(WallTime())));
  for (std::int64_t second = -62167219200; second < 253402300800; second += 86400 * 365 + 4561) {
    const WallTime time{seconds(second)};
    expect_date(time, format_http_date(time));
  }
  TEXT_EQUAL("Fri, 31 Dec 9999 23:59:59 GMT",
             std::string_view(format_http_date(sys_days(12345y / 1 / 1))));
  TEXT_EQUAL("Sat, 01 Jan 0000 00:00:00 GMT",
             std::string_view(format_http_date(sys_days(-5y / 1 / 1))));
}
