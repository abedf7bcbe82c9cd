// Targets: tokens taken out, normal forms, ambiguous paths.
#include "dataplane/access/target.h"

#include <CppUTest/TestHarness.h>

using namespace nearfield;
using namespace nearfield::access;

TEST_GROUP(Target) {
  TokenNames names{{"T"}, {"CAT"}};
  std::vector<FoundToken> found;
  std::string stripped(std::string_view target) {
    std::string out;
    return strip_tokens(target, names, out, found) ? out : std::string(target);
  }
};

TEST(Target, TakesTokensOutWithTheirDelimiter) {
  for (const auto& [before, after] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/p?T=x", "/p"},
           {"/p?T=x&a=1", "/p?a=1"},
           {"/p?a=1&T=x", "/p?a=1"},
           {"/p?a=1&T=x&b=2", "/p?a=1&b=2"},
           {"/p?CAT=x==&b=2", "/p?b=2"},
           {"/p;T=x", "/p"},
           {"/p;T=x/q", "/p/q"},
           {"/p;T=x;v=1/q?a", "/p;v=1/q?a"},
           {"/p;v=1;T=x/q", "/p;v=1/q"},
           {"/p;T=x?T=y&T=z", "/p"},
           {"/p?T", "/p"},
           {"/;T=x/", "//"},
       }) {
    STRCMP_EQUAL(after, stripped(before).c_str());
  }
}

TEST(Target, LeavesEverythingElse) {
  for (const char* same :
       {"/p", "/p?", "/p?a=T", "/p?TT=x", "/p?t=x", "/T=x", "/p;CAT=x", "/p?a=1&&b", "/p?&", "*"}) {
    STRCMP_EQUAL(same, stripped(same).c_str());
    CHECK_TRUE(found.empty());
  }
}

TEST(Target, SaysWhereTokensStand) {
  stripped("/a;T=one/b?CAT=two&T=three");
  LONGS_EQUAL(3, found.size());
  CHECK(found[0].value == "one" && found[0].in_path);
  CHECK(found[1].value == "two" && !found[1].in_path && found[1].name == "CAT");
  std::string many = "/p?";
  for (int i = 0; i < 20; ++i) many += "T=x&";
  STRCMP_EQUAL("/p?", stripped(many).c_str());
  LONGS_EQUAL(8, found.size());
}

TEST(Target, AmbiguousPaths) {
  for (const char* bad :
       {"", "*", "p", "/..", "/../p", "/a/./b", "/a/..;x/b", "/%2e%2E/", "/a//b", "//", "/a%2Fb",
        "/a%5cb", "/a\\b", "/a%00", "/a%", "/a%4", "/a%zz", "/..%3bx/"}) {
    CHECK_TRUE(is_ambiguous_path(bad));
  }
  for (const char* good : {"/", "/a", "/a/", "/a.b/..c/...", "/%41%20", "/a;v=1/b", "/a%2Eb"}) {
    CHECK_FALSE(is_ambiguous_path(good));
  }
}

TEST(Target, NormalUris) {
  STRCMP_EQUAL("http://a.example/p?Q",
               normal_uri(http::Scheme::kHttp, "A.example:80", "/p?Q").c_str());
  STRCMP_EQUAL("https://a.example:80/~p%2F%C3%A9",
               normal_uri(http::Scheme::kHttps, "a.example:80", "/%7ep%2f%c3%a9").c_str());
  STRCMP_EQUAL("https://[::1]:8443/", normal_uri(http::Scheme::kHttps, "[::1]:8443", "/").c_str());
  STRCMP_EQUAL("https://[::1]/", normal_uri(http::Scheme::kHttps, "[::1]:443", "/").c_str());
}

TEST(Target, PathParametersAreLeftOutAsSomeOriginsDo) {
  STRCMP_EQUAL("/albums/1/a", without_path_parameters("/albums;x=1/1/a").c_str());
  STRCMP_EQUAL("/albums/1", without_path_parameters("/albums%3Bx/1;y").c_str());
  STRCMP_EQUAL("/a/b/", without_path_parameters("/a/b/").c_str());
}

// "music.example." names the same host, and once matched no rule for it.
TEST(Target, TheRootLabelIsNoPartOfAHost) {
  STRCMP_EQUAL("music.example",
               std::string(split_authority("music.example.", http::Scheme::kHttps).host).c_str());
  STRCMP_EQUAL("music.example",
               std::string(split_authority("music.example.:80", http::Scheme::kHttp).host).c_str());
}

TEST(Target, CookiesOfOneField) {
  std::vector<std::string> values;
  const auto note = [&](std::string_view value) { values.emplace_back(value); };
  each_cookie("a=1;\tT=x ; T =y; T=\"z\";T; TT=no; t=no;T=", "T", note);
  CHECK(values == (std::vector<std::string>{"x", "z", ""}));
  values.clear();
  each_pair(" a=1 ;;b", note);
  CHECK(values == (std::vector<std::string>{"a=1", "", "b"}));
}
