// What is shown of TLS: everything an operator asks for, nothing secret.
#include "dataplane/control/tls_json.h"

#include <boost/json.hpp>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/control/fake_node.h"

using namespace nearfield;
using namespace nearfield::control;
namespace json = boost::json;

TEST_GROUP(TlsJson) { const NodeSnapshot snapshot = sample_snapshot(); };

TEST(TlsJson, ShowsCertificatesSettingsAndCounts) {
  const json::value value =
      json::parse(tls_json(snapshot.tls, WallTime(std::chrono::seconds(1'700'000'000))));
  CHECK_EQUAL(1, value.at("schema").to_number<int>());
  const json::value& tls = value.at("tls");
  STRCMP_EQUAL("127.0.0.1:8443", tls.at("listen").at(0).as_string().c_str());
  STRCMP_EQUAL("ipsec-mb (AVX2)", tls.at("engine").as_string().c_str());
  STRCMP_EQUAL("1.2", tls.at("minimum_version").as_string().c_str());
  const json::value& certificate = tls.at("certificates").at(0);
  STRCMP_EQUAL("/tls/a.pem", certificate.at("file").as_string().c_str());
  STRCMP_EQUAL("2023-11-15T22:13:20Z", certificate.at("expires_at").as_string().c_str());
  CHECK_EQUAL(86'400, certificate.at("expires_in_seconds").to_number<int>());
  CHECK(tls.at("origin_certificates").as_array().empty());
  CHECK_EQUAL(3, tls.at("counters").at("handshakes_finished").to_number<int>());
  CHECK_EQUAL(2, tls.at("helpers").at("finished_resumed").to_number<int>());
  CHECK_EQUAL(5, tls.at("helpers").at("failed").at("not_tls").to_number<int>());
  CHECK_EQUAL(0.5, tls.at("helpers").at("cpu_full_seconds").to_number<double>());
}

TEST(TlsJson, TheStatusHasItInShort) {
  json::object status;
  add_tls_status(status, snapshot.tls, WallTime(std::chrono::seconds(1'700'000'000)));
  const json::value& tls = status.at("tls");
  CHECK_EQUAL(4, tls.at("connections_open").to_number<int>());
  CHECK_EQUAL(1, tls.at("handshakes_open").to_number<int>());
  CHECK(tls.as_object().if_contains("counters") == nullptr);
}
