// Pools are made when first asked for; those of servers that went with a reload are swept when
// their last call ended.
#include "dataplane/origin/http_client.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/origin/call.h"
#include "dataplane/origin/health_prober.h"
#include "dataplane/origin/pool.h"

namespace nearfield::origin {
namespace {

// Pools of servers that are no longer configured are looked at this often until their last call
// ended.
constexpr Duration kSweepInterval = std::chrono::seconds(1);

}  // namespace

std::unique_ptr<HttpOriginClient> HttpOriginClient::create(
    net::Reactor& reactor, std::shared_ptr<const OriginDirectory> directory,
    const HttpOriginOptions& options) {
  std::unique_ptr<HttpOriginClient> client(
      new HttpOriginClient(reactor, std::move(directory), options));
  client->restart_health_checks();
  return client;
}

HttpOriginClient::HttpOriginClient(net::Reactor& reactor,
                                   std::shared_ptr<const OriginDirectory> directory,
                                   const HttpOriginOptions& options)
    : transport_{.reactor = reactor, .secure = options.secure, .limits = options.response},
      directory_(std::move(directory)),
      runs_health_checks_(options.runs_health_checks),
      sweep_timer_([](void* self) { static_cast<HttpOriginClient*>(self)->sweep(); }, this) {}

HttpOriginClient::~HttpOriginClient() { NEARFIELD_ASSERT(calls_ == 0); }

std::unique_ptr<OriginCall> HttpOriginClient::start(OriginRequest request,
                                                    OriginObserver& observer) {
  auto call = std::make_unique<HttpOriginCall>(*this, std::move(request), observer);
  call->start();
  return call;
}

void HttpOriginClient::use(std::shared_ptr<const OriginDirectory> directory) {
  directory_ = std::move(directory);
  restart_health_checks();
  sweep();
}

OriginPool& HttpOriginClient::pool(const std::shared_ptr<const OriginGroupEntry>& group,
                                   const Origin& origin) {
  auto& pool = pools_[&origin];
  if (pool == nullptr) {
    pool = std::make_unique<OriginPool>(transport_, directory_->resolver(), group, origin);
    if (!is_current(*group)) {  // a call that began before the reload and is repeated after it
      pool->retire();
      transport_.reactor.arm(sweep_timer_, transport_.reactor.now() + kSweepInterval);
    }
  }
  return *pool;
}

bool HttpOriginClient::is_current(const OriginGroupEntry& group) const {
  return std::ranges::any_of(directory_->groups(),
                             [&](const auto& entry) { return entry.get() == &group; });
}

void HttpOriginClient::restart_health_checks() {
  if (!runs_health_checks_) return;
  probers_.clear();
  for (const auto& group : directory_->groups()) {
    if (group->config.health.path.empty()) continue;
    for (const Origin& origin : group->origins) {
      probers_.push_back(
          std::make_unique<HealthProber>(transport_, directory_->resolver(), *group, origin));
    }
  }
}

// Retires the pools of servers the directory no longer has, and drops those that are done.
void HttpOriginClient::sweep() {
  bool some_left = false;
  std::erase_if(pools_, [&](const auto& entry) {
    OriginPool& pool = *entry.second;
    if (is_current(pool.group())) return false;
    pool.retire();
    some_left = some_left || !pool.empty();
    return pool.empty();
  });
  if (some_left) transport_.reactor.arm(sweep_timer_, transport_.reactor.now() + kSweepInterval);
}

}  // namespace nearfield::origin
