// ProxyWorker: one worker's share of the node: the acceptor of its listeners, its sessions, its
// fetches.
//
// Everything of one worker happens on its reactor's thread. What workers share (store, collapse
// table, prefix limits, settings) comes in through SharedState. The awkward part is ending: drain()
// lets responses and fetches finish and closes idle connections; the owner stops the reactor once
// idle() says so or its patience ends, and only then destroys the worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "cache/store.h"
#include "dataplane/access/reason.h"
#include "dataplane/access/replay_table.h"
#include "dataplane/access/time_floor.h"
#include "dataplane/net/prefix_limiter.h"
#include "dataplane/net/reactor.h"
#include "dataplane/origin/client.h"
#include "dataplane/proxy/access_record.h"
#include "dataplane/proxy/counters.h"
#include "dataplane/proxy/settings.h"

namespace nearfield::proxy {

class FetchTable;

// One of these a process. Outlives all workers. Thread-safe.
struct SharedState {
  explicit SharedState(cache::Store& store);
  ~SharedState();

  cache::Store& store;
  net::PrefixLimiter prefixes;
  std::atomic<std::uint32_t> connections{0};
  std::atomic<std::uint32_t> fetches{0};
  std::atomic<std::uint64_t> held_request_bytes{0};  // of content (request_content.h)
  std::unique_ptr<FetchTable> table;
  // False while the kernel says that the wall clock is not synchronised, where that is asked for.
  std::atomic<bool> clock_synchronised{true};
  std::shared_ptr<access::TimeFloor> time_floor = std::make_shared<access::TimeFloor>();
  // Tokens for one use, over reloads.
  std::shared_ptr<access::ReplayTable> replayed_tokens = std::make_shared<access::ReplayTable>();
};

class ProxyWorker final : public net::Acceptor {
 public:
  ProxyWorker(SharedState& shared, net::Reactor& reactor, origin::OriginClient& origin,
              std::shared_ptr<const Settings> settings, AccessSink* access_sink);
  ~ProxyWorker();

  // Reload: requests whose head is read from now on follow the new settings.
  void set_settings(std::shared_ptr<const Settings> settings);
  // Idle connections close now, others after the response under way; nothing new is accepted here
  // (the caller stops listening).
  void drain();
  // No session and no fetch left. Worker thread.
  bool idle() const;
  // Ends all sessions and fetches without waiting (the second SIGTERM, or the end of the drain's
  // patience).
  void abort_all();

  const Counters& counters() const;                      // any thread
  const access::CheckCounters& access_counters() const;  // any thread

  net::StreamHandler* on_accept(net::Stream& stream) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::proxy
