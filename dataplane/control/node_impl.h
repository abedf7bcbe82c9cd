// Node::Impl: everything a node has, for node.cc and node_reload.cc alone.
//
// Members stand in the order in which they may be used by those below: destruction is the reverse,
// and stop_workers() has run before it.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/access_log.h"
#include "dataplane/control/api.h"
#include "dataplane/control/clock_watch.h"
#include "dataplane/control/config_json.h"
#include "dataplane/control/control_server.h"
#include "dataplane/control/event_loop.h"
#include "dataplane/control/handover.h"
#include "dataplane/control/listening.h"
#include "dataplane/control/log.h"
#include "dataplane/control/node.h"
#include "dataplane/control/node_tls.h"
#include "dataplane/control/unix_listener.h"
#include "dataplane/control/worker_thread.h"
#include "dataplane/origin/resolver.h"

namespace nearfield::control {

inline std::chrono::milliseconds wall_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

inline void say(const std::vector<TlsNotice>& notices) {
  for (const auto& [level, text] : notices) log(level, "{}", text);
}

struct Node::Impl final : NodeControl {
  explicit Impl(NodeOptions options)
      : config(std::move(options.config)),
        transport(std::move(options.transport)),
        config_path(std::move(options.config_path)) {}
  ~Impl();

  Result<void> start(const std::string& takeover_path);
  Result<void> make_shared_parts();
  Result<Listening> make_places(std::vector<HandedListener> handed) const;
  Result<void> start_workers(Listening listening);
  Result<void> open_control(UnixListener::IfAlive if_alive);
  Result<void> open_admin(bool taking_over);
  Result<void> open_handover(UnixListener::IfAlive if_alive);
  void say_started(bool taken_over);
  // Keeps keys out of swap and core files: once, when `wanted` has any. What lies in memory by then
  // (those of access rules are read with the configuration) is locked as well.
  void guard_keys(const Config& wanted);
  Result<void> make_tls();
  void look_at_expiry();
  std::size_t maximum_streams() const;
  void on_worker_failed(const Error& error);
  void on_signal(int number);
  void begin_drain(std::string_view why);
  void look_at_drain();
  void finish();
  void stop_workers();
  std::vector<HandoverServer::Offer> offers();
  origin::HealthListener health_listener();

  // NodeControl
  NodeSnapshot snapshot() override;
  std::string effective_config_json() override { return config_json(config); }
  const http::QueryRules& query_rules() override { return config.settings.query_rules; }
  const access::AccessPolicy& access_policy() override { return *config.settings.access; }
  std::uint64_t purge(std::string_view name) override { return store->purge(name); }
  std::uint64_t purge_prefix(std::string_view prefix) override {
    return store->purge_prefix(prefix);
  }
  std::string access_why(const WhyQuestion& question) override {
    return why_json(*config.settings.access, question, shared->replayed_tokens.get(),
                    {.now = wall_now(),
                     .monotonic_now = std::chrono::steady_clock::now(),
                     .synchronised = shared->clock_synchronised,
                     .floor = shared->time_floor.get()});
  }
  ConnectionList connections(const ConnectionQuestion& question) override {
    return ask_connections(workers, question);
  }
  void drain() override { begin_drain("asked to"); }
  ReloadOutcome reload() override;

  Config config;  // in force; keys that need a restart as they were at the start
  const TransportKind transport;
  const std::string config_path;
  NodeState state = NodeState::starting;
  const std::chrono::milliseconds started_ms = wall_now_ms();
  std::chrono::milliseconds config_loaded_ms = started_ms;
  std::uint64_t reloads = 0;
  std::uint64_t reloads_refused = 0;
  std::vector<std::string> restart_required;
  bool keys_guarded = false;
  std::uint32_t worker_count = 0;
  std::vector<ListenAddress> bound;
  std::vector<std::string> bound_configured;
  std::optional<net::Endpoint> admin_bound;
  MonotonicTime drain_deadline{};
  std::optional<Error> failed;  // why it ended, when not in order

  EventLoop loop;
  std::unique_ptr<cache::Store> store;
  std::unique_ptr<proxy::SharedState> shared;
  std::unique_ptr<ClockWatch> clock_watch;
  std::shared_ptr<origin::SystemResolver> resolver;
  std::shared_ptr<const origin::OriginDirectory> directory;
  std::unique_ptr<AccessLog> access_log;
  std::unique_ptr<NodeTls> tls;
  std::unique_ptr<Transports> transports;
  std::vector<std::unique_ptr<WorkerThread>> workers;
  UnixListener control_listener;  // holds the path; its descriptor is the server's
  std::unique_ptr<HandoverServer> handover;
  std::unique_ptr<ControlServer> server;
};

}  // namespace nearfield::control
