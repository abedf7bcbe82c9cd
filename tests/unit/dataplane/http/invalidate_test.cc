// What a successful unsafe request makes stale.
#include "dataplane/http/invalidate.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;
using namespace nearfield::http::test;

namespace {

RequestHead request_for(std::string_view target, Method method = Method::kPost) {
  RequestHead head;
  head.method = method;
  head.authority = "a:8080";
  head.target = target;
  head.path_size = static_cast<std::uint32_t>(std::min(target.find('?'), target.size()));
  return head;
}

std::string resolved(std::string_view reference, std::string_view target = "/b/c/d?q") {
  return resolve_same_origin(request_for(target), reference, {}).value_or("none");
}

}  // namespace

TEST_GROUP(Invalidate){};

TEST(Invalidate, ReferencesAreResolved) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"g", "http://a:8080/b/c/g"},
      {"./g", "http://a:8080/b/c/g"},
      {"g/", "http://a:8080/b/c/g/"},
      {"/g", "http://a:8080/g"},
      {"?y", "http://a:8080/b/c/d?y"},
      {"", "http://a:8080/b/c/d?q"},
      {"#s", "http://a:8080/b/c/d?q"},
      {"g?y#s", "http://a:8080/b/c/g?y"},
      {".", "http://a:8080/b/c/"},
      {"..", "http://a:8080/b/"},
      {"../g", "http://a:8080/b/g"},
      {"../../../g", "http://a:8080/g"},
      {"/./g/../h/.", "http://a:8080/h/"},
      {"//a:8080/g", "http://a:8080/g"},
      {"//A:8080?x", "http://a:8080/?x"},
      {"HTTP://a:8080/%7eg", "http://a:8080/~g"},
      {"http://a:8080", "http://a:8080/"},
      {"g:h", "none"},
      {"http:g", "none"},
      {"https://a:8080/g", "none"},
      {"http://a/g", "none"},
      {"http://b:8080/g", "none"},
      {"//b/g", "none"},
      {"//u@a:8080/g", "none"},
      {"/a b", "none"},
  };
  for (const auto& [reference, expected] : cases) TEXT_EQUAL(expected, resolved(reference));
  TEXT_EQUAL("http://a:8080/g", resolved("g", "*"));
}

TEST(Invalidate, DefaultPortsAreTheSameOrigin) {
  RequestHead request = request_for("/x");
  request.authority = "a";
  TEXT_EQUAL("http://a/y", *resolve_same_origin(request, "http://A:80/y", {}));
}

TEST(Invalidate, TargetLocationAndContentLocation) {
  const Fields response = fields_of({{"Location", "l"}, {"Content-Location", "/b/c"}});
  auto keys = invalidated_keys(request_for("/b/c"), 200, response, {});
  LONGS_EQUAL(2, keys.size());
  TEXT_EQUAL("http://a:8080/b/c", keys[0]);
  TEXT_EQUAL("http://a:8080/b/l", keys[1]);
  keys = invalidated_keys(request_for("/b/c"), 303, fields_of({{"Location", "http://b/l"}}), {});
  LONGS_EQUAL(1, keys.size());
}

TEST(Invalidate, OnlyUnsafeMethodsThatSucceeded) {
  CHECK(invalidated_keys(request_for("/", Method::kGet), 200, Fields(), {}).empty());
  CHECK(invalidated_keys(request_for("/", Method::kOptions), 200, Fields(), {}).empty());
  LONGS_EQUAL(1, invalidated_keys(request_for("/", Method::kOther), 200, Fields(), {}).size());
  LONGS_EQUAL(1, invalidated_keys(request_for("/", Method::kDelete), 204, Fields(), {}).size());
  CHECK(invalidated_keys(request_for("/"), 404, Fields(), {}).empty());
  CHECK(invalidated_keys(request_for("/"), 500, Fields(), {}).empty());
  CHECK(invalidated_keys(request_for("/"), 103, Fields(), {}).empty());
}

TEST(Invalidate, KeysFollowTheQueryRules) {
  const auto rules = *QueryRules::make(std::vector<std::string>{"CMCD"}, true);
  const auto keys = invalidated_keys(request_for("/a?CMCD=1"), 200,
                                     fields_of({{"Location", "/b?CMCD=2&x"}}), rules);
  TEXT_EQUAL("http://a:8080/a", keys[0]);
  TEXT_EQUAL("http://a:8080/b?x", keys[1]);
}

TEST(Invalidate, ContentLocationOfTheTarget) {
  CHECK(content_location_is_target(request_for("/a?x"), fields_of({{"Content-Location", "/a?x"}})));
  CHECK(content_location_is_target(request_for("/a"), fields_of({{"Content-Location", "a"}})));
  CHECK_FALSE(
      content_location_is_target(request_for("/a"), fields_of({{"Content-Location", "/b"}})));
  CHECK_FALSE(content_location_is_target(request_for("/a"), Fields()));
}
