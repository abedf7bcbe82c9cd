// Directives in all the ways they are written in the wild.
#include "dataplane/http/cache_control.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono_literals;

namespace {

CacheDirectives parsed(std::string_view value) {
  CacheDirectives out;
  parse_cache_control(value, out);
  return out;
}

std::int64_t max_age(std::string_view value) {
  const auto seconds = parsed(value).max_age;
  return seconds ? seconds->count() : -1;
}

}  // namespace

TEST_GROUP(CacheControl){};

TEST(CacheControl, NumbersAreReadStrictlyAndSaturate) {
  struct Case {
    std::string_view value;
    std::int64_t expected;  // -1: no such directive
  };
  const Case cases[] = {
      {"max-age=3600", 3600},
      {"foobar, max-age=3600", 3600},
      {"MaX-aGe=3600", 3600},
      {"max-age=003600", 3600},
      {"max-age=\"3600\"", 3600},
      {"max-age=2147483647", 2147483647},
      {"max-age=2147483648", 2147483648},
      {"max-age=2147483649", 2147483648},
      {"max-age=99999999999", 2147483648},
      {"max-age=99999999999999999999999999999999999999", 2147483648},
      {"max-age=0", 0},
      // Not numbers: stale rather than fresh.
      {"max-age=-3600", 0},
      {"max-age=3600.0", 0},
      {"max-age=a3600", 0},
      {"max-age=3600a", 0},
      {"max-age='3600'", 0},
      {"max-age", 0},
      {"max-age=", 0},
      {"max-age=\"\"", 0},
      {"max-age=\"3600", 0},
      {"max-age =3600", 0},
      {"max-age= 3600", 0},
      // The first counts.
      {"max-age=1800, max-age=1", 1800},
      {"max-age=1, max-age=1800", 1},
      {"max-age=junk, max-age=1800", 0},
      // Quoted text is one thing.
      {"extension=\"max-age=3600\", max-age=1", 1},
      {"max-age=1, extension=\"a, max-age=3600\"", 1},
      {"extension=\"max-age=3600\"", -1},
      {"extension=\"\\\", max-age=3600\"", -1},
      {"xmax-age=3600", -1},
      {"max-age-x=3600", -1},
      {"\"max-age=3600\"", -1},
      {"", -1},
      {" , ,", -1},
  };
  for (const Case& test : cases) {
    if (max_age(test.value) != test.expected) {
      FAIL((std::to_string(max_age(test.value)) + ": " + std::string(test.value)).c_str());
    }
  }
}

TEST(CacheControl, EveryDirectiveIsKnown) {
  const CacheDirectives d = parsed(
      "no-store, NO-CACHE, public, private, must-revalidate, proxy-revalidate, must-understand, "
      "no-transform, "
      "immutable, only-if-cached, max-age=1, s-maxage=2, stale-while-revalidate=3, "
      "stale-if-error=4, "
      "min-fresh=5, max-stale=6");
  CHECK(d.present && d.no_store && d.no_cache && d.is_public && d.is_private && d.must_revalidate);
  CHECK(d.proxy_revalidate && d.must_understand && d.no_transform && d.immutable &&
        d.only_if_cached);
  CHECK(d.max_age == 1s && d.s_maxage == 2s && d.stale_while_revalidate == 3s);
  CHECK(d.stale_if_error == 4s && d.min_fresh == 5s && d.max_stale == 6s);
  CHECK_FALSE(d.max_stale_any);
  CHECK_FALSE(d.targeted);
}

TEST(CacheControl, AllowancesThatDoNotParseAreNone) {
  const CacheDirectives d =
      parsed("stale-while-revalidate=x, stale-if-error=-1, min-fresh, max-stale=1.5");
  CHECK_FALSE(d.stale_while_revalidate || d.stale_if_error || d.min_fresh || d.max_stale);
  CHECK_FALSE(d.max_stale_any);
  CHECK(parsed("max-stale").max_stale_any);
}

TEST(CacheControl, RestrictionsCountWhateverTheirArgument) {
  CHECK(parsed("max-age=1, max-age=2, no-store=x").no_store);
  CHECK(parsed("private=").is_private);
  CHECK(parsed("no-cache=\"\"").no_cache);
  CHECK(parsed("no-cache=\"(bad)\"").no_cache);
}

TEST(CacheControl, QualifiedFormsNameFields) {
  CacheDirectives d = parsed("no-cache=\"Set-Cookie, X-A\", private=X-B");
  CHECK_FALSE(d.no_cache || d.is_private);
  TEXT_EQUAL("set-cookie,x-a", d.no_cache_fields);
  TEXT_EQUAL("x-b", d.private_fields);
  // Once qualified, once not: the stronger one.
  d = parsed("no-cache=\"a\", no-cache");
  CHECK(d.no_cache);
}

TEST(CacheControl, TooManyFieldNamesMeanAll) {
  std::string value = "private=\"f0";
  for (int i = 1; i < 100; ++i) value += ", f" + std::to_string(i);
  CHECK(parsed(value + "\"").is_private);
}

TEST(CacheControl, LinesAreReadAsOneList) {
  const CacheDirectives d = parse_response_directives(
      fields_of({{"Cache-Control", "max-age=1800"}, {"Cache-Control", "max-age=1, no-store"}}));
  CHECK(d.max_age == 1800s);
  CHECK(d.no_store);
}

TEST(CacheControl, TargetedFieldReplacesCacheControl) {
  CacheDirectives d = parse_response_directives(fields_of(
      {{"CDN-Cache-Control", "max-age=3600, foobar"}, {"Cache-Control", "no-store, max-age=1"}}));
  CHECK(d.targeted && d.max_age == 3600s && !d.no_store);
  // Several lines are one dictionary; the last of a key counts.
  d = parse_response_directives(fields_of(
      {{"CDN-Cache-Control", "max-age=1"}, {"CDN-Cache-Control", "max-age=2, no-store=?0"}}));
  CHECK(d.max_age == 2s);
  CHECK_FALSE(d.no_store);
  d = parse_response_directives(
      fields_of({{"CDN-Cache-Control", "private, no-cache=\"X\", no-store"}}));
  CHECK(d.is_private && d.no_store && !d.no_cache);
  TEXT_EQUAL("x", d.no_cache_fields);
}

TEST(CacheControl, TargetedNumbersMustBeIntegers) {
  for (std::string_view value :
       {"max-age=\"10000\"", "max-age=1.5", "max-age=-1", "max-age", "max-age=abc"}) {
    const CacheDirectives d = parse_response_directives(
        fields_of({{"CDN-Cache-Control", value}, {"Cache-Control", "max-age=100"}}));
    CHECK(d.targeted);
    CHECK(d.max_age == 0s);
  }
  CacheDirectives d =
      parse_response_directives(fields_of({{"CDN-Cache-Control", "max-age=99999999999"}}));
  CHECK(d.max_age == kMaxSeconds);
}

TEST(CacheControl, TargetedFieldThatDoesNotParseIsNotThere) {
  for (std::string_view value : {"", "max-age=10000, &&&&&", "max-age =100", "max-age= 100",
                                 "MaX-aGe=3600", "max-age=3600,"}) {
    const CacheDirectives d = parse_response_directives(
        fields_of({{"CDN-Cache-Control", value}, {"Cache-Control", "no-store"}}));
    CHECK_FALSE(d.targeted);
    CHECK(d.no_store);
    CHECK_FALSE(d.max_age.has_value());
  }
}

TEST(CacheControl, PragmaCountsOnlyWithoutCacheControl) {
  CHECK(parse_request_directives(fields_of({{"Pragma", "foo, No-Cache"}})).no_cache);
  CHECK_FALSE(parse_request_directives(fields_of({{"Pragma", "foo"}})).no_cache);
  CHECK_FALSE(parse_request_directives(
                  fields_of({{"Pragma", "no-cache"}, {"Cache-Control", "nothing-to-see-here"}}))
                  .no_cache);
  CHECK_FALSE(parse_response_directives(fields_of({{"Pragma", "no-cache"}})).no_cache);
}
