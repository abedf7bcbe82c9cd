// Which rule is for a request, and times of licences.
#include "dataplane/access/rules.h"

#include <CppUTest/TestHarness.h>

#include <deque>

using namespace nearfield;
using namespace nearfield::access;

TEST_GROUP(Rules) {
  RuleIndex index;
  std::deque<Rule> rules;
  bool add(std::string host, std::string path) {
    Rule& rule = rules.emplace_back();
    rule.name = host + path;
    return index.add(host, path, &rule);
  }
  std::string find(std::string_view host, std::string_view path) {
    const Rule* rule = index.find(host, path);
    return rule == nullptr ? "none" : rule->name;
  }
};

TEST(Rules, TheMostExactHostThenTheLongestPath) {
  add("*", "/");
  add("*.example", "/");
  add("*.music.example", "/");
  add("a.music.example", "/albums");
  add("a.music.example", "/albums/1");
  STRCMP_EQUAL("a.music.example/albums/1", find("a.music.example", "/albums/1/x").c_str());
  STRCMP_EQUAL("a.music.example/albums", find("a.music.example", "/albums/2").c_str());
  STRCMP_EQUAL("*.music.example/", find("a.music.example", "/other").c_str());
  STRCMP_EQUAL("*.music.example/", find("x.y.music.example", "/").c_str());
  STRCMP_EQUAL("*.example/", find("music.example", "/").c_str());
  STRCMP_EQUAL("*/", find("example", "/").c_str());
  CHECK_FALSE(add("*", "/"));
  CHECK_FALSE(add("a.music.example", "/albums"));
}

TEST(Rules, PathsAreWholeSegments) {
  add("h", "/a/b");
  add("h", "/a/b/");
  add("h", "/c/");
  STRCMP_EQUAL("h/a/b", find("h", "/a/b").c_str());
  STRCMP_EQUAL("h/a/b/", find("h", "/a/b/").c_str());
  STRCMP_EQUAL("h/a/b/", find("h", "/a/b/c").c_str());
  STRCMP_EQUAL("none", find("h", "/a/bc").c_str());
  STRCMP_EQUAL("none", find("h", "/a").c_str());
  STRCMP_EQUAL("none", find("h", "/c").c_str());
  STRCMP_EQUAL("h/c/", find("h", "/c/x").c_str());
  STRCMP_EQUAL("none", find("other", "/a/b").c_str());
  CHECK_TRUE(index.knows("h"));
  CHECK_FALSE(index.knows("other"));
}

TEST(Rules, TimesOfLicences) {
  CHECK(parse_rfc3339("1970-01-01T00:00:01Z") == WallTime(std::chrono::seconds(1)));
  CHECK(parse_rfc3339("2026-12-01T01:00:00+01:00") == parse_rfc3339("2026-12-01T00:00:00Z"));
  CHECK(parse_rfc3339("2026-11-30T23:30:00-00:30") == parse_rfc3339("2026-12-01T00:00:00z"));
  for (const char* bad : {"", "2026-12-01", "2026-12-01T00:00:00", "2026-13-01T00:00:00Z",
                          "2026-02-30T00:00:00Z", "2026-12-01T24:00:00Z", "2026-12-01 00:00:00Z",
                          "2026-12-01T00:00:00.5Z", "2026-12-01T00:00:00+0100"}) {
    CHECK_FALSE(parse_rfc3339(bad).has_value());
  }
}
