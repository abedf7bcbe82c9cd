// One key for one resource, and no key for two.
#include "dataplane/http/cache_key.h"

#include "tests/unit/dataplane/http/http_test_support.h"

using namespace nearfield::http;

namespace {

QueryRules rules_of(std::vector<std::string> patterns, bool forward_dropped = true) {
  return *QueryRules::make(patterns, forward_dropped);
}

RequestHead request_for(std::string_view target) {
  RequestHead head;
  head.authority = "a.net";
  head.target = target;
  head.path_size = static_cast<std::uint32_t>(std::min(target.find('?'), target.size()));
  return head;
}

std::string key_of(std::string_view target, const QueryRules& rules = {}) {
  std::string key;
  append_cache_key(key, request_for(target), rules);
  return key;
}

std::string forwarded(std::string_view target, const QueryRules& rules) {
  std::string out;
  append_forward_target(out, request_for(target), rules);
  return out;
}

}  // namespace

TEST_GROUP(CacheKey){};

TEST(CacheKey, IsTheUriInOneForm) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/", "http://a.net/"},
      {"/a/b.m4s", "http://a.net/a/b.m4s"},
      {"/a?", "http://a.net/a?"},
      {"/a?x=1&y", "http://a.net/a?x=1&y"},
      {"/%41%7e%2D%5f", "http://a.net/A~-_"},
      {"/%2f%3f%c3%A4", "http://a.net/%2F%3F%C3%A4"},
      {"/%2e%2e/b", "http://a.net/%2E%2E/b"},
      {"/a/../b//c", "http://a.net/a/../b//c"},
      {"/%zz%4%", "http://a.net/%zz%4%"},
      {"/a?q=%41+%2b", "http://a.net/a?q=A+%2B"},
  };
  for (const auto& [target, expected] : cases) TEXT_EQUAL(expected, key_of(target));
}

TEST(CacheKey, BrokenEncodingsAreNotCompletedByDecoding) {
  TEXT_EQUAL("http://a.net/%2%46", key_of("/%2%46"));
  CHECK(key_of("/%2%46") != key_of("/%2F"));
  TEXT_EQUAL("http://a.net/A?x=%4%41", key_of("/%41?x=%4%41"));
  TEXT_EQUAL("http://a.net/%41%", key_of("/%41%"));
}

TEST(CacheKey, DifferentQueriesAreDifferentObjects) {
  CHECK(key_of("/a") != key_of("/a?"));
  CHECK(key_of("/a?x=1&y=2") != key_of("/a?y=2&x=1"));
  CHECK(key_of("/a?test=1") != key_of("/a?test=2"));
}

TEST(CacheKey, RulesLeaveParametersOut) {
  const QueryRules rules = rules_of({"CMCD", "token*"});
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"/a?CMCD=bl%3D1", "http://a.net/a"},
      {"/a?CMCD", "http://a.net/a"},
      {"/a?%43MCD=1", "http://a.net/a"},
      {"/a?cmcd=1", "http://a.net/a?cmcd=1"},
      {"/a?CMCDx=1", "http://a.net/a?CMCDx=1"},
      {"/a?x=1&CMCD=2&y=3", "http://a.net/a?x=1&y=3"},
      {"/a?token=1&tokens=2&x", "http://a.net/a?x"},
      {"/a?x=CMCD", "http://a.net/a?x=CMCD"},
      {"/a?", "http://a.net/a?"},
      {"/a?x", "http://a.net/a?x"},
      {"/a?CMCD=1&", "http://a.net/a"},
  };
  for (const auto& [target, expected] : cases) TEXT_EQUAL(expected, key_of(target, rules));
}

TEST(CacheKey, OriginSeesDroppedParametersOnlyIfToldSo) {
  TEXT_EQUAL("/a?x=%41&CMCD=1", forwarded("/a?x=%41&CMCD=1", rules_of({"CMCD"}, true)));
  TEXT_EQUAL("/a?x=%41", forwarded("/a?x=%41&CMCD=1", rules_of({"CMCD"}, false)));
  TEXT_EQUAL("/a", forwarded("/a?CMCD=1", rules_of({"CMCD"}, false)));
  TEXT_EQUAL("/a?CMCD=1", forwarded("/a?CMCD=1", {}));
}

TEST(CacheKey, RulesThatMakeNoSenseAreRefusedInWords) {
  for (std::string_view pattern : {"", "*", "a*b", "a&b", "a=b", "a b", "a#", "*a", "a**"}) {
    const std::vector<std::string> patterns = {std::string(pattern)};
    const auto rules = QueryRules::make(patterns, true);
    CHECK_FALSE(rules.has_value());
    CHECK(rules.error().message.find("'" + std::string(pattern) + "'") != std::string::npos);
  }
  CHECK_FALSE(QueryRules::make(std::vector<std::string>(65, "a"), true).has_value());
}
