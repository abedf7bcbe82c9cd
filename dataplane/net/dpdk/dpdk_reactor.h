// DpdkReactor: the Reactor on a NIC queue of our own: TCP by net/tcp over a Station, and everything
// that is not listeners' (origins, timers, signals and tasks) by a UringReactor that it drives.
//
// One turn: the helper's turn, which reads the clock and may sleep; what the queue has; TCP's
// timers; neighbours and the kernel's frames; whoever wants to send; all that was made of it to the
// port. Each step has a budget, so that neither side starves: what is left waits for the next turn,
// which then does not sleep. All times of a turn are one reading of the clock.
//
// A worker without work sleeps in the helper (idle.h), which origins and other threads wake at
// once. Packets do so where the port has receive interrupts (doorbell.h); elsewhere they wait for
// the end of the sleep, which is bounded.
//
// The awkward part is the end: a device may still read bytes of connections that are reset, so the
// loop goes on, for a bounded time, until it does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cache/base/error.h"
#include "cache/base/siphash.h"
#include "dataplane/net/dpdk/station.h"
#include "dataplane/net/reactor.h"
#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/counters.h"

namespace nearfield::net::dpdk {

struct DpdkOptions {
  std::size_t maximum_connections = 16384;    // of listeners
  std::size_t maximum_origin_streams = 8192;  // made by connect()
  // The longest sleep of a worker without work whose packets do not wake it; zero: it never sleeps,
  // also where they would.
  Duration idle_sleep = std::chrono::milliseconds(1);
  std::uint16_t mtu = 1500;
  SipHashKey secret;       // of TCP; different each start
  std::uint64_t seed = 0;  // of Reactor::random(); 0 takes one from the kernel
};

// A copy that the worker publishes a few times a second.
struct DpdkStatistics {
  tcp::Counters tcp;
  StationCounters station;
  ReceiverCounters receiver;
  TransmitterCounters transmitter;
  ip::NeighbourTable::Counters neighbours;
  ExceptionTapCounters tap;
  std::uint64_t connections = 0;  // now
  std::uint64_t half_open = 0;
  std::uint64_t time_wait = 0;
  std::uint64_t origin_streams = 0;  // now
  std::uint64_t turns = 0;
  std::uint64_t sleeps = 0;
  std::uint64_t waits = 0;  // sleeps until something came
  std::uint64_t slept_us = 0;
};

class DpdkReactor final : public Reactor {
 public:
  // On the thread that will run it. `station` outlives it and is its alone. Errors: the helper's.
  static Result<std::unique_ptr<DpdkReactor>> create(const DpdkOptions& options, Station& station);
  // Not while run() runs. Streams that are left hear on_closed(aborted).
  ~DpdkReactor() override;

  // Until stop(), then every stream is reset and has heard on_closed(). Once. Errors: too many
  // threads for DPDK, the helper's.
  Result<void> run();
  void stop();  // any thread

  DpdkStatistics statistics() const;  // any thread
  // The worker's thread: up to `limit`, of `peer` only unless it is null.
  std::vector<tcp::ConnectionView> connections(std::size_t limit, const Endpoint* peer) const;

  MonotonicTime now() const override;
  WallTime wall_now() const override;
  std::chrono::milliseconds wall_now_ms() const override;
  std::uint64_t random() override;
  void arm(Timer& timer, MonotonicTime deadline) override;
  void cancel(Timer& timer) override;
  Ref<Signal> make_signal(std::function<void()> callback) override;
  void cancel_signal(const Ref<Signal>& signal) override;
  void post(std::function<void()> task) override;
  // By the kernel.
  Stream* connect(const Endpoint& peer, const ConnectOptions& options,
                  StreamHandler& handler) override;
  // At the place's endpoint; its descriptor is of no use here. At most
  // tcp::Stack::kMaximumListeners.
  void listen(const ListenPlace& place, Acceptor& acceptor) override;
  // New connections are refused, also those whose handshake is under way.
  void stop_listening() override;

 private:
  struct Impl;
  explicit DpdkReactor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::net::dpdk
