// JSON members carry their unit in the name, times are RFC 3339 in UTC, and "schema" counts
// breaking changes.
#include "dataplane/control/snapshot.h"

#include <algorithm>
#include <boost/json.hpp>
#include <format>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/control/access_json.h"
#include "dataplane/control/tls_json.h"

namespace nearfield::control {
namespace {

namespace json = boost::json;

std::string time_text(std::chrono::milliseconds since_epoch) {
  return std::format("{:%FT%T}Z", std::chrono::sys_time<std::chrono::milliseconds>(since_epoch));
}

WallTime wall_time(std::chrono::milliseconds since_epoch) {
  return WallTime(std::chrono::floor<std::chrono::seconds>(since_epoch));
}

double seconds_between(std::chrono::milliseconds from, std::chrono::milliseconds to) {
  return std::chrono::duration<double>(to - from).count();
}

json::object store_object(const NodeSnapshot& snapshot) {
  const cache::StoreStatistics& store = snapshot.store;
  return {{"policy", snapshot.policy},
          {"pages", page_kind_text(store.page_kind)},
          {"ram_capacity_bytes", store.arena_capacity_bytes},
          {"ram_used_bytes", store.arena_used_bytes},
          {"index_capacity_bytes", store.index_capacity_bytes},
          {"index_used_bytes", store.index_used_bytes},
          {"objects", store.objects},
          {"blobs", store.blobs},
          {"stored_bytes", store.stored_bytes},
          {"shared_bytes", store.shared_bytes},
          {"pinned_bytes", store.pinned_bytes},
          {"metadata_bytes_per_object", store.metadata_bytes_per_object},
          {"evictions", store.evictions},
          {"evicted_bytes", store.evicted_bytes},
          {"purged", store.purged},
          {"refused_too_large", store.refused_too_large},
          {"refused_no_room", store.refused_no_room}};
}

json::array origins_array(const origin::OriginDirectory& directory) {
  json::array array;
  for (const auto& group : directory.groups()) {
    for (const origin::Origin& one : group->origins) {
      const origin::HealthSnapshot health = one.health->snapshot();
      const origin::OriginStatistics& statistics = *one.statistics;
      json::object failures;
      for (std::size_t kind = 0; kind < origin::kFailureKinds; ++kind) {
        failures.emplace(origin::failure_kind_text(static_cast<origin::OriginFailureKind>(kind)),
                         statistics.failures[kind].load(std::memory_order_relaxed));
      }
      array.push_back(json::object{
          {"group", group->config.name},
          {"server", one.server.name()},
          {"priority", one.server.priority},
          {"weight", one.server.weight},
          {"state", origin::health_state_text(health.state)},
          {"failures_in_a_row", health.failures_in_a_row},
          {"reason", health.reason},
          {"last_failure", health.last_failure},
          {"requests", statistics.requests.load(std::memory_order_relaxed)},
          {"responses", statistics.responses.load(std::memory_order_relaxed)},
          {"completed", statistics.completed.load(std::memory_order_relaxed)},
          {"retries", statistics.retries.load(std::memory_order_relaxed)},
          {"response_bytes", statistics.response_bytes.load(std::memory_order_relaxed)},
          {"failures", std::move(failures)},
          {"connections_open", statistics.connections_open.load(std::memory_order_relaxed)},
          {"connections_idle", statistics.connections_idle.load(std::memory_order_relaxed)},
          {"calls_waiting", statistics.calls_waiting.load(std::memory_order_relaxed)}});
    }
  }
  return array;
}

}  // namespace

std::string_view node_state_text(NodeState state) {
  switch (state) {
    case NodeState::starting:
      return "starting";
    case NodeState::serving:
      return "serving";
    case NodeState::draining:
      return "draining";
    case NodeState::stopped:
      return "stopped";
  }
  return "?";
}

std::string_view page_kind_text(cache::PageKind kind) {
  switch (kind) {
    case cache::PageKind::huge:
      return "huge";
    case cache::PageKind::transparent_huge:
      return "transparent_huge";
    case cache::PageKind::normal:
      return "normal";
  }
  return "?";
}

void add_values(std::vector<TransportValue> values, std::vector<TransportValue>& to) {
  for (TransportValue& value : values) {
    const auto same = std::ranges::find(to, value.name, &TransportValue::name);
    if (same == to.end()) {
      to.push_back(std::move(value));
    } else {
      same->value += value.value;
    }
  }
}

void TlsTotals::add(const tls::SecureCounters& counters) {
#define NEARFIELD_ADD_TLS_TOTAL(name, help) name += counters.name.load(std::memory_order_relaxed);
  NEARFIELD_TLS_COUNTERS(NEARFIELD_ADD_TLS_TOTAL)
#undef NEARFIELD_ADD_TLS_TOTAL
  connections_open += counters.connections_open.load(std::memory_order_relaxed);
}

void AccessSnapshot::add(const access::CheckCounters& counters) {
  for (std::size_t reason = 0; reason < access::kReasons; ++reason) {
    decisions[reason] += counters.decisions[reason].load(std::memory_order_relaxed);
  }
  known_good += counters.known_good.load(std::memory_order_relaxed);
  known_bad += counters.known_bad.load(std::memory_order_relaxed);
  signatures_verified += counters.signatures_verified.load(std::memory_order_relaxed);
  macs_verified += counters.macs_verified.load(std::memory_order_relaxed);
  renewals += counters.renewals.load(std::memory_order_relaxed);
}

void CounterTotals::add(const proxy::Counters& counters) {
#define NEARFIELD_ADD_TOTAL(name, help) name += counters.name.load(std::memory_order_relaxed);
  NEARFIELD_PROXY_COUNTERS(NEARFIELD_ADD_TOTAL)
#undef NEARFIELD_ADD_TOTAL
  connections_open += counters.connections_open.load(std::memory_order_relaxed);
  fetches_open += counters.fetches_open.load(std::memory_order_relaxed);
}

std::string status_json(const NodeSnapshot& snapshot) {
  NEARFIELD_ASSERT(snapshot.origins != nullptr);
  json::array listen;
  for (const net::Endpoint& endpoint : snapshot.listen) listen.emplace_back(endpoint.text());
  json::object result{
      {"schema", 1},
      {"node", snapshot.node_name},
      {"version", snapshot.version},
      {"pid", snapshot.pid},
      {"state", node_state_text(snapshot.state)},
      {"time", time_text(snapshot.now_ms)},
      {"started_at", time_text(snapshot.started_ms)},
      {"uptime_seconds", seconds_between(snapshot.started_ms, snapshot.now_ms)},
      {"listen", std::move(listen)},
      {"admin", snapshot.admin ? json::value(snapshot.admin->text()) : json::value(nullptr)},
      {"workers", snapshot.workers},
      {"transport", snapshot.transport},
      {"log_level", log_level_text(snapshot.level)},
      {"connections_open", snapshot.totals.connections_open},
      {"fetches_open", snapshot.totals.fetches_open}};
  result.emplace("config",
                 json::object{{"source", snapshot.config_source},
                              {"loaded_at", time_text(snapshot.config_loaded_ms)},
                              {"reloads", snapshot.reloads},
                              {"reloads_refused", snapshot.reloads_refused},
                              {"restart_required", json::value_from(snapshot.restart_required)}});
  result.emplace("cache", store_object(snapshot));
  add_tls_status(result, snapshot.tls, wall_time(snapshot.now_ms));
  result.emplace("access", access_status_object(snapshot.access));
  result.emplace("origins", origins_array(*snapshot.origins));
  result.emplace("access_log", json::object{{"path", snapshot.access_log_path},
                                            {"written", snapshot.access_log.written},
                                            {"dropped", snapshot.access_log.dropped},
                                            {"failed", snapshot.access_log.failed}});
  return json::serialize(result);
}

std::string counters_json(const NodeSnapshot& snapshot) {
  const CounterTotals& totals = snapshot.totals;
  json::object counters;
#define NEARFIELD_SHOW_TOTAL(name, help) counters.emplace(#name, totals.name);
  NEARFIELD_PROXY_COUNTERS(NEARFIELD_SHOW_TOTAL)
#undef NEARFIELD_SHOW_TOTAL
  json::object transport;
  for (const TransportValue& value : snapshot.transport_values) {
    transport.emplace(value.name, value.value);
  }
  json::object result{{"schema", 1},
                      {"time", time_text(snapshot.now_ms)},
                      {"uptime_seconds", seconds_between(snapshot.started_ms, snapshot.now_ms)}};
  result.emplace("counters", std::move(counters));
  result.emplace("gauges", json::object{{"connections_open", totals.connections_open},
                                        {"fetches_open", totals.fetches_open}});
  result.emplace("tls", tls_counters_object(snapshot.tls.totals));
  result.emplace("access", access_counters_object(snapshot.access));
  result.emplace("cache", store_object(snapshot));
  result.emplace("transport", std::move(transport));
  return json::serialize(result);
}

}  // namespace nearfield::control
