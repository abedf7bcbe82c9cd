// Whatever frees a connection or a place for one ends in give() or pump(), which keep the invariant
// of the header.
#include "dataplane/origin/pool.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::origin {

OriginPool::OriginPool(const OriginTransport& transport, std::shared_ptr<Resolver> resolver,
                       std::shared_ptr<const OriginGroupEntry> group, const Origin& origin)
    : transport_(transport),
      resolver_(std::move(resolver)),
      group_(std::move(group)),
      origin_(origin) {}

OriginPool::~OriginPool() {
  NEARFIELD_ASSERT(waiting_.empty());
  drop_idle();
  for (OriginConnection* connection : std::exchange(connections_, {})) connection->discard();
}

OriginConnection* OriginPool::take() {
  if (idle_.empty() || !waiting_.empty()) return nullptr;
  OriginConnection* connection = idle_.back();
  forget_idle(*connection);
  return connection;
}

bool OriginPool::wait(Waiter& waiter) {
  if (waiting_.size() >= group_->config.pool.waiting_calls) return false;
  waiter.place_ = waiting_.insert(waiting_.end(), &waiter);
  waiter.waiting_ = true;
  OriginStatistics::move(origin_.statistics->calls_waiting, 1);
  pump();
  return true;
}

void OriginPool::leave(Waiter& waiter) {
  if (!waiter.waiting_) return;
  waiting_.erase(waiter.place_);
  waiter.waiting_ = false;
  OriginStatistics::move(origin_.statistics->calls_waiting, -1);
}

void OriginPool::drop_idle() {
  while (!idle_.empty()) {
    OriginConnection* connection = idle_.back();
    forget_idle(*connection);
    std::erase(connections_, connection);
    connection->discard();
  }
}

void OriginPool::retire() {
  retiring_ = true;
  drop_idle();
}

// Opens as many connections as calls wait for, within the limit.
void OriginPool::pump() {
  const std::size_t at_once =
      origin_.server.scheme == Scheme::https ? kDialsAtOnce : waiting_.size();
  while (dials_.size() < std::min(waiting_.size(), at_once) &&
         connections_.size() + dials_.size() < group_->config.pool.connections) {
    auto& dial = dials_.emplace_back(std::make_unique<Dialer>(
        transport_, *resolver_, group_, origin_, static_cast<DialObserver&>(*this)));
    dial->start(last_good_);
  }
}

// To the call that has waited longest, else kept.
void OriginPool::give(OriginConnection& connection) {
  if (waiting_.empty()) {
    add_idle(connection);
    return;
  }
  Waiter& waiter = *waiting_.front();
  leave(waiter);
  waiter.on_connection(connection);
}

void OriginPool::add_idle(OriginConnection& connection) {
  const std::size_t limit = retiring_ ? 0 : group_->config.pool.idle_connections;
  idle_.push_back(&connection);
  OriginStatistics::move(origin_.statistics->connections_idle, 1);
  if (idle_.size() <= limit) return;
  OriginConnection* oldest = idle_.front();
  forget_idle(*oldest);
  std::erase(connections_, oldest);
  oldest->discard();
}

void OriginPool::forget_idle(OriginConnection& connection) {
  if (std::erase(idle_, &connection) > 0) {
    OriginStatistics::move(origin_.statistics->connections_idle, -1);
  }
}

void OriginPool::on_free(OriginConnection& connection) { give(connection); }

void OriginPool::on_gone(OriginConnection& connection) {
  forget_idle(connection);
  std::erase(connections_, &connection);
  pump();
}

void OriginPool::on_dialed(Dialer& dialer, OriginConnection& connection) {
  last_good_ = connection.peer().address;
  connection.set_owner(*this);
  connections_.push_back(&connection);
  erase_dial(dialer);
  give(connection);
  pump();
}

void OriginPool::on_dial_failed(Dialer& dialer, const DialFailure& failure) {
  // The failure lies in the dialer, which ends here.
  const DialFailure told = failure;  // NOLINT(performance-unnecessary-copy-initialization)
  erase_dial(dialer);
  last_good_.reset();
  const MonotonicTime now = transport_.reactor.now();
  if (told.kind != OriginFailureKind::overloaded) {
    origin_.health->report_failure(told.message, now, transport_.reactor.random());
  }
  // The call this one was opened for goes; all go when the server has just been set aside and no
  // connection to it stands: they have better places to be than this queue.
  const bool hopeless =
      connections_.empty() && origin_.health->admission(now) == OriginHealth::Admission::closed;
  std::size_t leaving = hopeless ? waiting_.size() : std::size_t{1};
  while (leaving-- > 0 && !waiting_.empty()) {
    Waiter& waiter = *waiting_.front();
    leave(waiter);
    waiter.on_no_connection(told);
  }
  pump();
}

void OriginPool::erase_dial(Dialer& dialer) {
  std::erase_if(dials_, [&](const auto& dial) { return dial.get() == &dialer; });
}

}  // namespace nearfield::origin
