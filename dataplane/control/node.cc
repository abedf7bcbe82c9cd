// A node's start and end. What follows a reload is in node_reload.cc.
#include "dataplane/control/node.h"

#include <unistd.h>

#include <algorithm>
#include <boost/algorithm/string/join.hpp>
#include <csignal>
#include <format>
#include <ranges>
#include <utility>
#include <vector>

#include "dataplane/control/node_impl.h"
#include "dataplane/control/notify.h"
#include "dataplane/control/process_limits.h"
#include "dataplane/control/units.h"
#include "dataplane/control/version.h"
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

MonotonicTime monotonic_now() { return std::chrono::steady_clock::now(); }

LogLevel level_of(const origin::HealthChange& change) {
  return change.to == origin::HealthState::healthy ? LogLevel::info : LogLevel::warn;
}

}  // namespace

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

void Node::Impl::guard_keys(const Config& wanted) {
  const bool has_keys = !wanted.tls.listen.empty() || origin::speaks_tls(wanted.origins) ||
                        !wanted.access.options.key_sets.empty();
  if (!has_keys || std::exchange(keys_guarded, true)) return;
  for (const std::string& problem : tls::lock_memory()) log(LogLevel::warn, "{}", problem);
  tls::forbid_core_files();
}

Result<void> Node::Impl::make_tls() {
  guard_keys(config);
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
  for (const std::string& warning : config.warnings) log(LogLevel::warn, "{}", warning);
  for (const std::string& warning : directory->warnings()) log(LogLevel::warn, "{}", warning);
  look_at_expiry();
  clock_watch = std::make_unique<ClockWatch>(loop, config, *shared);
  clock_watch->begin();
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
      version_text(), taken_over ? "took over and serves" : "serves",
      boost::algorithm::join(addresses, ", "), worker_count, worker_count == 1 ? "" : "s",
      format_size(statistics.arena_capacity_bytes), page_kind_text(statistics.page_kind),
      config.store.policy, boost::algorithm::join(origins, ", "));
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
  const ClockState clock = clock_watch->state();
  result.access.clock_trusted = clock.is_trusted();
  result.access.clock_behind = clock.behind;
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
