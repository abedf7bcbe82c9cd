// See worker.h.
#include "dataplane/proxy/worker.h"

#include <utility>
#include <vector>

#include "cache/base/assert.h"
#include "cache/base/recycler.h"
#include "cache/base/take_out.h"
#include "dataplane/proxy/context.h"
#include "dataplane/proxy/fetch_table.h"
#include "dataplane/proxy/http2_session.h"
#include "dataplane/proxy/http2_stream.h"
#include "dataplane/proxy/request_work.h"
#include "dataplane/proxy/session.h"

namespace nearfield::proxy {

namespace {

// A burst of requests should not be remembered for ever.
constexpr std::size_t kIdleWorkKept = 256;

}  // namespace

SharedState::SharedState(cache::Store& shared_store)
    : store(shared_store), table(std::make_unique<FetchTable>()) {}
SharedState::~SharedState() = default;

struct ProxyWorker::Impl final : SessionOwner {
  Impl(SharedState& shared, net::Reactor& reactor, origin::OriginClient& origin,
       std::shared_ptr<const Settings> settings, AccessSink* sink)
      : context(shared, reactor, origin, std::move(settings), sink) {}

  std::unique_ptr<RequestWork> lend_work() override {
    return idle_work.take([this] {
      return std::make_unique<RequestWork>(context, request_limits(context.settings->limits));
    });
  }

  void return_work(std::unique_ptr<RequestWork> work) override {
    work->reset();
    if (work->made_for == context.settings) idle_work.give(std::move(work));
  }

  std::unique_ptr<Http2Stream> lend_stream() override {
    return idle_streams.take([this] { return std::make_unique<Http2Stream>(context); });
  }

  void return_stream(std::unique_ptr<Http2Stream> stream) override {
    stream->reset();
    idle_streams.give(std::move(stream));
  }

  void session_ended(Session& session) override {
    NEARFIELD_ASSERT(sessions[session.index].get() == &session);
    const auto ended = take_out(sessions, session.index, set_index);
    context.shared.connections.fetch_sub(1, std::memory_order_relaxed);
    count(context.counters.connections_closed);
    adjust(context.counters.connections_open, -1);
  }

  WorkerContext context;
  static void set_index(Session& session, std::size_t index) { session.index = index; }

  Recycler<RequestWork, kIdleWorkKept> idle_work;
  Recycler<Http2Stream, kIdleWorkKept> idle_streams;
  std::vector<std::unique_ptr<Session>> sessions;
  bool draining = false;
};

ProxyWorker::ProxyWorker(SharedState& shared, net::Reactor& reactor, origin::OriginClient& origin,
                         std::shared_ptr<const Settings> settings, AccessSink* access_sink)
    : impl_(std::make_unique<Impl>(shared, reactor, origin, std::move(settings), access_sink)) {}

ProxyWorker::~ProxyWorker() { NEARFIELD_ASSERT(impl_->sessions.empty()); }

void ProxyWorker::set_settings(std::shared_ptr<const Settings> settings) {
  impl_->context.set_settings(std::move(settings));
  impl_->idle_work.clear();  // their parsers have the old limits
}

net::StreamHandler* ProxyWorker::on_accept(net::Stream& stream) {
  WorkerContext& context = impl_->context;
  const Limits& limits = context.settings->limits;
  SharedState& shared = context.shared;
  if (shared.connections.fetch_add(1, std::memory_order_relaxed) >= limits.connections) {
    shared.connections.fetch_sub(1, std::memory_order_relaxed);
    count(context.counters.connections_refused_total);
    return nullptr;
  }
  net::PrefixLimiter::Slot slot;
  const net::Address prefix =
      stream.peer().address.truncated(limits.prefix_v4_bits, limits.prefix_v6_bits);
  if (!shared.prefixes.take(prefix, limits.connections_per_prefix, slot)) {
    shared.connections.fetch_sub(1, std::memory_order_relaxed);
    count(context.counters.connections_refused_prefix);
    return nullptr;
  }
  count(context.counters.connections_accepted);
  adjust(context.counters.connections_open, 1);
  auto session = std::make_unique<Session>(context, *impl_, stream, std::move(slot));
  Session& accepted = *session;
  accepted.index = impl_->sessions.size();
  impl_->sessions.push_back(std::move(session));
  if (impl_->draining) accepted.drain_after_one();
  return &accepted;
}

void ProxyWorker::drain() {
  impl_->draining = true;
  // Closing ends no session within this call (on_closed comes later), so the list stands still.
  for (const auto& session : impl_->sessions) session->drain();
}

bool ProxyWorker::idle() const { return impl_->sessions.empty() && !impl_->context.has_fetches(); }

void ProxyWorker::abort_all() {
  for (const auto& session : impl_->sessions) session->abort();
  impl_->context.abort_fetches();
}

const Counters& ProxyWorker::counters() const { return impl_->context.counters; }

const access::CheckCounters& ProxyWorker::access_counters() const {
  return impl_->context.access.counters();
}

}  // namespace nearfield::proxy
