// NodeSnapshot: what a node is and has done at one moment, as plain values; status, counters and
// metrics are three ways to write it down.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "cache/store.h"
#include "dataplane/control/access_log.h"
#include "dataplane/control/access_snapshot.h"
#include "dataplane/control/config_error.h"
#include "dataplane/control/log.h"
#include "dataplane/control/tls_snapshot.h"
#include "dataplane/control/transport.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/origin/directory.h"
#include "dataplane/proxy/counters.h"

namespace nearfield::control {

enum class NodeState : std::uint8_t { starting, serving, draining, stopped };
std::string_view node_state_text(NodeState state);

// Sums over workers; members as in proxy::Counters.
struct CounterTotals {
#define NEARFIELD_DECLARE_TOTAL(name, help) std::uint64_t name = 0;
  NEARFIELD_PROXY_COUNTERS(NEARFIELD_DECLARE_TOTAL)
#undef NEARFIELD_DECLARE_TOTAL
  std::int64_t connections_open = 0;
  std::int64_t fetches_open = 0;

  void add(const proxy::Counters& counters);
};

struct NodeSnapshot {
  std::string node_name;
  std::string version;
  int pid = 0;
  NodeState state = NodeState::starting;
  std::chrono::milliseconds now_ms{};      // since the Unix epoch
  std::chrono::milliseconds started_ms{};  // the same
  std::vector<net::Endpoint> listen;       // as bound, in clear text
  std::optional<net::Endpoint> admin;
  std::uint32_t workers = 0;
  std::string transport;
  LogLevel level = LogLevel::info;

  std::string config_source;
  std::chrono::milliseconds config_loaded_ms{};
  std::uint64_t reloads = 0;
  std::uint64_t reloads_refused = 0;
  std::vector<std::string> restart_required;  // keys that differ from what runs

  std::string policy;
  cache::StoreStatistics store{};
  CounterTotals totals;
  TlsSnapshot tls;
  AccessSnapshot access;
  std::shared_ptr<const origin::OriginDirectory> origins;  // never null
  std::vector<TransportValue> transport_values;            // summed over workers
  std::string access_log_path;
  AccessLogStatistics access_log;
};

// Sums what has the same name.
void add_values(std::vector<TransportValue> values, std::vector<TransportValue>& to);

std::string_view page_kind_text(cache::PageKind kind);

// JSON documents of the control interface; docs/operations.md describes them.
std::string status_json(const NodeSnapshot& snapshot);
std::string counters_json(const NodeSnapshot& snapshot);

}  // namespace nearfield::control
