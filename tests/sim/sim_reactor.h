// A simulated network in virtual time: several workers (net::Reactor) on one clock, in one thread,
// replayed exactly from a seed.
//
// World owns the clock, the event queue and the links; each SimReactor is one worker as code above
// the transports sees it. Connections join two workers of the same world (or one with itself), so
// that a test's clients and servers are StreamHandlers like the code under test;
// tests/sim/sim_peer.h has ready ones. Sending pulls from the plan exactly like a transport: bytes
// are released when the other side has received them (one round trip later), and World compares
// what the plan shows then with what it showed when it was sent, so that a producer that breaks the
// invariant of net/send_plan.h fails its test.
//
// Everything is one thread: signals and posts are delivered as events in virtual time, also across
// workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "dataplane/net/reactor.h"

namespace nearfield::sim {

// One direction of a connection.
struct PathOptions {
  Duration latency = std::chrono::milliseconds(1);
  std::uint64_t bytes_per_second = 0;  // 0: unlimited
  // Each delivery carries a random number of bytes between these two, so that heads, chunk sizes
  // and bodies arrive split anywhere.
  std::size_t minimum_segment_bytes = 1;
  std::size_t maximum_segment_bytes = 4096;
  // Bytes sent that the receiving handler has not consumed yet: when it pauses, the sender stalls
  // here.
  std::size_t window_bytes = 256 * 1024;
  // After so many delivered bytes: both ends see a RST, or nothing passes any more in this
  // direction (nor its FIN).
  std::optional<std::uint64_t> reset_after_bytes;
  std::optional<std::uint64_t> silent_after_bytes;
};

enum class ConnectOutcome {
  accepted,     // if somebody serves there; else refused
  refused,      // RST to the SYN, after a round trip
  unreachable,  // an ICMP error, after a round trip
  silent        // no answer: the connect time-out decides
};

struct LinkOptions {
  ConnectOutcome outcome = ConnectOutcome::accepted;
  PathOptions to_server;
  PathOptions to_client;
};

class World;

// The concrete stream of the simulation, with what only tests may do. Every net::Stream of a
// SimReactor is one.
class SimStream : public net::Stream {
 public:
  // FIN after the plan, and go on receiving (a client like `printf ... | nc`).
  virtual void shutdown_send() = 0;
  // Resets the connection and never calls the handler again: for a handler that goes away.
  virtual void abandon() = 0;

 protected:
  ~SimStream() = default;
};

class SimReactor final : public net::Reactor {
 public:
  ~SimReactor() override;

  MonotonicTime now() const override;
  WallTime wall_now() const override;
  std::chrono::milliseconds wall_now_ms() const override;
  std::uint64_t random() override;
  void arm(net::Timer& timer, MonotonicTime deadline) override;
  void cancel(net::Timer& timer) override;
  Ref<Signal> make_signal(std::function<void()> callback) override;
  void cancel_signal(const Ref<Signal>& signal) override;
  void post(std::function<void()> task) override;
  net::Stream* connect(const net::Endpoint& peer, const net::ConnectOptions& options,
                       net::StreamHandler& handler) override;
  // As World::serve() at the place's endpoint; there are no descriptors here.
  void listen(const net::ListenPlace& place, net::Acceptor& acceptor) override;
  void stop_listening() override;

  // As connect(), from a chosen address (limits per client prefix).
  net::Stream* connect_from(const net::Endpoint& local, const net::Endpoint& peer,
                            const net::ConnectOptions& options, net::StreamHandler& handler);
  // The next `count` calls of connect() return null.
  void fail_next_connects(int count);
  std::size_t stream_count() const;  // not yet closed

  struct Impl;  // tests/sim/sim_world.h, for the sources of this folder

 private:
  friend class World;
  explicit SimReactor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class World {
 public:
  explicit World(std::uint64_t seed);
  // As shutdown().
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // Lives as long as the world.
  SimReactor& add_reactor();

  // --- clock ---
  MonotonicTime now() const;
  // Wall time follows the virtual clock from here; a test may set it forwards and backwards. Begins
  // at 2025-01-01T00:00:00Z.
  void set_wall_time(WallTime time);
  WallTime wall_now() const;
  std::uint64_t random();  // the world's generator; drawing from it changes what follows

  // --- network ---
  // Connections to `at` go to `acceptor` on `worker`. Several workers may serve one endpoint:
  // connections go round.
  void serve(const net::Endpoint& at, SimReactor& worker, net::Acceptor& acceptor);
  void stop_serving(const net::Endpoint& at, SimReactor& worker);
  // For connections begun from now on: to one endpoint, or to those without a link of their own.
  void set_link(const net::Endpoint& server, const LinkOptions& options);
  void set_default_link(const LinkOptions& options);
  // Resets every open connection to `server`, as if its machine restarted.
  void reset_connections_to(const net::Endpoint& server);

  // --- running ---
  // Runs until `done()` (asked after every event) or for `limit` of virtual time; what done() says
  // at last.
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::minutes(1));
  void run_for(Duration duration);
  // Runs until nothing is on its way and nothing is posted; armed timers alone do not count. False:
  // still busy after `limit`.
  bool settle(Duration limit = std::chrono::minutes(1));

  std::uint64_t event_count() const;  // so far; equal for equal seeds and equal programs
  // Closes every stream (handlers hear on_closed(aborted)) and drops every posted task. Afterwards
  // nothing runs any more.
  void shutdown();

  struct Impl;  // tests/sim/sim_world.h, for the sources of this folder

 private:
  friend class SimReactor;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::sim
