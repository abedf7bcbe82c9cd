// What an operator may say about origins, and how a mistake is answered: with the group, the key
// and what to do.
#include "dataplane/origin/config.h"

#include <functional>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::origin;

namespace {

OriginGroup good_group() {
  OriginGroup group = group_of_one("http://192.0.2.1:8080").value();
  group.name = "music";
  return group;
}

std::string complaint(const std::function<void(OriginGroup&)>& change) {
  OriginGroup group = good_group();
  change(group);
  const auto result = group.validate();
  return result.has_value() ? std::string("none") : result.error().message;
}

std::function<void(OriginGroup&)> secured(const std::function<void(OriginTls&)>& change) {
  return [change](OriginGroup& group) {
    group.servers[0].scheme = Scheme::https;
    change(group.tls);
  };
}

}  // namespace

TEST_GROUP(OriginConfig){};

TEST(OriginConfig, ReadsUrls) {
  const auto name = parse_origin_url("http://Origin.Example/");
  CHECK(name.has_value());
  STRCMP_EQUAL("origin.example", name->host.c_str());
  CHECK_EQUAL(80, name->port);
  STRCMP_EQUAL("origin.example:80", name->name().c_str());
  const auto v6 = parse_origin_url("http://[2001:db8::1]:9000");
  CHECK(v6.has_value());
  STRCMP_EQUAL("2001:db8::1", v6->host.c_str());
  CHECK_EQUAL(9000, v6->port);
  STRCMP_EQUAL("[2001:db8::1]:9000", v6->name().c_str());
}

TEST(OriginConfig, RefusesOddUrls) {
  for (const char* url : {"",
                          "origin.example",
                          "ftp://a",
                          "http://",
                          "http://:80",
                          "http://a:",
                          "http://a:0",
                          "http://a:65536",
                          "http://a:8o",
                          "http://user@a",
                          "http://a/path",
                          "http://a?q",
                          "http://a b",
                          "http://[::1",
                          "http://[]",
                          "http://[a]",
                          "http://a..b",
                          "http://.a",
                          "http://a:80:80",
                          "http://[192.0.2.1]"}) {
    CHECK_TEXT(!parse_origin_url(url).has_value(), url);
  }
}

TEST(OriginConfig, HttpsHasItsOwnPort) {
  const auto usual = parse_origin_url("HTTPS://Origin.Example");
  CHECK(usual.has_value());
  CHECK(usual->scheme == Scheme::https);
  CHECK_EQUAL(443, usual->port);
  STRCMP_EQUAL("https://origin.example:443", usual->url().c_str());
  STRCMP_EQUAL("https://[::1]:8443", parse_origin_url("https://[::1]:8443")->url().c_str());
  STRCMP_EQUAL("http://a:443", parse_origin_url("http://a:443")->url().c_str());
}

TEST(OriginConfig, NamesTheKeyThatIsWrong) {
  struct Case {
    const char* expected;
    std::function<void(OriginGroup&)> change;
  };
  const std::vector<Case> cases = {
      {"none", [](OriginGroup&) {}},
      {"name ", [](OriginGroup& g) { g.name.clear(); }},
      {"hosts ", [](OriginGroup& g) { g.hosts.clear(); }},
      {"hosts[0] is 'A.example'", [](OriginGroup& g) { g.hosts = {"A.example"}; }},
      {"hosts[1]", [](OriginGroup& g) { g.hosts = {"a.example", "a.*"}; }},
      {"servers ", [](OriginGroup& g) { g.servers.clear(); }},
      {"servers[1] is the same as servers[0]",
       [](OriginGroup& g) { g.servers.push_back(g.servers[0]); }},
      {"servers[0].port is 0: use 1 to 65535", [](OriginGroup& g) { g.servers[0].port = 0; }},
      {"servers[0].weight is 0: use 1 to 1000", [](OriginGroup& g) { g.servers[0].weight = 0; }},
      {"servers[0].priority", [](OriginGroup& g) { g.servers[0].priority = 1001; }},
      {"host_header", [](OriginGroup& g) { g.host_header = "a b"; }},
      {"host_header", [](OriginGroup& g) { g.host_header = "*.a"; }},
      {"none", [](OriginGroup& g) { g.host_header = "[::1]:80"; }},
      {"path.strip", [](OriginGroup& g) { g.path.strip = "music"; }},
      {"path.add", [](OriginGroup& g) { g.path.add = "/music/"; }},
      {"path.add", [](OriginGroup& g) { g.path.add = "/a?b"; }},
      {"timeouts.connect", [](OriginGroup& g) { g.timeouts.connect = Duration::zero(); }},
      {"timeouts.first_byte",
       [](OriginGroup& g) { g.timeouts.first_byte = std::chrono::hours(25); }},
      {"timeouts.whole", [](OriginGroup& g) { g.timeouts.whole = Duration(-1); }},
      {"pool.connections", [](OriginGroup& g) { g.pool.connections = 0; }},
      {"pool.waiting_calls", [](OriginGroup& g) { g.pool.waiting_calls = 0; }},
      {"retries is 17: use 0 to 16", [](OriginGroup& g) { g.retries = 17; }},
      {"health.eject is longer", [](OriginGroup& g) { g.health.eject = std::chrono::minutes(1); }},
      {"health.path", [](OriginGroup& g) { g.health.path = "check"; }},
      {"health.interval",
       [](OriginGroup& g) {
         g.health.path = "/check";
         g.health.interval = Duration::zero();
       }},
      {"health.expected_status",
       [](OriginGroup& g) {
         g.health.path = "/check";
         g.health.expected_status = 99;
       }},
      {"none", [](OriginGroup& g) { g.servers[0].scheme = Scheme::https; }},
      {"tls is set, but no server's url begins with https",
       [](OriginGroup& g) { g.tls.verify = false; }},
      {"tls.ca is set, but tls.verify is false", secured([](OriginTls& tls) {
         tls.verify = false;
         tls.ca_file = "ca.pem";
       })},
      {"tls.server_name is 'A b'", secured([](OriginTls& tls) { tls.server_name = "A b"; })},
      {"none", secured([](OriginTls& tls) { tls.server_name = "2001:db8::1"; })},
      {"tls.certificate is set without tls.key",
       secured([](OriginTls& tls) { tls.certificate_file = "a.pem"; })},
      {"tls.key is set without tls.certificate",
       secured([](OriginTls& tls) { tls.key_file = "a.pem"; })},
      {"tls.pins[1]",
       secured([](OriginTls& tls) { tls.pins = {std::string(64, 'a'), "sha256/short"}; })},
      {"tls.pins has more than 16",
       secured([](OriginTls& tls) { tls.pins.assign(17, std::string(64, 'a')); })},
      {"tls.minimum_version is '1.1': use 1.2 or 1.3",
       secured([](OriginTls& tls) { tls.minimum_version = "1.1"; })},
  };
  for (const Case& one : cases) STRCMP_CONTAINS(one.expected, complaint(one.change).c_str());
}

TEST(OriginConfig, HostPatterns) {
  for (const char* good :
       {"*", "a", "a.example", "a.example:8080", "*.a.example", "[::1]", "[::1]:80", "192.0.2.1"}) {
    STRCMP_EQUAL("none", complaint([&](OriginGroup& g) { g.hosts = {good}; }).c_str());
  }
  for (const char* bad :
       {"", "**", "*a", "a:", "a:0", "a:b", "*.", "*.*", "[::1", "[a]", "a b", "a/b"}) {
    CHECK_TEXT(complaint([&](OriginGroup& g) { g.hosts = {bad}; }) != "none", bad);
  }
}

TEST(OriginConfig, GroupsTogetherNameEverythingOnce) {
  OriginGroup one = good_group();
  OriginGroup two = good_group();
  STRCMP_CONTAINS("origin group 'music' is there twice",
                  validate({one, two}).error().message.c_str());
  two.name = "video";
  STRCMP_CONTAINS("hosts has '*', which is already served",
                  validate({one, two}).error().message.c_str());
  two.hosts = {"video.example"};
  CHECK(validate({one, two}).has_value());
}
