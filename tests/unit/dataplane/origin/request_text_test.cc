// What an origin gets to read.
#include "dataplane/origin/request_text.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield::origin;

TEST_GROUP(RequestText) {
  OriginGroup group = group_of_one("http://origin.example:8080").value();
  OriginRequest request;

  TEST_SETUP() {
    request.method = "GET";
    request.authority = "music.example";
    request.path_and_query = "/a?b";
  }
  std::string text() { return request_head_text(request, group, group.servers[0]); }
};

TEST(RequestText, AsAskedByDefault) {
  request.fields.add("Accept", "audio/flac");
  STRCMP_EQUAL("GET /a?b HTTP/1.1\r\nHost: music.example\r\nAccept: audio/flac\r\n\r\n",
               text().c_str());
}

TEST(RequestText, HostIsTheGroupsElseTheListenersElseTheServers) {
  STRCMP_EQUAL("music.example", mapped_host(group, group.servers[0], "music.example").c_str());
  STRCMP_EQUAL("origin.example:8080", mapped_host(group, group.servers[0], "").c_str());
  group.servers[0].port = 80;
  STRCMP_EQUAL("origin.example", mapped_host(group, group.servers[0], "").c_str());
  group.servers[0].host = "::1";
  STRCMP_EQUAL("[::1]", mapped_host(group, group.servers[0], "").c_str());
  group.host_header = "bucket.example";
  STRCMP_EQUAL("bucket.example", mapped_host(group, group.servers[0], "music.example").c_str());
}

TEST(RequestText, ConnectionFieldsAreOurOwn) {
  for (const char* name :
       {"Host", "connection", "Content-Length", "Transfer-Encoding", "Keep-Alive", "TE", "Trailer",
        "Proxy-Connection", "Upgrade", "Expect"}) {
    request.fields.add(name, "x");
  }
  request.fields.add("Range", "bytes=0-1");
  STRCMP_EQUAL("GET /a?b HTTP/1.1\r\nHost: music.example\r\nRange: bytes=0-1\r\n\r\n",
               text().c_str());
}

TEST(RequestText, LengthWhereABodyIsOrCouldBe) {
  request.body = "12345";
  STRCMP_CONTAINS("\r\nContent-Length: 5\r\n\r\n", text().c_str());
  request.body.clear();
  CHECK(text().find("Content-Length") == std::string::npos);
  for (const char* method : {"POST", "PUT", "PATCH"}) {
    request.method = method;
    STRCMP_CONTAINS("\r\nContent-Length: 0\r\n\r\n", text().c_str());
  }
}

TEST(RequestText, PathsAreMapped) {
  const PathMapping both{.strip = "/music", .add = "/v1/bucket"};
  STRCMP_EQUAL("/v1/bucket/a", mapped_path(both, "/music/a").c_str());
  STRCMP_EQUAL("/v1/bucket/", mapped_path(both, "/music").c_str());
  STRCMP_EQUAL("/v1/bucket/?q", mapped_path(both, "/music?q").c_str());
  STRCMP_EQUAL("/v1/bucket/musical", mapped_path(both, "/musical").c_str());
  STRCMP_EQUAL("/v1/bucket/", mapped_path(both, "/").c_str());
  STRCMP_EQUAL("*", mapped_path(both, "*").c_str());
  STRCMP_EQUAL("/music", mapped_path({}, "/music").c_str());
}

TEST(RequestText, NothingThatBreaksOutOfItsLineIsSent) {
  CHECK(request_fault(request).empty());
  request.path_and_query = "*";
  CHECK(request_fault(request).empty());
  for (const char* path : {"", "a", "/a b", "/a\r\nX: y", "/\x7f"}) {
    request.path_and_query = path;
    CHECK(!request_fault(request).empty());
  }
  request.path_and_query = "/";
  request.authority = "a\r\nb";
  CHECK(!request_fault(request).empty());
  request.authority = "a";
  for (const char* method : {"", "GET /", "G\nT", "CONNECT"}) {
    request.method = method;
    CHECK(!request_fault(request).empty());
  }
}
