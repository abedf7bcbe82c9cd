// The shape of /metrics: what Prometheus' own checker would complain about, and the names
// dashboards rely on.
#include "dataplane/control/metrics.h"

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/control/fake_node.h"

using namespace nearfield::control;

TEST_GROUP(Metrics) {
  std::string text = metrics_text(sample_snapshot(), read_process_info());
  void expect_line(const std::string& line) {
    CHECK_TEXT(text.contains("\n" + line + "\n"), line.c_str());
  }
};

TEST(Metrics, ShowsTheNumbers) {
  expect_line("nearfield_requests_total 100");
  expect_line("nearfield_responses_total{class=\"2xx\"} 90");
  expect_line("nearfield_responses_total{class=\"4xx\"} 10");
  expect_line("nearfield_responses_broken_total 1");
  expect_line("nearfield_sent_bytes_total 123456789012");
  expect_line("nearfield_connections_refused_total{limit=\"total\"} 4");
  expect_line("nearfield_connections_refused_total{limit=\"prefix\"} 5");
  expect_line("nearfield_requests_refused_total{limit=\"fetches\"} 6");
  expect_line("nearfield_timeouts_total{kind=\"idle\"} 7");
  expect_line("nearfield_connections_open 8");
  expect_line("nearfield_cache_objects 3");
  expect_line("nearfield_transport_turns_total 9");
  expect_line("nearfield_transport_streams_open 2");
  expect_line("nearfield_origin_requests_total{group=\"origin\",server=\"192.0.2.1:9000\"} 20");
  expect_line(
      "nearfield_origin_failures_total{group=\"origin\",server=\"192.0.2.1:9000\",kind=\"timed_"
      "out\"} 1");
  expect_line("nearfield_origin_healthy{group=\"origin\",server=\"192.0.2.1:9000\"} 1");
  expect_line("nearfield_tls_handshakes_finished_total 3");
  expect_line("nearfield_tls_handshakes_refused_total{limit=\"queue\"} 6");
  expect_line("nearfield_tls_connections_open 4");
  expect_line("nearfield_tls_handshakes_open 1");
  expect_line("nearfield_tls_ticket_keys 2");
  expect_line("nearfield_tls_info{engine=\"ipsec-mb (AVX2)\"} 1");
  expect_line(
      "nearfield_tls_certificate_expiry_timestamp_seconds{file=\"/tls/a.pem\",subject=\"CN=a."
      "example\",names=\"a.example,*.b.example\",shown_to=\"listeners\"} 1700086400");
  expect_line("nearfield_tls_helper_failures_total{reason=\"not_tls\"} 5");
  expect_line("nearfield_tls_helper_handshakes_total{kind=\"resumed\"} 2");
  expect_line("nearfield_tls_helper_cpu_seconds_total{kind=\"full\"} 0.5");
  expect_line("nearfield_access_decisions_total{reason=\"token_holds\"} 21");
  expect_line("nearfield_access_decisions_total{reason=\"expired\"} 5");
  expect_line("nearfield_access_decisions_total{reason=\"busy\"} 0");
  expect_line("nearfield_access_known_tokens_total{kind=\"good\"} 18");
  expect_line("nearfield_access_known_tokens_total{kind=\"bad\"} 2");
  expect_line("nearfield_access_verifications_total{kind=\"signature\"} 3");
  expect_line("nearfield_access_verifications_total{kind=\"mac\"} 4");
  expect_line("nearfield_access_renewals_total 1");
  expect_line("nearfield_access_rules 6");
  expect_line("nearfield_access_clock_trusted 0");
  expect_line("nearfield_access_clock_behind_seconds 90");
  expect_line("nearfield_build_info{version=\"1.2.3\",transport=\"uring\"} 1");
}

TEST(Metrics, HistogramIsCumulativeAndEndsAtInfinity) {
  const std::string labels = "group=\"origin\",server=\"192.0.2.1:9000\"";
  expect_line("nearfield_origin_first_byte_seconds_bucket{" + labels + ",le=\"0.0025\"} 0");
  CHECK(text.contains("nearfield_origin_first_byte_seconds_bucket{" + labels + ",le=\"10\"} 1\n"));
  CHECK(
      text.contains("nearfield_origin_first_byte_seconds_bucket{" + labels + ",le=\"+Inf\"} 2\n"));
  expect_line("nearfield_origin_first_byte_seconds_count{" + labels + "} 2");
}

// Every sample belongs to a family with HELP and TYPE before it, counters end in _total, no family
// and no series comes twice.
TEST(Metrics, IsWellFormed) {
  std::istringstream lines(text);
  std::string line;
  std::map<std::string, std::string> types;
  std::set<std::string> helps;
  std::set<std::string> series;
  const std::regex sample(R"(^([a-z_][a-z0-9_]*)(\{[^{}]*\})? ([0-9.e+-]+|\+Inf|NaN)$)");
  while (std::getline(lines, line)) {
    std::smatch match;
    if (line.starts_with("# HELP ")) {
      const std::string name = line.substr(7, line.find(' ', 7) - 7);
      CHECK_TEXT(helps.insert(name).second, line.c_str());
      CHECK_TEXT(line.size() > 8 + name.size(), line.c_str());
      continue;
    }
    if (line.starts_with("# TYPE ")) {
      const std::size_t space = line.find(' ', 7);
      CHECK_TEXT(types.emplace(line.substr(7, space - 7), line.substr(space + 1)).second,
                 line.c_str());
      continue;
    }
    CHECK_TEXT(std::regex_match(line, match, sample), line.c_str());
    CHECK_TEXT(series.insert(match[1].str() + match[2].str()).second, line.c_str());
    std::string family = match[1];
    for (const char* ending : {"_bucket", "_sum", "_count"}) {
      const std::size_t size = std::string_view(ending).size();
      if (family.ends_with(ending) && types.contains(family.substr(0, family.size() - size))) {
        family.resize(family.size() - size);
      }
    }
    CHECK_TEXT(types.contains(family) && helps.contains(family), line.c_str());
    CHECK_TEXT((types[family] == "counter") == family.ends_with("_total"), line.c_str());
  }
  CHECK(series.size() > 100);
}

TEST(Metrics, KnowsThisProcess) {
  const ProcessInfo info = read_process_info();
  CHECK(info.resident_bytes > 1e6);
  CHECK(info.threads >= 1);
  CHECK(info.open_descriptors >= 3);
  CHECK(info.maximum_descriptors > info.open_descriptors);
}
