// The effective configuration as JSON: valid, with units in key names, secrets none.
#include "dataplane/control/config_json.h"

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"

using namespace nearfield::control;
namespace json = boost::json;

TEST_GROUP(ConfigJson){};

TEST(ConfigJson, ShowsEveryTableWithUnits) {
  const auto config = parse_config(
      "[node]\nlisten = [\":80\"]\n[[origin]]\nname = \"m\"\nhosts = [\"*\"]\n"
      "servers = [\"http://a\", {url = \"http://[::1]:81\", weight = 2}]\n",
      "node.toml");
  CHECK(config.has_value());
  const json::value value = json::parse(config_json(*config));
  CHECK_EQUAL(1, value.at("schema").as_int64());
  STRCMP_EQUAL("node.toml", value.at("source").as_string().c_str());
  const json::value& shown = value.at("config");
  STRCMP_EQUAL("[::]:80", shown.at("node").at("listen").at(0).as_string().c_str());
  CHECK_EQUAL(60000, shown.at("node").at("drain_timeout_ms").to_number<int>());
  CHECK_EQUAL(1 << 30, shown.at("cache").at("ram_bytes").to_number<int>());
  CHECK_EQUAL(10, shown.at("cache").at("heuristic_share_percent").to_number<int>());
  CHECK_EQUAL(16384, shown.at("limits").at("header_bytes").to_number<int>());
  CHECK_EQUAL(10000, shown.at("limits").at("header_timeout_ms").to_number<int>());
  const json::value& servers = shown.at("origin").at(0).at("servers");
  STRCMP_EQUAL("http://a:80", servers.at(0).at("url").as_string().c_str());
  STRCMP_EQUAL("http://[::1]:81", servers.at(1).at("url").as_string().c_str());
  CHECK_EQUAL(2, servers.at(1).at("weight").to_number<int>());
  CHECK_EQUAL(5000, shown.at("origin").at(0).at("timeouts").at("connect_ms").to_number<int>());
}
