// OriginPool: one worker's connections to one server, and the calls that wait for one.
//
// Invariant: connections (idle, busy, draining) and those being opened together never exceed the
// limit; a call waits only while none is idle; one is opened only while fewer are being opened than
// calls wait, over TLS at most kDialsAtOnce (a crowd's handshakes are for the helpers of all
// workers to do, and whoever waits gets the first that comes free). The most recently used idle
// connection goes first: it is the least likely to have been closed by the server.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <vector>

#include "dataplane/origin/dialer.h"

namespace nearfield::origin {

class OriginPool final : private ConnectionOwner, private DialObserver {
 public:
  // A call that waits. One of the two is called, once, never within wait(); nothing after leave().
  class Waiter {
   public:
    virtual void on_connection(
        OriginConnection& connection) = 0;  // must begin() on it before returning
    virtual void on_no_connection(const DialFailure& failure) = 0;

   protected:
    ~Waiter() = default;

   private:
    friend class OriginPool;
    bool waiting_ = false;
    std::list<Waiter*>::iterator place_;
  };

  static constexpr std::size_t kDialsAtOnce = 16;  // over TLS

  OriginPool(const OriginTransport& transport, std::shared_ptr<Resolver> resolver,
             std::shared_ptr<const OriginGroupEntry> group, const Origin& origin);
  ~OriginPool();  // nobody waits any more
  OriginPool(const OriginPool&) = delete;
  OriginPool& operator=(const OriginPool&) = delete;

  const Origin& origin() const { return origin_; }
  const OriginGroupEntry& group() const { return *group_; }

  // An idle connection, to begin() on at once; null when there is none.
  OriginConnection* take();
  // False: too many wait already.
  bool wait(Waiter& waiter);
  void leave(Waiter& waiter);

  // One kept connection turned out to be dead: its neighbours are not to be trusted either.
  void drop_idle();
  // No longer configured: keeps no idle connections from now on.
  void retire();
  // Nothing is open and nobody waits.
  bool empty() const { return connections_.empty() && dials_.empty() && waiting_.empty(); }

 private:
  void pump();
  void give(OriginConnection& connection);
  void add_idle(OriginConnection& connection);
  void forget_idle(OriginConnection& connection);

  void on_opened(OriginConnection&) override {}
  void on_open_failed(OriginConnection&, net::CloseReason) override {}
  void on_free(OriginConnection& connection) override;
  void on_gone(OriginConnection& connection) override;
  void on_dialed(Dialer& dialer, OriginConnection& connection) override;
  void on_dial_failed(Dialer& dialer, const DialFailure& failure) override;
  void erase_dial(Dialer& dialer);

  const OriginTransport transport_;
  const std::shared_ptr<Resolver> resolver_;
  const std::shared_ptr<const OriginGroupEntry> group_;
  const Origin& origin_;
  std::list<Waiter*> waiting_;
  std::vector<OriginConnection*> connections_;  // all that stand
  std::vector<OriginConnection*> idle_;         // of them; last used last
  std::vector<std::unique_ptr<Dialer>> dials_;
  std::optional<net::Address> last_good_;
  bool retiring_ = false;
};

}  // namespace nearfield::origin
