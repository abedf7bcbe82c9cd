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
  for (const char* same : {"/p", "/p?", "/p?a=T", "/p?TT=x", "/p?cat=x&a=1", "/T=x", "/p;CAT=x",
                           "/p?a=1&&b", "/p?&", "*", "/p%3Ba=T", "/p%", "/p?C%41TS=x"}) {
    STRCMP_EQUAL(same, stripped(same).c_str());
    CHECK_TRUE(found.empty());
  }
}

// A letter encoded, another case or "%3B" for ';' once let a token pass as part of the name.
TEST(Target, TakesTokensOutInAnySpelling) {
  names = {{"Token"}, {"CAT"}};
  for (const auto& [before, after] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/p;Tok%65n=x/q", "/p/q"},
           {"/p;token=x/q", "/p/q"},
           {"/p;TOKEN=x;v=1/q", "/p;v=1/q"},
           {"/p%3BToken=x/q", "/p/q"},
           {"/p%3bToken%3dx/q", "/p/q"},
           {"/p%3Bv=1%3btoken=x%3Bmore/q", "/p%3Bv=1/q"},
           {"/p%253BTok%2565n%253Dx/q", "/p/q"},
           {"/p;%20Token%20=x/q", "/p/q"},
           {"/p?a=1&Tok%65n=x&b", "/p?a=1&b"},
           {"/p?TOKEN%3Dx", "/p"},
           {"/p?%43AT=x&a=1", "/p?a=1"},
       }) {
    STRCMP_EQUAL(after, stripped(before).c_str());
    CHECK_TRUE(found.empty());  // none of them is a token
  }
}

TEST(Target, WhatIsLoggedHasNoTokenAnywhere) {
  const std::vector<std::string> secret{"Token", "CAT"};
  const auto logged = [&secret](std::string_view text) {
    std::string cleaned;
    return std::string(without_names(text, secret, cleaned));
  };
  for (const auto& [before, after] : std::initializer_list<std::pair<const char*, const char*>>{
           {"/p;Token=x/q", "/p/q"},
           {"/p%3btok%65n%3Dx/q", "/p/q"},
           {"/p;a=1;CAT=x;b=2/q", "/p;a=1;b=2/q"},
           {"/Token=x/q", "//q"},
           {"/p%3FToken=x/q", "/p/q"},
           {"/p%2526token=x", "/p"},
           {"/p/a,Token=x/q", "/p/a,/q"},
           {"/p?Token=x", "/p"},
           {"/p?Token=x&a=1", "/p?a=1"},
           {"/p?Token=x&token=y&a=1", "/p?a=1"},
           {"/p?Token=x&token=y", "/p"},
           {"/p?a=1&cat=x/y&b", "/p?a=1&b"},
           {"/p?u=http%3A%2F%2Fh%2F%3FToken%3Dx&b", "/p?u=http%3A%2F%2Fh%2F&b"},
           {"https://h/p;Token=x/q?CAT=y", "https://h/p/q"},
       }) {
    STRCMP_EQUAL(after, logged(before).c_str());
    STRCMP_EQUAL(after, logged(after).c_str());
  }
  for (const char* same : {"/p", "/p;a=1?b=2&c", "/p%", "/token", "/p;token", "/concat=1",
                           "/p?a=Token", "/%", "/=", "?", ""}) {
    STRCMP_EQUAL(same, logged(same).c_str());
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
  for (const char* bad : {"",          "*",        "p",         "/..",
                          "/../p",     "/a/./b",   "/a/..;x/b", "/;x/albums/1",
                          "/a/%3Bx/b", "/%2e%2E/", "/a//b",     "//",
                          "/a%2Fb",    "/a%5cb",   "/a\\b",     "/a%00",
                          "/a%",       "/a%4",     "/a%zz",     "/..%3bx/"}) {
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
