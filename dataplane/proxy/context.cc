// See context.h.
#include "dataplane/proxy/context.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/proxy/fetch.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

WorkerContext::WorkerContext(SharedState& shared_state, net::Reactor& worker_reactor,
                             origin::OriginClient& origin_client,
                             std::shared_ptr<const Settings> first_settings, AccessSink* sink)
    : shared(shared_state),
      store(shared_state.store),
      table(*shared_state.table),
      reactor(worker_reactor),
      origin(origin_client),
      settings(std::move(first_settings)),
      access_sink(sink),
      access(settings->access_check, settings->access, shared_state.replayed_tokens,
             SipHashKey::random(), shared_state.time_floor),
      reaper_(&WorkerContext::reap, this) {}

WorkerContext::~WorkerContext() {
  abort_fetches();
  reactor.cancel(reaper_);
}

void WorkerContext::adopt(std::unique_ptr<Fetch> fetch) { fetches_.push_back(std::move(fetch)); }

void WorkerContext::retire(Fetch& fetch) {
  const auto place = std::find_if(fetches_.begin(), fetches_.end(),
                                  [&](const auto& each) { return each.get() == &fetch; });
  NEARFIELD_ASSERT(place != fetches_.end());
  retired_.push_back(std::move(*place));
  *place = std::move(fetches_.back());
  fetches_.pop_back();
  if (!reaper_.armed()) reactor.arm(reaper_, reactor.now());
}

void WorkerContext::reap(void* context) {
  // An ending fetch may end another (a signal to a reader that is a fetch): those wait for the next
  // turn.
  const auto retired = std::exchange(static_cast<WorkerContext*>(context)->retired_, {});
}

void WorkerContext::abort_fetches() {
  while (!fetches_.empty()) fetches_.back()->abort();
  retired_.clear();
}

}  // namespace nearfield::proxy
