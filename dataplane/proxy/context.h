// WorkerContext: what the parts of one worker's proxy share: the reactor, the origin client, the
// settings in force, the counters, and the fetches that are under way. One a worker, used on its
// thread only (the counters may be read from anywhere).
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "cache/store.h"
#include "dataplane/access/check.h"
#include "dataplane/http/freshness.h"
#include "dataplane/net/reactor.h"
#include "dataplane/origin/client.h"
#include "dataplane/proxy/access_record.h"
#include "dataplane/proxy/counters.h"
#include "dataplane/proxy/http2_frame_pool.h"
#include "dataplane/proxy/settings.h"

namespace nearfield::proxy {

class Fetch;
class FetchTable;
struct SharedState;

struct WorkerContext {
  WorkerContext(SharedState& shared_state, net::Reactor& worker_reactor,
                origin::OriginClient& origin_client, std::shared_ptr<const Settings> first_settings,
                AccessSink* sink);
  ~WorkerContext();

  SharedState& shared;
  cache::Store& store;
  FetchTable& table;
  net::Reactor& reactor;
  origin::OriginClient& origin;
  std::shared_ptr<const Settings> settings;
  AccessSink* access_sink;  // may be null
  access::AccessCheck access;
  Counters counters;
  Http2FramePool http2_frames;

  void set_settings(std::shared_ptr<const Settings> next) {
    settings = std::move(next);
    access.set_policy(settings->access);
  }

  // Fetches live here from start to end; an ended one is destroyed in a later turn, because it ends
  // inside its own callbacks.
  void adopt(std::unique_ptr<Fetch> fetch);
  void retire(Fetch& fetch);
  bool has_fetches() const { return !fetches_.empty(); }
  void abort_fetches();

  http::PreciseTime precise_now() const { return http::PreciseTime(reactor.wall_now_ms()); }

 private:
  static void reap(void* context);
  std::vector<std::unique_ptr<Fetch>> fetches_;
  std::vector<std::unique_ptr<Fetch>> retired_;
  net::Timer reaper_;
};

}  // namespace nearfield::proxy
