// Reactor: one worker's loop, as everything above the transports sees it: time, timers, wake-ups
// from other threads, outgoing streams, listeners. One a worker thread; methods are for that thread
// unless marked otherwise. Implemented by net/uring and net/dpdk, and in virtual time by
// tests/sim.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/error.h"
#include "cache/base/signal.h"
#include "dataplane/net/stream.h"
#include "dataplane/net/timer.h"

namespace nearfield::net {

// Decides about new connections. Returning null refuses (the transport closes with RST). Called on
// the worker that accepted.
class Acceptor {
 public:
  virtual StreamHandler* on_accept(Stream& stream) = 0;

 protected:
  ~Acceptor() = default;
};

// Where a worker accepts.
struct ListenPlace {
  Endpoint local;
  // The kernel's socket that listens there (see net/listener.h), for transports on kernel sockets;
  // -1 for one that has packets of its own. It stays the caller's.
  int descriptor = -1;
};

struct ConnectOptions {
  Duration timeout = std::chrono::seconds(5);
};

class Reactor {
 public:
  virtual ~Reactor() = default;

  // Taken once a turn of the loop.
  virtual MonotonicTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  virtual std::chrono::milliseconds wall_now_ms() const = 0;  // since the Unix epoch, for logs
  // Not secret, seeded in tests: jitter, choice among origins.
  virtual std::uint64_t random() = 0;

  // Re-arming an armed timer moves it. A deadline in the past fires in the next turn.
  virtual void arm(Timer& timer, MonotonicTime deadline) = 0;
  virtual void cancel(Timer& timer) = 0;

  // A signal that runs `callback` on this worker's thread, once per raise or fewer; make it on this
  // thread, raise it anywhere. The owner calls cancel_signal() before what the callback uses goes
  // away; after that it never runs.
  virtual Ref<Signal> make_signal(std::function<void()> callback) = 0;
  virtual void cancel_signal(const Ref<Signal>& signal) = 0;
  // Runs `task` on this worker's thread in a coming turn. Any thread; may allocate; for control,
  // not for the data path.
  virtual void post(std::function<void()> task) = 0;

  // Starts an outgoing stream; on_connected() or on_closed() follows, never within this call. Null
  // with out of resources only.
  virtual Stream* connect(const Endpoint& peer, const ConnectOptions& options,
                          StreamHandler& handler) = 0;

  // The acceptor, and a place's descriptor, must outlive stop_listening().
  virtual void listen(const ListenPlace& place, Acceptor& acceptor) = 0;
  virtual void stop_listening() = 0;  // already queued connections are still accepted once
};

}  // namespace nearfield::net
