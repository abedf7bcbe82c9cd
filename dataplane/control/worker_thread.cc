#include "dataplane/control/worker_thread.h"

#include <pthread.h>
#include <sched.h>

#include <format>
#include <future>
#include <ranges>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/control/snapshot.h"
#include "dataplane/origin/http_client.h"

namespace nearfield::control {

// Destroyed last to first: the listeners' TLS before the proxy it hands connections to, the proxy's
// calls before their client, the client before the TLS and the transport it connects with. By then
// the transport has ended, and every stream with it.
struct WorkerThread::Parts {
  std::unique_ptr<Transport> transport;
  std::unique_ptr<tls::SecureContext> secure;
  std::unique_ptr<tls::SecureConnector> connector;
  std::unique_ptr<origin::HttpOriginClient> client;
  std::unique_ptr<proxy::ProxyWorker> proxy;
  std::unique_ptr<tls::SecureAcceptor> acceptor;  // none: no listener speaks TLS
  std::promise<Result<void>> made;
};

namespace {

void name_and_pin(const WorkerOptions& options) {
  ::pthread_setname_np(::pthread_self(), std::format("nf-worker-{}", options.index).c_str());
  if (options.cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(options.cpu), &set);
  // A CPU that was taken from us since start() is the scheduler's business.
  ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
}

}  // namespace

Result<std::unique_ptr<WorkerThread>> WorkerThread::start(WorkerOptions options) {
  NEARFIELD_ASSERT(options.shared != nullptr && options.transports != nullptr);
  NEARFIELD_ASSERT(options.tls.pool != nullptr && options.tls.tally != nullptr &&
                   options.tls.engine != nullptr);
  std::unique_ptr<WorkerThread> worker(new WorkerThread());
  std::promise<Parts*> parts;
  auto made_parts = parts.get_future();
  worker->thread_ = std::thread([raw = worker.get(), &parts, options = std::move(options)] {
    Parts local;
    parts.set_value(&local);
    raw->parts_ = &local;
    raw->run(options);
  });
  auto made = made_parts.get()->made.get_future().get();
  if (!made) {
    worker->thread_.join();
    return std::unexpected(made.error());
  }
  return worker;
}

void WorkerThread::run(const WorkerOptions& options) {
  name_and_pin(options);
  auto transport = options.transports->make(options.index);
  if (!transport) {
    parts_->made.set_value(std::unexpected(transport.error()));
    return;
  }
  Parts& parts = *parts_;
  parts.transport = *std::move(transport);
  transport_ = parts.transport.get();
  net::Reactor& reactor = parts.transport->reactor();
  parts.secure =
      std::make_unique<tls::SecureContext>(reactor, *options.tls.pool, *options.tls.engine);
  parts.connector = std::make_unique<tls::SecureConnector>(*parts.secure);
  origin::HttpOriginOptions client;
  client.runs_health_checks = options.index == 0;
  client.secure = parts.connector.get();
  parts.client = origin::HttpOriginClient::create(reactor, options.directory, client);
  parts.proxy = std::make_unique<proxy::ProxyWorker>(*options.shared, reactor, *parts.client,
                                                     options.settings, options.access_sink);
  if (const TlsService& service = options.tls.service; service.settings) {
    parts.acceptor = std::make_unique<tls::SecureAcceptor>(
        *parts.secure, *options.tls.tally, *parts.proxy, service.settings, service.limits);
  }
  counters_ = &parts.proxy->counters();
  tls_counters_ = &parts.secure->counters;
  access_counters_ = &parts.proxy->access_counters();
  parts.made.set_value({});
  if (const auto ran = parts.transport->run(); !ran && options.on_failed) {
    options.on_failed(ran.error());
  }
  // Others may still look at the counters and post; stop() is the last of it.
  may_end_.wait(false);
}

WorkerThread::~WorkerThread() { stop(); }

void WorkerThread::listen(std::vector<WorkerListener> listeners) {
  auto places =
      listeners | std::views::transform([](const WorkerListener& one) {
        return Place{.place = {one.listener.local(), one.listener.descriptor()}, .kind = one.kind};
      }) |
      std::ranges::to<std::vector<Place>>();
  listeners_ = std::move(listeners);
  listen_at(std::move(places));
}

void WorkerThread::listen(const std::vector<ListenAddress>& addresses) {
  listen_at(addresses | std::views::transform([](const ListenAddress& one) {
              return Place{.place = {.local = one.address}, .kind = one.kind};
            }) |
            std::ranges::to<std::vector<Place>>());
}

void WorkerThread::listen_at(std::vector<Place> places) {
  parts_->transport->reactor().post([parts = parts_, places = std::move(places)] {
    for (const auto& [place, kind] : places) {
      NEARFIELD_ASSERT(kind == ListenKind::clear || parts->acceptor != nullptr);
      net::Acceptor& acceptor = kind == ListenKind::clear
                                    ? static_cast<net::Acceptor&>(*parts->proxy)
                                    : static_cast<net::Acceptor&>(*parts->acceptor);
      parts->transport->reactor().listen(place, acceptor);
    }
  });
}

void WorkerThread::apply(std::shared_ptr<const proxy::Settings> settings,
                         std::shared_ptr<const origin::OriginDirectory> directory, TlsService tls) {
  parts_->transport->reactor().post([parts = parts_, settings = std::move(settings),
                                     directory = std::move(directory), tls = std::move(tls)] {
    parts->proxy->set_settings(settings);
    parts->client->use(directory);
    if (parts->acceptor && tls.settings) parts->acceptor->apply(tls.settings, tls.limits);
  });
}

void WorkerThread::stop_listening() {
  // The sockets close with the task, on the worker, after it stopped using them.
  auto sockets = std::make_shared<std::vector<WorkerListener>>(std::exchange(listeners_, {}));
  parts_->transport->reactor().post([parts = parts_, sockets] {
    parts->transport->reactor().stop_listening();
    sockets->clear();
  });
}

void WorkerThread::drain() {
  parts_->transport->reactor().post([parts = parts_] { parts->proxy->drain(); });
}

void WorkerThread::ask_idle() {
  parts_->transport->reactor().post([this, parts = parts_] {
    const bool idle =
        parts->proxy->idle() && (parts->acceptor == nullptr || parts->acceptor->connections() == 0);
    const int looks = idle ? idle_looks_.load(std::memory_order_relaxed) + 1 : 0;
    idle_looks_.store(looks, std::memory_order_release);
  });
}

void WorkerThread::ask_connections(
    std::size_t limit, const std::optional<net::Endpoint>& peer,
    std::function<void(std::optional<std::vector<ConnectionReport>>)> take) {
  parts_->transport->reactor().post([parts = parts_, limit, peer, take = std::move(take)] {
    take(parts->transport->connections(limit, peer));
  });
}

void WorkerThread::add_to(NodeSnapshot& snapshot) const {
  snapshot.totals.add(*counters_);
  snapshot.tls.totals.add(*tls_counters_);
  snapshot.access.add(*access_counters_);
  add_values(transport_->values(), snapshot.transport_values);
}

void WorkerThread::stop() {
  if (!thread_.joinable()) return;
  parts_->transport->reactor().post([parts = parts_] {
    if (parts->acceptor) parts->acceptor->abort_handshakes();
    parts->proxy->abort_all();
    parts->transport->stop();
  });
  may_end_.store(true);
  may_end_.notify_one();
  thread_.join();
}

}  // namespace nearfield::control
