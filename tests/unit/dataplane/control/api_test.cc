// The control interface: paths, methods, bodies, errors.
#include "dataplane/control/api.h"

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/control/fake_node.h"

using namespace nearfield::control;
namespace json = boost::json;

TEST_GROUP(Api) {
  FakeNode node;
  ApiResponse response;

  void setup() override { set_log_level(LogLevel::off); }
  void teardown() override { set_log_level(LogLevel::info); }

  json::value call(std::string_view method, std::string_view target, std::string_view body = "",
                   ApiSurface surface = ApiSurface::full) {
    response = answer({.method = method, .target = target, .body = body}, surface, node);
    return response.content_type == "application/json" ? json::parse(response.body) : json::value();
  }
  void expect_error(unsigned status, const char* part) {
    LONGS_EQUAL(status, response.status);
    STRCMP_CONTAINS(part, json::parse(response.body).at("error").as_string().c_str());
  }
};

TEST(Api, ShowsStatusCountersConfigAndMetrics) {
  STRCMP_EQUAL("box-7", call("GET", "/v1/status").at("node").as_string().c_str());
  CHECK_EQUAL(100, call("GET", "/v1/counters").at("counters").at("requests").to_number<int>());
  CHECK_EQUAL(1, call("GET", "/v1/config").at("schema").as_int64());
  STRCMP_EQUAL("127.0.0.1:8443",
               call("GET", "/v1/tls").at("tls").at("listen").at(0).as_string().c_str());
  call("GET", "/metrics?x=1");
  LONGS_EQUAL(200, response.status);
  STRCMP_EQUAL("text/plain; version=0.0.4; charset=utf-8", response.content_type.c_str());
  STRCMP_CONTAINS("# TYPE nearfield_requests_total counter", response.body.c_str());
}

TEST(Api, PurgesByTheCachesOwnNames) {
  CHECK_EQUAL(1, call("POST", "/v1/purge", R"({"name":"HTTP://Music.example:80/a?CMCD=1"})")
                     .at("purged")
                     .to_number<int>());
  STRCMP_EQUAL("purge http://music.example/a", node.asked.back().c_str());
  CHECK_EQUAL(7, call("POST", "/v1/purge", R"({"prefix":"http://music.example"})")
                     .at("purged")
                     .to_number<int>());
  STRCMP_EQUAL("purge_prefix http://music.example/", node.asked.back().c_str());
}

TEST(Api, RefusesPurgesItDoesNotUnderstand) {
  for (const char* body : {"", "{}", "[]", "{\"name\":1}", "{\"nam\":\"http://x/\"}",
                           "{\"name\":\"http://x/\",\"prefix\":\"http://x/\"}", "{\"name\":\"x\"}",
                           "{\"prefix\":\"/a\"}", "{", "{\"name\":\"http://x/\"} x"}) {
    call("POST", "/v1/purge", body);
    LONGS_EQUAL_TEXT(400, response.status, body);
    CHECK_TEXT(json::parse(response.body).at("error").is_string(), body);
  }
  CHECK(node.asked.empty());
}

TEST(Api, ExplainsWhoMayListen) {
  call("POST", "/v1/access/why", R"({"url":"https://Music.example/a?t=1"})");
  LONGS_EQUAL(200, response.status);
  STRCMP_EQUAL("why music.example/a?t=1", node.asked.back().c_str());
  call("POST", "/v1/access/why", R"({"url":"a"})");
  expect_error(400, "the URL does not begin with");
  call("GET", "/v1/access/why");
  expect_error(405, "POST");
  call("POST", "/v1/access/why", R"({"url":"https://x/"})", ApiSurface::read_only);
  LONGS_EQUAL(404, response.status);
}

TEST(Api, Drains) {
  STRCMP_EQUAL("draining", call("POST", "/v1/drain").at("state").as_string().c_str());
  LONGS_EQUAL(202, response.status);
  STRCMP_EQUAL("drain", node.asked.back().c_str());
}

TEST(Api, ReloadsAndSaysWhatWaitsForARestart) {
  node.outcome.reloaded = true;
  node.outcome.restart_required = {"cache.ram"};
  const json::value value = call("POST", "/v1/reload");
  LONGS_EQUAL(200, response.status);
  STRCMP_EQUAL("cache.ram", value.at("restart_required").at(0).as_string().c_str());
}

TEST(Api, ReportsARefusedConfigurationProblemByProblem) {
  node.outcome.errors.add(
      {.file = "node.toml", .line = 3, .key = "cache.ram", .reason = "is small"});
  const json::value value = call("POST", "/v1/reload");
  expect_error(422, "the old one stays");
  const json::value& problem = value.at("problems").at(0);
  STRCMP_EQUAL("node.toml", problem.at("file").as_string().c_str());
  CHECK_EQUAL(3, problem.at("line").to_number<int>());
  STRCMP_EQUAL("cache.ram", problem.at("key").as_string().c_str());
  STRCMP_EQUAL("is small", problem.at("reason").as_string().c_str());
}

TEST(Api, CannotReloadWithoutAFile) {
  node.outcome.has_file = false;
  call("POST", "/v1/reload");
  expect_error(409, "--config");
}

TEST(Api, ChangesTheLogLevel) {
  STRCMP_EQUAL(
      "error",
      call("PUT", "/v1/log-level", R"({"level":"error"})").at("level").as_string().c_str());
  CHECK(log_level() == LogLevel::error);
  STRCMP_EQUAL("error", call("GET", "/v1/log-level").at("level").as_string().c_str());
  call("PUT", "/v1/log-level", R"({"level":"loud"})");
  expect_error(400, "'loud' is not a log level");
}

TEST(Api, KnowsWhatItDoesNotKnow) {
  call("GET", "/v1/nothing");
  expect_error(404, "GET /v1/status");
  call("POST", "/v1/status");
  expect_error(405, "GET");
  STRCMP_EQUAL("GET, HEAD", response.allow.c_str());
  call("DELETE", "/v1/log-level");
  STRCMP_EQUAL("GET, HEAD, PUT", response.allow.c_str());
  call("HEAD", "/v1/status");
  LONGS_EQUAL(200, response.status);
  call("HEAD", "/v1/purge");
  expect_error(405, "POST");
}

TEST(Api, TheAdminAddressOnlyShows) {
  for (const char* path : {"/metrics", "/v1/status"}) {
    call("GET", path, "", ApiSurface::read_only);
    LONGS_EQUAL_TEXT(200, response.status, path);
  }
  for (const char* path : {"/v1/purge", "/v1/drain", "/v1/reload", "/v1/log-level", "/v1/config",
                           "/v1/counters", "/v1/tls"}) {
    for (const char* method : {"GET", "POST", "PUT"}) {
      call(method, path, "{}", ApiSurface::read_only);
      LONGS_EQUAL_TEXT(404, response.status, path);
    }
  }
  CHECK(node.asked.empty());
}

TEST(Api, ShowsConnections) {
  ConnectionReport one;
  one.peer = *nearfield::net::Endpoint::parse("192.0.2.1:40000");
  one.local = *nearfield::net::Endpoint::parse("192.0.2.10:80");
  one.words = {{"state", "established"}};
  one.numbers = {{"in_flight_bytes", 14480}};
  node.list.connections = {one};
  const json::value shown = call("GET", "/v1/connections?limit=5&peer=192.0.2.1:40000");
  LONGS_EQUAL(200, response.status);
  STRCMP_EQUAL("connections 5 192.0.2.1:40000", node.asked.back().c_str());
  const json::object& first = shown.at("connections").at(0).as_object();
  STRCMP_EQUAL("192.0.2.1:40000", first.at("peer").as_string().c_str());
  STRCMP_EQUAL("established", first.at("state").as_string().c_str());
  CHECK_EQUAL(14480, first.at("in_flight_bytes").to_number<int>());
  CHECK_EQUAL(0, shown.at("silent_workers").to_number<int>());
  call("GET", "/v1/connections");
  STRCMP_EQUAL("connections 100", node.asked.back().c_str());
}

TEST(Api, RefusesConnectionsItDoesNotUnderstand) {
  for (const char* query : {"limit=0", "limit=1001", "limit=", "limit=5x", "limit=1&limit=2",
                            "peer=here", "peer", "who=me", "limit=1&&peer=:1"}) {
    call("GET", std::string("/v1/connections?") + query);
    LONGS_EQUAL_TEXT(400, response.status, query);
  }
  CHECK(node.asked.empty());
  call("GET", "/v1/connections?peer=192.0.2.1:1");
  expect_error(404, "there is no connection of 192.0.2.1:1");
  node.list.is_available = false;
  call("GET", "/v1/connections");
  expect_error(501, "ss -ti");
  call("GET", "/v1/connections", "", ApiSurface::read_only);
  LONGS_EQUAL(404, response.status);
}
