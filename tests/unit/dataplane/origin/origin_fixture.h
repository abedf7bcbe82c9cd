// What the tests of origin/ share: origins that say what a test tells them, an observer that writes
// everything down, and a resolver that answers from a table; all in virtual time on tests/sim.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/origin/http_client.h"
#include "dataplane/origin/resolver.h"
#include "tests/sim/sim_peer.h"

namespace nearfield::origin {

// A host that answers each request through `answer`, which may be changed any time.
class TestOrigin {
 public:
  TestOrigin(sim::World& world, sim::SimReactor& worker, const std::string& endpoint);

  using Answer = std::function<void(sim::SimPeer& peer, const std::string& request)>;
  // Given every whole request (head and Content-Length body).
  Answer answer;
  // The same bytes to every request.
  void always(std::string response);
  // One for each request in turn; the last one again for those after.
  void in_turn(std::vector<std::string> responses);

  sim::SimServer server;
  std::vector<std::string> requests;
  std::size_t connections() const { return server.peers().size(); }

 private:
  std::map<sim::SimPeer*, std::string> partial_;
};

// "HTTP/1.1 200 OK" with a Content-Length.
std::string response_of(std::string_view body, std::string_view fields = {});
// `bytes` different bytes.
std::string body_of(std::size_t bytes);

class RecordingObserver final : public OriginObserver {
 public:
  std::vector<std::uint16_t> interim;
  std::optional<http::ResponseHead> head;
  std::string body;
  std::optional<http::Fields> trailers;
  std::optional<OriginFailure> failure;
  bool complete = false;
  int endings = 0;
  std::size_t deliveries = 0;
  // How many of the offered bytes to take; all without it.
  std::function<std::size_t(std::size_t offered)> take;
  // Runs inside each callback, after it was written down.
  std::function<void()> on_any;

  bool ended() const { return endings > 0; }

  void on_interim(const http::ResponseHead& interim_head) override;
  void on_head(http::ResponseHead&& final_head) override;
  std::size_t on_body(std::span<const std::byte> bytes) override;
  void on_complete(http::Fields&& final_trailers) override;
  void on_failure(const OriginFailure& final_failure) override;
};

// Names without an entry fail; `silent` ones are never answered.
class TableResolver final : public Resolver {
 public:
  std::map<std::string, std::vector<std::string>> table;
  std::set<std::string> silent;
  int look_ups = 0;

  std::optional<Resolution> known(const std::string& host, MonotonicTime now) override;
  void resolve(const std::string& host, MonotonicTime now, net::Reactor& reactor,
               std::weak_ptr<ResolveWaiter> waiter) override;
};

struct OriginFixture {
  explicit OriginFixture(std::uint64_t seed = 1);
  ~OriginFixture();

  // A group "g" for every host with these servers.
  static OriginGroup group_of(std::vector<std::string> urls);
  void use(OriginGroup group) { use(std::vector<OriginGroup>{std::move(group)}); }
  // Makes the client at first, reloads it later.
  void use(std::vector<OriginGroup> groups);

  static OriginRequest get(std::string path = "/a");
  static OriginRequest post(std::string path, std::string body);
  std::unique_ptr<OriginCall> start(OriginRequest request, RecordingObserver& observer);
  // Starts, runs until it ended (false: it did not within `limit`).
  bool fetch(OriginRequest request, RecordingObserver& observer,
             Duration limit = std::chrono::minutes(5));

  OriginStatistics& statistics(std::size_t server = 0, std::size_t group = 0);
  OriginHealth& health(std::size_t server = 0, std::size_t group = 0);

  sim::World world;
  sim::SimReactor& worker;   // the client's
  sim::SimReactor& machine;  // where the origins live
  std::shared_ptr<TableResolver> resolver = std::make_shared<TableResolver>();
  HttpOriginOptions options;
  OriginTlsSetup tls;  // what directories are made with
  // Runs before the simulation is asked whether something came about.
  std::function<void()> before_each_look = [] {};
  std::vector<HealthChange> health_changes;
  std::shared_ptr<const OriginDirectory> directory;
  std::unique_ptr<HttpOriginClient> client;
};

}  // namespace nearfield::origin
