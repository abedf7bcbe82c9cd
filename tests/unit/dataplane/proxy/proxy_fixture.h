// ProxyFixture: a whole node but for its transports and origin connections: store, workers,
// sessions, in virtual time and from a seed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.h"
#include "dataplane/proxy/fetch_table.h"
#include "dataplane/proxy/worker.h"
#include "tests/sim/sim_peer.h"
#include "tests/sim/sim_reactor.h"
#include "tests/unit/dataplane/proxy/scripted_origin.h"

namespace nearfield::proxy::testing {

struct Reply {
  int status = 0;
  std::string head;  // whole, as received
  std::string body;  // framing removed
  bool whole = false;
  bool chunked = false;
  // The first value of a field; empty when absent.
  std::string field(std::string_view name) const;
};

// Takes the first final response (and interim ones before it, collected in `interim`) from the
// front of `bytes`; nothing when it is not whole yet.
std::optional<Reply> take_reply(std::string& bytes, bool head_request,
                                std::string* interim = nullptr);

class ProxyFixture {
 public:
  explicit ProxyFixture(std::uint64_t seed = 1, std::size_t workers = 1,
                        std::uint64_t arena_bytes = 16 << 20);
  ~ProxyFixture();

  // Sends one request on a connection of its own and waits for the whole reply (or the end of the
  // connection).
  Reply get(std::string_view path, std::string_view more_fields = "");
  Reply request(std::string_view text, bool head_request = false);
  // A client of its own, connected.
  std::unique_ptr<sim::SimPeer> client();
  void change_settings(const std::function<void(Settings&)>& change);
  bool run_until(const std::function<bool()>& done, Duration limit = std::chrono::minutes(5)) {
    return world.run_until(done, limit);
  }
  std::uint64_t counter(std::atomic<std::uint64_t> Counters::* which) const;
  std::size_t calls() const;
  // The n-th call over all workers, in the order they were made on each.
  ScriptedCall& call(std::size_t index);

  sim::World world;
  net::Endpoint address;
  std::unique_ptr<cache::Store> store;
  std::unique_ptr<SharedState> shared;
  struct Worker {
    sim::SimReactor* reactor;
    std::unique_ptr<ScriptedOrigin> origin;
    std::unique_ptr<ProxyWorker> proxy;
  };
  std::vector<Worker> workers;
  sim::SimReactor* client_reactor = nullptr;
  std::shared_ptr<const Settings> settings = std::make_shared<Settings>();
  // What every worker's origin does with a call; given before it arrives.
  std::function<void(ScriptedCall&)> on_call;
};

}  // namespace nearfield::proxy::testing
