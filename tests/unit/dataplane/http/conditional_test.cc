// Preconditions of a listener against what is stored.
#include "dataplane/http/conditional.h"

#include "dataplane/http/date.h"
#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono;

namespace {

const WallTime kNow = sys_days(2025y / 6 / 1);
std::string at(seconds offset) { return std::string(format_http_date(kNow + offset)); }

char outcome(std::initializer_list<Field> request, const Fields& stored) {
  switch (evaluate_preconditions(fields_of(request), Validators::of(stored, kNow), kNow)) {
    case Precondition::kServe:
      return 's';
    case Precondition::kNotModified:
      return 'n';
    case Precondition::kFailed:
      return 'f';
  }
  return '?';
}

}  // namespace

TEST_GROUP(Conditional) {
  const std::string modified = at(-1000s);
  const std::string date = at(0s);
  const Fields both = fields_of({{"ETag", "\"abc\""}, {"Last-Modified", modified}, {"Date", date}});
  const Fields tag_only = fields_of({{"ETag", "\"abc\""}});
  const Fields weak = fields_of({{"ETag", "W/\"abc\""}});
  const Fields odd = fields_of({{"ETag", "abc"}});
  const Fields nothing = fields_of({{"Date", date}});
};

TEST(Conditional, IfNoneMatchComparesWeakly) {
  BYTES_EQUAL('n', outcome({{"If-None-Match", "\"abc\""}}, tag_only));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "W/\"abc\""}}, tag_only));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "\"abc\""}}, weak));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "\"x\", \"abc\", \"y\""}}, tag_only));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "\"x\""}, {"If-None-Match", "\"abc\""}}, tag_only));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "*"}}, nothing));
  BYTES_EQUAL('s', outcome({{"If-None-Match", "\"x\""}}, tag_only));
  BYTES_EQUAL('s', outcome({{"If-None-Match", "\"abc\""}}, nothing));
}

TEST(Conditional, OddTagsMatchOnlyByteForByte) {
  BYTES_EQUAL('n', outcome({{"If-None-Match", "abc"}}, odd));
  BYTES_EQUAL('s', outcome({{"If-None-Match", "\"abc\""}}, odd));
  BYTES_EQUAL('s', outcome({{"If-None-Match", "abc"}}, tag_only));
  BYTES_EQUAL('s', outcome({{"If-None-Match", "w/\"abc\""}}, weak));
  BYTES_EQUAL('n', outcome({{"If-None-Match", "W\\\"abc\""}}, fields_of({{"ETag", "W\\\"abc\""}})));
}

TEST(Conditional, IfNoneMatchOutranksIfModifiedSince) {
  BYTES_EQUAL('s', outcome({{"If-None-Match", "\"x\""}, {"If-Modified-Since", date}}, both));
  BYTES_EQUAL('n',
              outcome({{"If-None-Match", "\"abc\""}, {"If-Modified-Since", at(-9999s)}}, both));
}

TEST(Conditional, IfModifiedSince) {
  BYTES_EQUAL('n', outcome({{"If-Modified-Since", modified}}, both));
  BYTES_EQUAL('n', outcome({{"If-Modified-Since", date}}, both));
  BYTES_EQUAL('s', outcome({{"If-Modified-Since", at(-1001s)}}, both));
  BYTES_EQUAL('s', outcome({{"If-Modified-Since", "yesterday"}}, both));
  BYTES_EQUAL('s',
              outcome({{"If-Modified-Since", modified}, {"If-Modified-Since", modified}}, both));
  // Without Last-Modified the Date stands in.
  BYTES_EQUAL('n', outcome({{"If-Modified-Since", date}}, nothing));
  BYTES_EQUAL('s', outcome({{"If-Modified-Since", at(-3000s)}}, nothing));
}

TEST(Conditional, IfMatchAndIfUnmodifiedSinceComeFirst) {
  BYTES_EQUAL('s', outcome({{"If-Match", "\"abc\""}}, both));
  BYTES_EQUAL('s', outcome({{"If-Match", "*"}}, both));
  BYTES_EQUAL('f', outcome({{"If-Match", "\"x\""}}, both));
  BYTES_EQUAL('f', outcome({{"If-Match", "W/\"abc\""}}, both));
  BYTES_EQUAL('f', outcome({{"If-Match", "\"abc\""}}, weak));
  BYTES_EQUAL('n', outcome({{"If-Match", "\"abc\""}, {"If-None-Match", "\"abc\""}}, both));
  BYTES_EQUAL('s', outcome({{"If-Unmodified-Since", modified}}, both));
  BYTES_EQUAL('f', outcome({{"If-Unmodified-Since", at(-1001s)}}, both));
  BYTES_EQUAL('s', outcome({{"If-Unmodified-Since", "junk"}}, both));
  BYTES_EQUAL('s', outcome({{"If-Match", "\"abc\""}, {"If-Unmodified-Since", at(-1001s)}}, both));
}

TEST(Conditional, IfRangeIsStrong) {
  const auto holds = [](std::string_view value, const Fields& stored) {
    return if_range_holds(fields_of({{"If-Range", value}}), Validators::of(stored, kNow), kNow);
  };
  CHECK(if_range_holds(Fields(), Validators::of(both, kNow), kNow));
  CHECK(holds("\"abc\"", both));
  CHECK_FALSE(holds("W/\"abc\"", both));
  CHECK_FALSE(holds("\"abc\"", weak));
  CHECK_FALSE(holds("\"x\"", both));
  CHECK_FALSE(holds("abc", odd));
  CHECK(holds(modified, both));
  CHECK_FALSE(holds(date, both));
  CHECK_FALSE(holds("junk", both));
  // A second resolution says little about a file changed in the same minute.
  const std::string recent = at(-59s);
  CHECK_FALSE(holds(recent, fields_of({{"Last-Modified", recent}, {"Date", date}})));
  const std::string older = at(-60s);
  CHECK(holds(older, fields_of({{"Last-Modified", older}, {"Date", date}})));
}

TEST(Conditional, FieldsOfANotModified) {
  for (std::string_view name :
       {"ETag", "Date", "Cache-Control", "Expires", "Vary", "Content-Location", "Age", "X-A",
        "Content-Security-Policy", "Last-Modified"}) {
    CHECK(belongs_in_not_modified(name));
  }
  for (std::string_view name :
       {"Content-Type", "content-length", "Content-Encoding", "Content-Range", "Accept-Ranges"}) {
    CHECK_FALSE(belongs_in_not_modified(name));
  }
}
