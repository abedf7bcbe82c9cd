// The arithmetic of RFC 9111 4.2, with the oddities of real fields.
#include "dataplane/http/freshness.h"

#include "dataplane/http/date.h"
#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono;

namespace {

const WallTime kNow = sys_days(2025y / 6 / 1) + 12h;

std::string at(seconds offset) { return std::string(format_http_date(kNow + offset)); }

// A response received at kNow; the request left `delay` before.
Freshness freshness_of(const Fields& response, std::uint16_t status = 200, milliseconds delay = 0ms,
                       const CachePolicy& policy = {}) {
  return compute_freshness(status, response, parse_response_directives(response),
                           {kNow - delay, kNow}, policy);
}

Fields with(std::string_view cache_control, std::initializer_list<Field> more = {}) {
  Fields fields = fields_of(more);
  if (!cache_control.empty()) fields.add("Cache-Control", cache_control);
  if (!fields.contains("Date")) fields.add("Date", at(0s));
  return fields;
}

}  // namespace

TEST_GROUP(Freshness){};

TEST(Freshness, AgeIsTheFirstValueAndDigitsOnly) {
  struct Case {
    std::vector<std::string_view> lines;
    std::int64_t expected;
  };
  const Case cases[] = {
      {{}, 0},
      {{"30"}, 30},
      {{"abc"}, 0},
      {{"-7200"}, 0},
      {{"7200.0"}, 0},
      {{"7200;foo=bar"}, 0},
      {{""}, 0},
      {{"7200, 0"}, 7200},
      {{"7200", "0"}, 7200},
      {{"0, 7200"}, 0},
      {{"0", "7200"}, 0},
      {{"2147483647"}, 2147483647},
      {{"2147483648"}, 2147483648},
      {{"2147483649"}, 2147483648},
      {{"99999999999999999999999999"}, 2147483648},
  };
  for (const Case& test : cases) {
    Fields response;
    for (std::string_view line : test.lines) response.add("Age", line);
    LONGLONGS_EQUAL(test.expected, age_value(response).count());
  }
}

TEST(Freshness, InitialAgeIsTheLargerOfDateAndAge) {
  const ExchangeTimes times{kNow - 500ms, kNow};
  CHECK(corrected_initial_age(fields_of({{"Date", at(0s)}}), times) == 500ms);
  CHECK(corrected_initial_age(fields_of({{"Date", at(-10s)}}), times) == 10s);
  CHECK(corrected_initial_age(fields_of({{"Date", at(-10s)}, {"Age", "30"}}), times) == 30500ms);
  // A Date ahead of our clock, missing or unreadable says nothing.
  CHECK(corrected_initial_age(fields_of({{"Date", at(100s)}}), times) == 500ms);
  CHECK(corrected_initial_age(fields_of({{"Date", "foo"}, {"Age", "3"}}), times) == 3500ms);
  CHECK(corrected_initial_age(Fields(), times) == 500ms);
}

TEST(Freshness, LifetimeFollowsThePrecedence) {
  struct Case {
    Fields response;
    std::int64_t seconds;
    LifetimeSource source;
  };
  const std::string future = at(3600s);
  const std::string past = at(-3600s);
  const Case cases[] = {
      {with("max-age=100, s-maxage=5"), 5, LifetimeSource::kSharedMaxAge},
      {with("max-age=0, s-maxage=3600", {{"Expires", past}}), 3600, LifetimeSource::kSharedMaxAge},
      {with("max-age=3600", {{"Expires", past}}), 3600, LifetimeSource::kMaxAge},
      {with("max-age=3600", {{"Expires", "0"}}), 3600, LifetimeSource::kMaxAge},
      {with("max-age=0", {{"Expires", future}}), 0, LifetimeSource::kMaxAge},
      {with("max-age=-1", {{"Expires", future}}), 0, LifetimeSource::kMaxAge},
      {with("", {{"Expires", future}}), 3600, LifetimeSource::kExpires},
      {with("", {{"Expires", future}, {"Date", at(4000s)}}), 0, LifetimeSource::kExpires},
      {with("", {{"Expires", past}}), 0, LifetimeSource::kExpires},
      {with("", {{"Expires", "0"}}), 0, LifetimeSource::kExpires},
      {with("", {{"Expires", future}, {"Expires", future}}), 0, LifetimeSource::kExpires},
      {with("", {{"Expires", at(10s)}, {"Date", "foo"}}), 10, LifetimeSource::kExpires},
      {with("no-transform", {{"Last-Modified", at(-1000s)}}), 100, LifetimeSource::kHeuristic},
      {with("", {{"Last-Modified", at(1000s)}}), 0, LifetimeSource::kNone},
      {with("", {{"Last-Modified", "foo"}}), 0, LifetimeSource::kNone},
      {with("", {{"Last-Modified", at(-1000s)}, {"Set-Cookie", "a=b"}}), 0, LifetimeSource::kNone},
      {with("", {{"Last-Modified", at(-86400s * 365)}}), 86400, LifetimeSource::kHeuristic},
      {with(""), 0, LifetimeSource::kNone},
      // A targeted field replaces Cache-Control and Expires.
      {with("max-age=1", {{"CDN-Cache-Control", "max-age=60"}, {"Expires", future}}), 60,
       LifetimeSource::kMaxAge},
      {with("max-age=1", {{"CDN-Cache-Control", "foobar"}, {"Expires", future}}), 0,
       LifetimeSource::kNone},
  };
  for (const Case& test : cases) {
    const Lifetime lifetime =
        freshness_lifetime(200, test.response, parse_response_directives(test.response), kNow, {});
    if (lifetime.seconds.count() != test.seconds || lifetime.source != test.source) {
      FAIL((std::to_string(lifetime.seconds.count()) + ": " + std::string(test.response.text()))
               .c_str());
    }
  }
}

TEST(Freshness, HeuristicsDependOnTheStatus) {
  const Fields modified = with("", {{"Last-Modified", at(-86400s)}});
  for (int status : {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}) {
    CHECK(freshness_of(modified, static_cast<std::uint16_t>(status)).is_fresh(kNow));
  }
  for (int status : {201, 202, 302, 303, 307, 400, 403, 500, 502, 503, 504, 599}) {
    CHECK_FALSE(freshness_of(modified, static_cast<std::uint16_t>(status)).is_fresh(kNow));
  }
  CHECK(freshness_of(with("public", {{"Last-Modified", at(-86400s)}}), 599).is_fresh(kNow));
  CachePolicy none;
  none.heuristic_percent = 0;
  CHECK_FALSE(freshness_of(modified, 200, 0ms, none).is_fresh(kNow));
}

TEST(Freshness, FreshMeansYoungerThanTheLifetime) {
  const Freshness freshness = freshness_of(with("max-age=2"));
  CHECK(freshness.is_fresh(kNow + 1999ms));
  CHECK_FALSE(freshness.is_fresh(kNow + 2000ms));
  CHECK_FALSE(freshness_of(with("max-age=0")).is_fresh(kNow));
  CHECK_FALSE(freshness_of(with("max-age=3600", {{"Age", "7200"}})).is_fresh(kNow));
  CHECK_FALSE(freshness_of(with("max-age=3600", {{"Date", at(-7200s)}})).is_fresh(kNow));
  // Age and apparent age against Expires.
  CHECK_FALSE(freshness_of(with("", {{"Date", at(-10s)}, {"Expires", at(10s)}, {"Age", "25"}}))
                  .is_fresh(kNow));
  CHECK_FALSE(freshness_of(with("", {{"Date", at(10s)}, {"Expires", at(20s)}, {"Age", "15"}}))
                  .is_fresh(kNow));
}

TEST(Freshness, AgeIsRoundedDownOnceAndTtlTowardsStale) {
  const Freshness freshness = freshness_of(with("max-age=10", {{"Age", "3"}}), 200, 300ms);
  LONGLONGS_EQUAL(3, freshness.age(kNow + 699ms).count());
  LONGLONGS_EQUAL(4, freshness.age(kNow + 700ms).count());
  LONGLONGS_EQUAL(6, freshness.remaining(kNow).count());
  LONGLONGS_EQUAL(-1, freshness.remaining(kNow + 6800ms).count());
  // A clock that stepped back does not make it younger than it came.
  LONGLONGS_EQUAL(3, freshness.age(kNow - 100s).count());
}

TEST(Freshness, CarriesWhatReuseNeeds) {
  const Freshness a =
      freshness_of(with("max-age=1, stale-while-revalidate=5, stale-if-error=6, immutable"));
  CHECK(a.immutable && !a.no_cache && !a.stale_forbidden);
  CHECK(a.stale_while_revalidate == 5s && a.stale_if_error == 6s);
  for (std::string_view value : {"must-revalidate", "proxy-revalidate", "s-maxage=1"}) {
    CHECK(freshness_of(with(value)).stale_forbidden);
  }
  CHECK(freshness_of(with("no-cache, max-age=9")).no_cache);
}
