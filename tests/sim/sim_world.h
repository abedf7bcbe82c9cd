// The inside of World and SimReactor, shared by the sources of this folder only.
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "dataplane/net/inbox.h"
#include "dataplane/net/staging.h"
#include "dataplane/net/timer_wheel.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/sim_reactor.h"

namespace nearfield::sim {

class SimEnd;

struct World::Impl {
  explicit Impl(std::uint64_t seed) : random(seed) {}

  struct Event {
    MonotonicTime at;
    std::uint64_t sequence;  // first scheduled, first run, within one moment
    std::function<void()> run;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  struct Service {
    struct Worker {
      SimReactor* reactor;
      net::Acceptor* acceptor;
    };
    std::vector<Worker> workers;
    std::size_t next = 0;
  };

  void schedule_at(MonotonicTime at, std::function<void()> run);
  void schedule(Duration after, std::function<void()> run) {
    schedule_at(now + after, std::move(run));
  }
  const LinkOptions& link_to(const net::Endpoint& server) const;
  // Runs the next event or timer, not beyond `limit`. False when there is none.
  bool step(MonotonicTime limit);

  Random random;
  MonotonicTime now{std::chrono::seconds(1000)};
  MonotonicTime wall_set_at = now;
  WallTime wall{std::chrono::sys_days{std::chrono::year{2025} / 1 / 1}};
  std::priority_queue<Event> events;
  std::uint64_t next_sequence = 0;
  std::uint64_t events_run = 0;
  std::vector<std::unique_ptr<SimReactor>> reactors;
  std::map<net::Endpoint, Service> services;
  std::map<net::Endpoint, LinkOptions> links;
  LinkOptions default_link;
  std::map<std::uint64_t, std::shared_ptr<SimEnd>>
      open_ends;  // by number, so that shutdown is deterministic
  std::uint64_t next_end = 0;
  std::uint16_t next_port = 32768;
  bool stopped = false;
};

struct SimReactor::Impl {
  static constexpr std::size_t kStagingBytes = 128 * 1024;

  Impl(World::Impl& of, std::uint64_t seed) : world(of), random(seed), wheel(of.now) {}

  void run_inbox();

  World::Impl& world;
  Random random;
  net::TimerWheel wheel;
  Ref<net::Inbox> inbox;
  std::vector<std::byte> staging_memory = std::vector<std::byte>(kStagingBytes);
  net::Staging staging{staging_memory};
  std::uint64_t staging_use = 0;
  std::size_t streams = 0;
  int connects_to_fail = 0;
  net::Address address;
};

}  // namespace nearfield::sim
