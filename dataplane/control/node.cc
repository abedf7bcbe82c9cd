// Impl's members stand in the order in which they may be used by those below: destruction is the
// reverse, and stop_workers() has run before it.
#include "dataplane/control/node.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <format>
#include <ranges>
#include <utility>
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
#include "dataplane/control/node_tls.h"
#include "dataplane/control/notify.h"
#include "dataplane/control/process_limits.h"
#include "dataplane/control/units.h"
#include "dataplane/control/unix_listener.h"
#include "dataplane/control/version.h"
#include "dataplane/control/worker_thread.h"
#include "dataplane/origin/resolver.h"
#include "dataplane/tls/locked_memory.h"

namespace nearfield::control {
namespace {

// Between two looks at whether the last response is out.
constexpr std::chrono::milliseconds kDrainLook{10};
// Between the last accept and the closing of idle connections: who has just connected gets to send
// the request and is answered, as a close at that moment would be the error that a restart without
// a gap must not cause.
constexpr std::chrono::milliseconds kDrainGrace{500};
constexpr mode_t kControlMode = 0660;
constexpr mode_t kHandoverMode = 0600;

std::chrono::milliseconds wall_now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

WallTime wall_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

MonotonicTime monotonic_now() { return std::chrono::steady_clock::now(); }

std::string joined(const std::vector<std::string>& words) {
  std::string result;
  for (const std::string& word : words) result += (result.empty() ? "" : ", ") + word;
  return result;
}

void say(const std::vector<TlsNotice>& notices) {
  for (const auto& [level, text] : notices) log(level, "{}", text);
}

LogLevel level_of(const origin::HealthChange& change) {
  return change.to == origin::HealthState::healthy ? LogLevel::info : LogLevel::warn;
}

}  // namespace

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
  std::uint64_t purge(std::string_view name) override { return store->purge(name); }
  std::uint64_t purge_prefix(std::string_view prefix) override {
    return store->purge_prefix(prefix);
  }
  std::string access_why(const WhyQuestion& question) override {
    return why_json(*config.settings.access, question, shared->replayed_tokens.get(),
                    shared->clock_trusted, wall_now());
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
  std::uint32_t worker_count = 0;
  std::vector<ListenAddress> bound;
  std::vector<std::string> bound_configured;
  std::optional<net::Endpoint> admin_bound;
  MonotonicTime drain_deadline{};
  std::optional<Error> failed;  // why it ended, when not in order

  EventLoop loop;
  std::unique_ptr<cache::Store> store;
  std::unique_ptr<proxy::SharedState> shared;
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

Node::Impl::~Impl() { stop_workers(); }

// Workers first, while everything they use is there; the resolver must be silent before a reactor
// goes.
void Node::Impl::stop_workers() {
  state = NodeState::stopped;
  if (resolver) resolver->stop();
  for (const auto& worker : workers) worker->stop();
  workers.clear();
  transports.reset();
}

origin::HealthListener Node::Impl::health_listener() {
  // Called on workers, whose thread must not wait for stderr.
  return [this](const origin::HealthChange& change) {
    loop.post([change] {
      log(level_of(change), "origin {}/{} is {} (was {}): {}", change.group, change.server,
          origin::health_state_text(change.to), origin::health_state_text(change.from),
          change.reason);
    });
  };
}

Result<void> Node::Impl::make_tls() {
  const bool has_keys = !config.tls.listen.empty() || origin::speaks_tls(config.origins);
  if (has_keys) {
    // Before there are keys to be kept out of swap and core files.
    for (const std::string& problem : tls::lock_memory()) log(LogLevel::warn, "{}", problem);
    tls::forbid_core_files();
  }
  auto made = NodeTls::make(config.tls, wall_now());
  if (!made) return std::unexpected(made.error());
  tls = *std::move(made);
  return {};
}

void Node::Impl::look_at_expiry() {
  const WallTime now = wall_now();
  say(tls->notices(now));
  say(expiry_notices(directory->expiries(), now));
  loop.after(kExpiryLook, [this] { look_at_expiry(); });
}

Result<void> Node::Impl::make_shared_parts() {
  if (auto made = make_tls(); !made) return made;
  worker_count =
      config.workers != 0 ? config.workers : static_cast<std::uint32_t>(available_cpus().size());
  const std::string notice = raise_descriptor_limit(maximum_streams());
  if (!notice.empty()) log(LogLevel::warn, "{}", notice);

  auto made = cache::Store::create(config.store);
  if (!made) return std::unexpected(made.error());
  store = *std::move(made);
  shared = std::make_unique<proxy::SharedState>(*store);
  resolver = std::make_shared<origin::SystemResolver>();
  auto origins = origin::OriginDirectory::create(config.origins, resolver, health_listener(),
                                                 nullptr, {.available = true, .now = wall_now()});
  if (!origins) return std::unexpected(origins.error());
  directory = *std::move(origins);
  for (const std::string& warning : directory->warnings()) log(LogLevel::warn, "{}", warning);
  look_at_expiry();
  watch_clock(loop, config.access, shared->clock_trusted);
  auto log_writer =
      AccessLog::create(config.access_log.path, worker_count, config.access_log.buffer_bytes);
  if (!log_writer) return std::unexpected(log_writer.error());
  access_log = *std::move(log_writer);
  auto opened = transport.open({.workers = worker_count,
                                .maximum_streams = maximum_streams(),
                                .content = store->arena().memory()});
  if (!opened) return std::unexpected(opened.error());
  transports = *std::move(opened);
  return {};
}

// Where the workers will accept; sockets only for a transport that wants them.
Result<Listening> Node::Impl::make_places(std::vector<HandedListener> handed) const {
  std::vector<ListenAddress> wanted = listen_addresses(config.listen, config.tls.listen);
  if (transport.listens_on_sockets) {
    return make_listening(wanted, worker_count, std::move(handed));
  }
  Listening listening;
  listening.bound = std::move(wanted);
  return listening;
}

Result<void> Node::Impl::start_workers(Listening listening) {
  std::vector<int> cpus = available_cpus();
  bool pinned = config.pin_workers;
  if (config.transport == TransportChoice::dpdk) {
    if (auto cores = parse_cores(config.dpdk.cores); cores && !cores->empty()) {
      cpus = *std::move(cores);
      pinned = true;
    }
  }
  const auto settings = std::make_shared<const proxy::Settings>(config.settings);
  for (std::uint32_t index = 0; index < worker_count; ++index) {
    WorkerOptions options;
    options.index = index;
    options.cpu = pinned ? cpus[index % cpus.size()] : -1;
    options.shared = shared.get();
    options.settings = settings;
    options.directory = directory;
    options.access_sink = &access_log->ring(index);
    options.transports = transports.get();
    options.tls = tls->worker();
    options.on_failed = [this](const Error& error) {
      loop.post([this, error] { on_worker_failed(error); });
    };
    auto worker = WorkerThread::start(std::move(options));
    if (!worker) return std::unexpected(worker.error());
    workers.push_back(*std::move(worker));
  }
  for (std::uint32_t index = 0; index < worker_count; ++index) {
    if (transport.listens_on_sockets) {
      workers[index]->listen(std::move(listening.of_worker[index]));
    } else {
      workers[index]->listen(listening.bound);
    }
  }
  bound = std::move(listening.bound);
  bound_configured = std::move(listening.configured);
  return transports->begin();
}

// A worker may get all listeners, and those whose TLS handshake is under way; origins' connections
// come on top, with room for a reload that adds some.
std::size_t Node::Impl::maximum_streams() const {
  std::size_t of_origins = 0;
  for (const origin::OriginGroup& group : config.origins) {
    of_origins += group.servers.size() * group.pool.connections;
  }
  const std::size_t handshakes = config.tls.listen.empty() ? 0 : config.tls.handshakes.total;
  return config.settings.limits.connections + handshakes +
         std::max<std::size_t>(4096, 2 * of_origins);
}

// A node with a dead worker would lose every connection the kernel gives to that worker's sockets:
// better to end and be started anew.
void Node::Impl::on_worker_failed(const Error& error) {
  if (state == NodeState::stopped) return;
  log(LogLevel::error, "a worker cannot go on: {}; ending", error.message);
  failed = error;
  finish();
}

Result<void> Node::Impl::open_control(UnixListener::IfAlive if_alive) {
  if (config.control_path.empty()) return {};
  auto listener =
      UnixListener::open(config.control_path, UnixListener::Kind::stream, kControlMode, if_alive);
  if (!listener) return std::unexpected(listener.error());
  control_listener = *std::move(listener);
  return {};
}

Result<void> Node::Impl::open_handover(UnixListener::IfAlive if_alive) {
  if (config.control_path.empty()) return {};
  auto listener =
      UnixListener::open(handover_path(config.control_path), UnixListener::Kind::sequenced_packets,
                         kHandoverMode, if_alive);
  if (!listener) return std::unexpected(listener.error());
  handover = std::make_unique<HandoverServer>(
      loop, *std::move(listener), [this] { return offers(); },
      [this] {
        control_listener.remove_path();
        begin_drain("a new process took over");
      });
  return {};
}

Result<void> Node::Impl::open_admin(bool taking_over) {
  if (!config.admin) return {};
  // With SO_REUSEPORT the process that is replaced may still hold it; otherwise it must be free.
  std::vector<HandedListener> none;
  auto listening =
      taking_over ? Result<Listening>(Listening()) : make_listening({{*config.admin}}, 1, {});
  if (!listening) return std::unexpected(listening.error());
  net::Listener listener;
  if (taking_over) {
    auto opened = net::Listener::open(*config.admin);
    if (!opened) return std::unexpected(opened.error());
    listener = *std::move(opened);
  } else {
    listener = std::move(listening->of_worker[0][0].listener);
  }
  admin_bound = listener.local();
  return server->serve_tcp(listener.release());
}

std::vector<HandoverServer::Offer> Node::Impl::offers() {
  std::vector<HandoverServer::Offer> result;
  for (const auto& worker : workers) {
    for (const auto& [listener, kind] : worker->listeners()) {
      std::string name = listener.local().text();
      for (std::size_t i = 0; i < bound.size(); ++i) {
        if (bound[i].address == listener.local()) name = bound_configured[i];
      }
      result.push_back({.configured = std::move(name),
                        .kind = kind,
                        .local = listener.local(),
                        .descriptor = listener.descriptor()});
    }
  }
  return result;
}

Result<void> Node::Impl::start(const std::string& takeover_path) {
  std::signal(SIGPIPE, SIG_IGN);
  if (!transport.listens_on_sockets && !takeover_path.empty()) {
    return failure(std::format(
        "--takeover does not go with transport {}: a NIC queue has one owner; end the running "
        "process (it drains), then start the new one",
        transport.name));
  }
  std::optional<HandoverClient> older;
  std::vector<HandedListener> handed;
  if (!takeover_path.empty()) {
    auto client = HandoverClient::connect(takeover_path);
    if (!client) return std::unexpected(client.error());
    older.emplace(*std::move(client));
    handed = std::move(older->listeners());
  } else if (auto opened = open_control(UnixListener::IfAlive::refuse); !opened) {
    return opened;
  }
  server = std::make_unique<ControlServer>(loop, *this);
  if (auto made = make_shared_parts(); !made) return made;
  auto listening = make_places(std::move(handed));
  if (!listening) return std::unexpected(listening.error());
  if (auto opened = open_admin(older.has_value()); !opened) return opened;
  loop.on_signals([this](int number) { on_signal(number); });
  if (auto started = start_workers(*std::move(listening)); !started) return started;
  state = NodeState::serving;

  const auto if_alive = older ? UnixListener::IfAlive::replace : UnixListener::IfAlive::refuse;
  if (older) {
    // From here on there is no way back: we serve. An old process that died meanwhile does not
    // change that.
    if (auto confirmed = older->confirm(); !confirmed) {
      log(LogLevel::warn, "the old process did not confirm: {}", confirmed.error().message);
    }
    if (auto opened = open_control(if_alive); !opened) {
      log(LogLevel::error, "{}; serving goes on without a control socket", opened.error().message);
    }
  }
  if (auto opened = open_handover(if_alive); !opened) {
    if (!older) return opened;
    log(LogLevel::error, "{}; serving goes on without it", opened.error().message);
  }
  if (control_listener.descriptor() >= 0) server->serve_unix(control_listener.release_descriptor());
  say_started(older.has_value());
  return {};
}

void Node::Impl::say_started(bool taken_over) {
  const cache::StoreStatistics statistics = store->statistics();
  const auto addresses =
      bound | std::views::transform([](const ListenAddress& one) {
        return one.address.text() + (one.kind == ListenKind::tls ? " (TLS)" : "");
      }) |
      std::ranges::to<std::vector<std::string>>();
  const auto origins = config.origins | std::views::transform(&origin::OriginGroup::name) |
                       std::ranges::to<std::vector<std::string>>();
  log(LogLevel::info,
      "nearfield {} {} on {} with {} worker{}: RAM {} ({} pages), policy {}, origins {}",
      version_text(), taken_over ? "took over and serves" : "serves", joined(addresses),
      worker_count, worker_count == 1 ? "" : "s", format_size(statistics.arena_capacity_bytes),
      page_kind_text(statistics.page_kind), config.store.policy, joined(origins));
  if (!config.tls.listen.empty()) log(LogLevel::info, "{}", tls->summary());
  if (admin_bound) log(LogLevel::info, "metrics and status on http://{}", admin_bound->text());
  if (!config.control_path.empty()) log(LogLevel::info, "control socket {}", config.control_path);
  const std::string& notice = store->arena().page_notice();
  if (config.store.arena.want_hugepages && !notice.empty()) log(LogLevel::warn, "{}", notice);
  notify_service_manager(std::format("READY=1\nMAINPID={}\nSTATUS=serving", ::getpid()));
}

void Node::Impl::on_signal(int number) {
  switch (number) {
    case SIGHUP:
      reload();
      break;
    case SIGUSR1:
      if (const auto opened = access_log->reopen(config.access_log.path); !opened) {
        log(LogLevel::error, "{}; the old file stays in use", opened.error().message);
      } else {
        log(LogLevel::info, "access log opened anew");
      }
      break;
    default:
      if (state == NodeState::draining) {
        log(LogLevel::warn, "told again to end: closing {} connections now",
            snapshot().totals.connections_open);
        finish();
      } else {
        begin_drain(number == SIGINT ? "interrupted" : "told to end");
      }
  }
}

void Node::Impl::begin_drain(std::string_view why) {
  if (state != NodeState::serving) return;
  state = NodeState::draining;
  drain_deadline = monotonic_now() + config.drain_timeout;
  log(LogLevel::info, "draining ({}): {} connections, at most {}", why,
      snapshot().totals.connections_open, format_duration(config.drain_timeout));
  notify_service_manager("STOPPING=1\nSTATUS=draining");
  handover.reset();
  for (const auto& worker : workers) worker->stop_listening();
  loop.after(kDrainGrace, [this] {
    if (state != NodeState::draining) return;
    for (const auto& worker : workers) worker->drain();
  });
  look_at_drain();
}

void Node::Impl::look_at_drain() {
  if (state != NodeState::draining) return;
  const bool idle = std::ranges::all_of(workers, [](const auto& worker) { return worker->idle(); });
  if (idle) {
    log(LogLevel::info, "drained");
    finish();
    return;
  }
  if (monotonic_now() >= drain_deadline) {
    log(LogLevel::warn, "the drain's time is over: closing {} connections",
        snapshot().totals.connections_open);
    finish();
    return;
  }
  for (const auto& worker : workers) worker->ask_idle();
  loop.after(kDrainLook, [this] { look_at_drain(); });
}

void Node::Impl::finish() {
  state = NodeState::stopped;
  server->stop_accepting();
  loop.stop();
}

ReloadOutcome Node::Impl::reload() {
  ReloadOutcome outcome;
  if (config_path.empty()) {
    outcome.has_file = false;
    log(LogLevel::warn, "nothing to reload: this node was started without --config");
    return outcome;
  }
  const auto refuse = [&](ConfigErrors errors) {
    ++reloads_refused;
    outcome.errors = std::move(errors);
    log(LogLevel::error, "the configuration is refused, the old one stays in force:");
    for (const ConfigError& error : outcome.errors.errors) log(LogLevel::error, "{}", error.text());
    return outcome;
  };
  const auto refuse_for = [&](std::string key, const Error& error) {
    ConfigErrors errors;
    errors.add({.file = config_path, .line = 0, .key = std::move(key), .reason = error.message});
    return refuse(std::move(errors));
  };
  auto wanted = load_config(config_path);
  if (!wanted) return refuse(std::move(wanted.error()));
  auto origins =
      origin::OriginDirectory::create(wanted->origins, resolver, health_listener(), directory.get(),
                                      {.available = true, .now = wall_now()});
  if (!origins) return refuse_for("origin", origins.error());
  auto prepared_tls = tls->prepare(wanted->tls, wall_now());
  if (!prepared_tls) return refuse_for("tls", prepared_tls.error());
  // Also when the path is the same: a rotation may have moved the file.
  if (auto opened = access_log->reopen(wanted->access_log.path); !opened) {
    return refuse_for("access_log.path", opened.error());
  }

  restart_required = needs_restart(config, *wanted);
  config.origins = wanted->origins;
  wanted->settings.access_check = config.settings.access_check;
  config.settings = wanted->settings;
  config.query_drop = wanted->query_drop;
  config.query_forward_dropped = wanted->query_forward_dropped;
  config.access = wanted->access;
  config.access_log.path = wanted->access_log.path;
  config.drain_timeout = wanted->drain_timeout;
  config.level = wanted->level;
  if (!config.tls.listen.empty() && !wanted->tls.listen.empty()) {
    tls->use(*std::move(prepared_tls), wanted->tls);
    config.tls = tls->config();
    say(tls->notices(wall_now()));
  }
  set_log_level(config.level);
  directory = *std::move(origins);
  for (const std::string& warning : directory->warnings()) log(LogLevel::warn, "{}", warning);
  const auto settings = std::make_shared<const proxy::Settings>(config.settings);
  for (const auto& worker : workers) worker->apply(settings, directory, tls->service());
  ++reloads;
  config_loaded_ms = wall_now_ms();
  outcome.reloaded = true;
  outcome.restart_required = restart_required;
  log(LogLevel::info, "configuration {} reloaded", config_path);
  if (!restart_required.empty()) {
    log(LogLevel::warn, "these changes need a restart: {}", joined(restart_required));
  }
  return outcome;
}

NodeSnapshot Node::Impl::snapshot() {
  NodeSnapshot result;
  result.node_name = config.settings.node_name;
  result.version = version_text();
  result.pid = ::getpid();
  result.state = state;
  result.now_ms = wall_now_ms();
  result.started_ms = started_ms;
  result.listen = addresses_of(bound, ListenKind::clear);
  result.tls = tls->snapshot();
  result.tls.listen = addresses_of(bound, ListenKind::tls);
  result.tls.origin_certificates = directory->expiries();
  result.admin = admin_bound;
  result.workers = worker_count;
  result.transport = transport.name;
  result.level = log_level();
  result.config_source = config.source;
  result.config_loaded_ms = config_loaded_ms;
  result.reloads = reloads;
  result.reloads_refused = reloads_refused;
  result.restart_required = restart_required;
  result.policy = config.store.policy;
  result.store = store->statistics();
  result.origins = directory;
  result.access_log_path = config.access_log.path;
  result.access_log = access_log->statistics();
  result.access.rules = config.access.options.rules.size();
  result.access.clock_trusted = shared->clock_trusted;
  for (const auto& worker : workers) worker->add_to(result);
  if (transports) add_values(transports->values(), result.transport_values);
  return result;
}

Node::Node(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Node::~Node() = default;

Result<std::unique_ptr<Node>> Node::start(NodeOptions options) {
  const std::string takeover_path = options.takeover_path;
  auto impl = std::make_unique<Impl>(std::move(options));
  set_log_level(impl->config.level);
  if (auto started = impl->start(takeover_path); !started) return std::unexpected(started.error());
  return std::unique_ptr<Node>(new Node(std::move(impl)));
}

Result<void> Node::run() {
  impl_->loop.run();
  if (impl_->failed) return std::unexpected(*impl_->failed);
  return {};
}

}  // namespace nearfield::control
