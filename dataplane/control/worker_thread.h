// WorkerThread: one worker: its thread, its reactor, its origin client, its share of the proxy.
//
// Invariant: what belongs to a worker is made, used and destroyed on its thread; others post to it.
// Counters are the exception, they are atomics. The owner calls stop() before what the workers
// share goes away.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/control/listening.h"
#include "dataplane/control/transport.h"
#include "dataplane/control/worker_tls.h"
#include "dataplane/origin/directory.h"
#include "dataplane/proxy/access_record.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::control {

struct NodeSnapshot;

struct WorkerOptions {
  std::uint32_t index = 0;
  int cpu = -1;  // pinned to it; -1: not pinned
  proxy::SharedState* shared = nullptr;
  std::shared_ptr<const proxy::Settings> settings;
  std::shared_ptr<const origin::OriginDirectory> directory;
  proxy::AccessSink* access_sink = nullptr;
  Transports* transports = nullptr;
  WorkerTls tls;
  // The transport failed and the worker serves no more. Called on the worker's thread.
  std::function<void(const Error&)> on_failed;
};

class WorkerThread {
 public:
  // Returns once the worker is made, or with what kept it from being made.
  static Result<std::unique_ptr<WorkerThread>> start(WorkerOptions options);
  ~WorkerThread();  // as stop()
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  // All from the control thread; none but stop() waits.
  // On sockets of the kernel, for transports that want those; or just at addresses.
  // Addresses with TLS want settings for it, from the start.
  void listen(std::vector<WorkerListener> listeners);
  void listen(const std::vector<ListenAddress>& addresses);
  // Whether listeners speak TLS at all stays as it was at the start.
  void apply(std::shared_ptr<const proxy::Settings> settings,
             std::shared_ptr<const origin::OriginDirectory> directory, TlsService tls);
  // Accepts what is queued, then no more.
  void stop_listening();
  // Closes idle connections and finishes the others; TLS handshakes end or expire.
  void drain();
  // Whether the last two looks that ask_idle() began found nothing left to do. Two, because
  // connections that were queued when the drain began are accepted a turn later.
  bool idle() const { return idle_looks_.load(std::memory_order_acquire) >= 2; }
  void ask_idle();
  // Gives `take` what Transport::connections() says, on the worker's thread.
  void ask_connections(std::size_t limit, const std::optional<net::Endpoint>& peer,
                       std::function<void(std::optional<std::vector<ConnectionReport>>)> take);
  // Ends what is left, then the thread.
  void stop();

  // Not after stop().
  // Adds what the worker has counted.
  void add_to(NodeSnapshot& snapshot) const;
  const std::vector<WorkerListener>& listeners() const {
    return listeners_;
  }  // empty after stop_listening()

 private:
  struct Parts;

  WorkerThread() = default;
  void run(const WorkerOptions& options);
  struct Place {
    net::ListenPlace place;
    ListenKind kind;
  };
  void listen_at(std::vector<Place> places);

  std::thread thread_;
  Parts* parts_ = nullptr;  // on the thread's stack, from start() to stop()
  const Transport* transport_ = nullptr;
  const proxy::Counters* counters_ = nullptr;
  const tls::SecureCounters* tls_counters_ = nullptr;
  const access::CheckCounters* access_counters_ = nullptr;
  std::vector<WorkerListener> listeners_;
  std::atomic<int> idle_looks_{0};
  std::atomic<bool> may_end_{false};
};

}  // namespace nearfield::control
