// What of a node's TLS is shown as JSON: in short within the status, in full by itself.
#include "dataplane/control/tls_json.h"

#include <algorithm>
#include <boost/json.hpp>
#include <format>

namespace nearfield::control {
namespace {

namespace json = boost::json;

std::string time_text(WallTime time) { return std::format("{:%FT%T}Z", time); }

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

json::array certificates_array(const std::vector<tls::CertificateExpiry>& certificates,
                               WallTime now) {
  json::array array;
  for (const tls::CertificateExpiry& one : certificates) {
    array.push_back(json::object{{"file", one.file},
                                 {"subject", one.subject},
                                 {"names", json::value_from(one.names)},
                                 {"expires_at", time_text(one.not_after)},
                                 {"expires_in_seconds", (one.not_after - now).count()}});
  }
  return array;
}

json::object pool_object(const tls::HandshakePoolCounts& pool) {
  json::object failed;
  for (std::size_t kind = 1; kind < tls::kHandshakeFailures; ++kind) {
    failed.emplace(tls::text(static_cast<tls::HandshakeFailure>(kind)), pool.failed[kind]);
  }
  json::object object{{"queued", pool.queued},
                      {"jobs", pool.jobs},
                      {"submitted", pool.submitted},
                      {"refused_full", pool.refused_full},
                      {"refused_prefix", pool.refused_prefix},
                      {"cancelled", pool.cancelled},
                      {"finished_full", pool.finished_full},
                      {"finished_resumed", pool.finished_resumed},
                      {"cpu_full_seconds", seconds(pool.cpu_full)},
                      {"cpu_resumed_seconds", seconds(pool.cpu_resumed)},
                      {"cpu_failed_seconds", seconds(pool.cpu_failed)}};
  object.emplace("failed", std::move(failed));
  return object;
}

}  // namespace

void add_tls_status(json::object& status, const TlsSnapshot& tls, WallTime now) {
  json::array listen;
  for (const net::Endpoint& endpoint : tls.listen) listen.emplace_back(endpoint.text());
  json::object object{{"engine", tls.engine},
                      {"connections_open", tls.totals.connections_open},
                      {"handshakes_open", tls.handshakes_open},
                      {"ticket_keys", tls.ticket_keys}};
  object.emplace("listen", std::move(listen));
  object.emplace("certificates", certificates_array(tls.certificates, now));
  object.emplace("origin_certificates", certificates_array(tls.origin_certificates, now));
  status.emplace("tls", std::move(object));
}

json::object tls_counters_object(const TlsTotals& totals) {
  json::object counters;
#define NEARFIELD_SHOW_TLS_TOTAL(name, help) counters.emplace(#name, totals.name);
  NEARFIELD_TLS_COUNTERS(NEARFIELD_SHOW_TLS_TOTAL)
#undef NEARFIELD_SHOW_TLS_TOTAL
  return counters;
}

std::string tls_json(const TlsSnapshot& tls, WallTime now) {
  json::object result{{"schema", 1}, {"time", time_text(now)}};
  add_tls_status(result, tls, now);
  json::object& object = result.at("tls").as_object();
  object.emplace("minimum_version", tls.minimum_version);
  object.emplace("protocols", json::value_from(tls.protocols));
  object.emplace("client_certificates", tls.client_certificates);
  object.emplace("tickets", tls.tickets);
  object.emplace("ticket_keys_file", tls.ticket_keys_file);
  object.emplace("counters", tls_counters_object(tls.totals));
  object.emplace("helpers", pool_object(tls.pool));
  return json::serialize(result);
}

}  // namespace nearfield::control
