// URLs of purges become the names the cache uses.
#include "dataplane/control/purge_name.h"

#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/access/access_fixture.h"

using namespace nearfield::control;
using nearfield::http::QueryRules;

TEST_GROUP(PurgeName) {
  QueryRules rules = *QueryRules::make(std::vector<std::string>{"CMCD", "token*"}, true);
  std::shared_ptr<const nearfield::access::AccessPolicy> access =
      nearfield::access::policy_of(nearfield::access::signed_options());
  void expect_name(const char* key, std::string_view url) {
    const auto name = purge_name(url, rules, *access);
    STRCMP_EQUAL(key, name ? name->c_str() : name.error().message.c_str());
  }
  void expect_prefix(const char* key, std::string_view url) {
    const auto name = purge_prefix(url, *access);
    STRCMP_EQUAL(key, name ? name->c_str() : name.error().message.c_str());
  }
};

TEST(PurgeName, NormalisesAsRequestsAre) {
  expect_name("http://music.example/a.mp4", "http://music.example/a.mp4");
  expect_name("http://music.example/a.mp4", "HTTP://Music.Example:80/a.mp4");
  expect_name("http://music.example/", "http://music.example");
  expect_name("http://music.example:8080/a~b", "http://music.example:8080/a%7eb");
  expect_name("http://music.example/a?x=1", "http://music.example/a?x=1&CMCD=br%3D1&token_2=s");
  expect_name("http://music.example/a", "http://music.example/a?CMCD=1");
  expect_name("http://[::1]:8080/a", "http://[::1]:8080/a");
}

// A listener's URL has a token, and once purged nothing for it.
TEST(PurgeName, LeavesTokensOutAsRequestsDo) {
  for (const char* url : {"http://music.example/albums/1?URISigningPackage=secret&CMCD=br%3D1",
                          "http://music.example/albums;URISigningPackage=secret/1",
                          "http://music.example/albums/1?CAT=s",
                          "http://music.example/albums%3Burisigningpackage=secret/1"}) {
    expect_name("http://music.example/albums/1", url);
  }
  expect_name("http://other.example/1?x=1", "http://other.example/1?URISigningPackage=secret&x=1");
  // Such keys are there when no rule says what a token is.
  access = nearfield::access::AccessPolicy::open();
  expect_name("http://music.example/1?CAT=s", "http://music.example/1?CAT=s");
  expect_prefix("http://music.example/1?CAT=s", "http://music.example/1?CAT=s");
}

TEST(PurgeName, RefusesPrefixesWithATokenInThem) {
  for (const char* url : {"http://music.example/?URISigningPackage=secret",
                          "http://music.example/albums;URISigningPackage=secret/"}) {
    CHECK_FALSE_TEXT(purge_prefix(url, *access).has_value(), url);
  }
}

TEST(PurgeName, PrefixesEndWhereTheyEnd) {
  expect_prefix("http://music.example/album/", "http://music.example/album/");
  expect_prefix("http://music.example/alb", "http://music.example/alb");
  expect_prefix("http://music.example/a?token=1", "http://music.example/a?token=1");
}

TEST(PurgeName, APrefixWithoutAPathIsAWholeHost) {
  expect_prefix("http://music.example/", "http://music.example");
}

TEST(PurgeName, RefusesWhatNoRequestCouldHaveAskedFor) {
  for (const char* url :
       {"", "/a", "music.example/a", "ftp://x/a", "http:/x", "http:///a", "http://u@x/a",
        "http://x/a#b", "http://x/a b", "http://x/\xc3\xa4", "http://x/a\n"}) {
    CHECK_FALSE_TEXT(purge_name(url, rules, *access).has_value(), url);
    CHECK_FALSE_TEXT(purge_prefix(url, *access).has_value(), url);
  }
  CHECK_FALSE(purge_name("http://x/" + std::string(70'000, 'a'), rules, *access).has_value());
  for (const char* url : {"http://x/a%", "http://x/a%4", "http://x/a%zz"}) {
    CHECK_FALSE_TEXT(purge_prefix(url, *access).has_value(), url);
  }
}
