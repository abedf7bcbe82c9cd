// The form of the access log.
#include "dataplane/control/access_line.h"

#include <algorithm>
#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::control;

TEST_GROUP(AccessLine) {
  proxy::AccessRecord record;
  std::string line;
  void setup() override {
    record.time = std::chrono::milliseconds(1'700'000'000'123);
    record.protocol = "HTTP/1.1";
    record.method = "GET";
    record.authority = "music.example";
    record.path = "/a.mp4";
    record.status = 206;
    record.body_bytes = 10;
    record.cache = "nearfield; hit";
    record.first_byte = std::chrono::microseconds(70);
    record.duration = std::chrono::microseconds(99);
    record.client_prefix = *net::Address::parse("192.0.2.0");
  }
};

TEST(AccessLine, HasItsMembersInOrder) {
  append_access_line(line, record);
  STRCMP_EQUAL(
      "{\"time\":\"2023-11-14T22:13:20.123Z\",\"client\":\"192.0.2.0\",\"protocol\":\"HTTP/"
      "1.1\",\"method\":\"GET\",\"host\":"
      "\"music.example\","
      "\"path\":\"/"
      "a.mp4\",\"status\":206,\"body_bytes\":10,\"first_byte_us\":70,\"duration_us\":99,"
      "\"cache\":\"nearfield; hit\"}\n",
      line.c_str());
}

TEST(AccessLine, NamesTlsRangeAndBreakOnlyWhenThereAre) {
  record.tls = "TLSv1.3";
  record.range = "bytes=0-";
  record.broken = true;
  append_access_line(line, record);
  const boost::json::value value = boost::json::parse(line);
  STRCMP_EQUAL("TLSv1.3", value.at("tls").as_string().c_str());
  STRCMP_EQUAL("bytes=0-", value.at("range").as_string().c_str());
  CHECK(value.at("broken").as_bool());
}

TEST(AccessLine, StaysOneLineOfJsonWhateverWasAsked) {
  using namespace std::string_literals;
  const std::string hostile = "/\n{\"status\":200}\r\\\"\xff\x00"s;
  record.path = hostile;
  record.authority = "\"}\n";
  append_access_line(line, record);
  LONGS_EQUAL(1, std::count(line.begin(), line.end(), '\n'));
  const boost::json::value value = boost::json::parse(line);
  CHECK_EQUAL(206, value.at("status").as_int64());
}
