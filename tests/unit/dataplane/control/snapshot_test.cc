// The JSON of status and counters: members, units, times.
#include "dataplane/control/snapshot.h"

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/control/fake_node.h"

using namespace nearfield::control;
namespace json = boost::json;

TEST_GROUP(Snapshot){};

TEST(Snapshot, StatusSaysWhatTheNodeIs) {
  const json::value status = json::parse(status_json(sample_snapshot()));
  CHECK_EQUAL(1, status.at("schema").as_int64());
  STRCMP_EQUAL("serving", status.at("state").as_string().c_str());
  STRCMP_EQUAL("2023-11-14T22:13:20.000Z", status.at("started_at").as_string().c_str());
  DOUBLES_EQUAL(2.5, status.at("uptime_seconds").as_double(), 1e-9);
  STRCMP_EQUAL("[::1]:8080", status.at("listen").at(1).as_string().c_str());
  CHECK(status.at("admin").is_null());
  STRCMP_EQUAL("normal", status.at("cache").at("pages").as_string().c_str());
  CHECK_EQUAL(1 << 30, status.at("cache").at("ram_capacity_bytes").to_number<int>());
  const json::value& origin = status.at("origins").at(0);
  STRCMP_EQUAL("192.0.2.1:9000", origin.at("server").as_string().c_str());
  STRCMP_EQUAL("healthy", origin.at("state").as_string().c_str());
  CHECK_EQUAL(20, origin.at("requests").to_number<int>());
  CHECK_EQUAL(1, origin.at("failures").at("timed_out").to_number<int>());
  CHECK_EQUAL(6, status.at("access").at("rules").to_number<int>());
  CHECK_FALSE(status.at("access").at("clock_trusted").as_bool());
  CHECK_EQUAL(90, status.at("access").at("clock_behind_seconds").to_number<int>());
  CHECK_EQUAL(21, status.at("access").at("allowed").to_number<int>());
  CHECK_EQUAL(5, status.at("access").at("refused").to_number<int>());
  CHECK_EQUAL(13, status.at("access_log").at("dropped").to_number<int>());
}

TEST(Snapshot, CountersAreExactWholeNumbers) {
  const json::value value = json::parse(counters_json(sample_snapshot()));
  CHECK(value.at("counters").at("sent_bytes").to_number<std::uint64_t>() == 123'456'789'012ULL);
  CHECK_EQUAL(80, value.at("counters").at("cache_hits").to_number<int>());
  CHECK_EQUAL(8, value.at("gauges").at("connections_open").to_number<int>());
  CHECK_EQUAL(9, value.at("transport").at("turns").to_number<int>());
  const json::value& access = value.at("access");
  CHECK_EQUAL(5, access.at("decisions").at("expired").to_number<int>());
  CHECK_EQUAL(nearfield::access::kReasons, access.at("decisions").as_object().size());
  CHECK_EQUAL(18, access.at("known_good").to_number<int>());
  CHECK_EQUAL(1, access.at("renewals").to_number<int>());
}

TEST(Snapshot, AddsUpWorkers) {
  nearfield::proxy::Counters counters;
  counters.requests = 3;
  counters.connections_open = 2;
  CounterTotals totals;
  totals.add(counters);
  totals.add(counters);
  UNSIGNED_LONGS_EQUAL(6, totals.requests);
  LONGS_EQUAL(4, totals.connections_open);

  nearfield::access::CheckCounters checks;
  checks.decisions[static_cast<std::size_t>(nearfield::access::Reason::kNoToken)] = 4;
  checks.known_bad = 1;
  checks.macs_verified = 7;
  AccessSnapshot access;
  access.add(checks);
  access.add(checks);
  UNSIGNED_LONGS_EQUAL(
      8, access.decisions[static_cast<std::size_t>(nearfield::access::Reason::kNoToken)]);
  UNSIGNED_LONGS_EQUAL(2, access.known_bad);
  UNSIGNED_LONGS_EQUAL(14, access.macs_verified);
}
