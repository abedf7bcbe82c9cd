// What a shared cache may keep, and the reason it gives when not.
#include "dataplane/http/storability.h"

#include "dataplane/http/date.h"
#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield;
using namespace nearfield::http;
using namespace nearfield::http::test;
using namespace std::chrono;

namespace {

const WallTime kNow = sys_days(2025y / 6 / 1) + 12h;

struct Case {
  std::string_view cache_control;
  Storability expected;
  int status = 200;
  std::initializer_list<Field> response = {};
  std::initializer_list<Field> request = {};
  Method method = Method::kGet;
};

Storability verdict(const Case& test, const CachePolicy& policy = {}) {
  RequestHead request;
  request.method = test.method;
  request.authority = "a";
  request.target = "/dir/x";
  request.path_size = 6;
  request.fields = fields_of(test.request);
  Fields response = fields_of(test.response);
  if (!test.cache_control.empty()) response.add("Cache-Control", test.cache_control);
  const CacheDirectives directives = parse_response_directives(response);
  const auto status = static_cast<std::uint16_t>(test.status);
  return may_store(request, parse_request_directives(request.fields), status, response, directives,
                   compute_freshness(status, response, directives, {kNow, kNow}, policy), policy);
}

}  // namespace

TEST_GROUP(Storability){};

TEST(Storability, Table) {
  using enum Storability;
  const Case cases[] = {
      {"max-age=60", kStorable},
      {"", kUseless},
      {"", kStorable, 200, {{"ETag", "\"a\""}}},
      {"max-age=0", kUseless},
      {"max-age=0", kStorable, 200, {{"Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"}}},
      {"max-age=60", kUseless, 200, {{"Age", "100"}}},
      {"no-cache, max-age=60", kUseless},
      {"no-cache", kStorable, 200, {{"ETag", "unquoted"}}},
      {"max-age=0, stale-while-revalidate=60", kStorable},
      {"max-age=0, stale-if-error=60", kStorable},
      {"max-age=0, must-revalidate, stale-if-error=60", kUseless},
      {"max-age=60, no-store", kNoStore},
      {"max-age=60, No-StoRe", kNoStore},
      {"max-age=60, private", kPrivate},
      {"max-age=60, private=\"X-A\"", kStorable},
      {"max-age=60", kRequestNoStore, 200, {}, {{"Cache-Control", "no-store"}}},
      {"max-age=60", kStorable, 200, {}, {{"Cache-Control", "no-cache"}}},
      // methods
      {"max-age=60", kMethod, 200, {}, {}, Method::kHead},
      {"max-age=60", kMethod, 200, {}, {}, Method::kPost},
      {"max-age=60", kMethod, 200, {{"Content-Location", "/dir/x"}}, {}, Method::kPost},
      {"max-age=60", kMethod, 200, {}, {}, Method::kOther},
      // status
      {"max-age=60", kStorable, 599},
      {"max-age=60", kStorable, 299},
      {"max-age=60", kStorable, 302},
      {"max-age=60", kStorable, 500},
      {"s-maxage=60", kStorable, 403},
      {"max-age=60", kStatus, 304},
      {"max-age=60", kStatus, 103},
      {"", kStatus, 403, {{"ETag", "\"a\""}}},
      {"", kStatus, 500, {{"ETag", "\"a\""}}},
      {"public", kStorable, 599, {{"ETag", "\"a\""}}},
      {"", kStorable, 404, {{"ETag", "\"a\""}}},
      {"max-age=60, must-understand", kStatus, 599},
      {"max-age=60, must-understand, no-store", kStatus, 599},
      {"max-age=60, must-understand, no-store", kStorable, 200},
      // Authorization
      {"max-age=60", kAuthorization, 200, {}, {{"Authorization", "x"}}},
      {"max-age=60, proxy-revalidate", kAuthorization, 200, {}, {{"Authorization", "x"}}},
      {"max-age=60, public", kStorable, 200, {}, {{"Authorization", "x"}}},
      {"max-age=60, must-revalidate", kStorable, 200, {}, {{"Authorization", "x"}}},
      {"s-maxage=60", kStorable, 200, {}, {{"Authorization", "x"}}},
      // Vary
      {"max-age=60", kStorable, 200, {{"Vary", "A, B"}}},
      {"max-age=60", kStorable, 200, {{"Vary", ""}}},
      {"max-age=60", kVaryAny, 200, {{"Vary", "A, *"}}},
      {"max-age=60", kVaryAny, 200, {{"Vary", ""}, {"Vary", "*"}}},
      // parts
      {"max-age=60", kPartial, 206},
      {"max-age=60", kPartial, 206, {{"Content-Range", "bytes 5-4/10"}}},
      {"max-age=60", kPartial, 206, {{"Content-Range", "bytes */10"}}},
      {"max-age=60", kStorable, 206, {{"Content-Range", "bytes 4-9/10"}}},
      {"max-age=60", kStorable, 200, {{"Content-Range", "garbage"}}},
      // cookies are stored where freshness is explicit
      {"max-age=60", kStorable, 200, {{"Set-Cookie", "a=b"}}},
  };
  for (const Case& test : cases) {
    const Storability got = verdict(test);
    if (got != test.expected) {
      FAIL((std::string(storability_token(got)) + " instead of " +
            std::string(storability_token(test.expected)) + ": " + std::to_string(test.status) +
            " " + std::string(test.cache_control))
               .c_str());
    }
  }
}

TEST(Storability, PolicyDecidesAboutPostCookiesAndRequestDirectives) {
  CachePolicy policy;
  policy.store_post_responses = true;
  policy.set_cookie = SetCookie::kPass;
  policy.honour_request_directives = false;
  using enum Storability;
  CHECK(verdict({"max-age=60", kStorable, 200, {{"Content-Location", "x"}}, {}, Method::kPost},
                policy) == kStorable);
  CHECK(verdict({"max-age=60", kMethod, 200, {{"Content-Location", "/y"}}, {}, Method::kPost},
                policy) == kMethod);
  CHECK(
      verdict({"", kMethod, 200, {{"Content-Location", "x"}, {"ETag", "\"a\""}}, {}, Method::kPost},
              policy) == kMethod);
  CHECK(verdict({"max-age=60", kSetCookie, 200, {{"Set-Cookie", "a"}}}, policy) == kSetCookie);
  CHECK(verdict({"max-age=60", kStorable, 200, {}, {{"Cache-Control", "no-store"}}}, policy) ==
        kStorable);
}
