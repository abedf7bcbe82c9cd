// Connections are few, kept briefly, and given to those who have waited longest; those who wait are
// bounded in number and time.
#include "dataplane/origin/pool.h"

#include <algorithm>
#include <deque>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(OriginPool) {
  OriginFixture fixture;
  TestOrigin origin{fixture.world, fixture.machine, "192.0.2.1:80"};
  OriginGroup group = OriginFixture::group_of({"http://192.0.2.1"});
  std::deque<RecordingObserver> observers;
  std::vector<std::unique_ptr<OriginCall>> calls;

  TEST_TEARDOWN() { calls.clear(); }
  void start(int count) {
    for (int i = 0; i < count; ++i) {
      calls.push_back(fixture.start(OriginFixture::get("/" + std::to_string(calls.size())),
                                    observers.emplace_back()));
    }
  }
  std::size_t ended() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(observers, [](const auto& one) { return one.ended(); }));
  }
  std::size_t completed() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(observers, [](const auto& one) { return one.complete; }));
  }
  bool run_all() {
    return fixture.world.run_until([&] { return ended() == observers.size(); }, 10min);
  }
};

TEST(OriginPool, ConnectionsAreLimited) {
  group.pool.connections = 4;
  fixture.use(group);
  origin.always(response_of("x"));
  start(50);
  CHECK(run_all());
  CHECK_EQUAL(50u, completed());
  CHECK_EQUAL(4u, origin.connections());
  CHECK_EQUAL(50u, origin.requests.size());
  CHECK_EQUAL(0, fixture.statistics().calls_waiting.load());
}

TEST(OriginPool, FirstComeFirstServed) {
  group.pool.connections = 1;
  fixture.use(group);
  origin.always(response_of("x"));
  start(10);
  CHECK(run_all());
  for (int i = 0; i < 10; ++i) {
    STRCMP_CONTAINS(("GET /" + std::to_string(i) + " ").c_str(),
                    origin.requests[static_cast<std::size_t>(i)].c_str());
  }
}

TEST(OriginPool, TooManyWaitingCallsAreRefusedAtOnce) {
  group.pool.connections = 1;
  group.pool.waiting_calls = 3;
  fixture.use(group);
  start(5);
  const MonotonicTime begin = fixture.world.now();
  CHECK(fixture.world.run_until([&] { return ended() == 2; }));
  CHECK(fixture.world.now() - begin < 100ms);
  CHECK(observers[4].failure->kind == OriginFailureKind::overloaded);
  STRCMP_CONTAINS("3 calls wait for a connection already", observers[4].failure->message.c_str());
  CHECK_EQUAL(3, fixture.statistics().calls_waiting.load());
}

TEST(OriginPool, NobodyWaitsForEver) {
  group.pool.connections = 1;
  group.timeouts.first_byte = 1h;
  fixture.use(group);
  start(2);
  CHECK(fixture.world.run_until([&] { return ended() == 1; }));
  CHECK(observers[1].failure->kind == OriginFailureKind::overloaded);
  STRCMP_CONTAINS("no connection came free", observers[1].failure->message.c_str());
}

TEST(OriginPool, ACancelledCallLeavesTheQueue) {
  group.pool.connections = 1;
  fixture.use(group);
  origin.always(response_of("x"));
  start(3);
  calls[1].reset();
  CHECK(fixture.world.run_until([&] { return ended() == 2; }));
  CHECK_EQUAL(2u, origin.requests.size());
  STRCMP_CONTAINS("GET /2 ", origin.requests[1].c_str());
}

TEST(OriginPool, IdleConnectionsAreFewAndBrief) {
  group.pool.idle_connections = 2;
  fixture.use(group);
  origin.always(response_of("x"));
  start(10);
  CHECK(run_all());
  fixture.world.run_for(5s);
  CHECK_EQUAL(2, fixture.statistics().connections_idle.load());
  CHECK_EQUAL(2, fixture.statistics().connections_open.load());
  fixture.world.run_for(30s);
  CHECK_EQUAL(0, fixture.statistics().connections_open.load());
}

TEST(OriginPool, TheServersKeepAliveTimeIsObeyed) {
  fixture.use(group);
  origin.always(response_of("x", "Keep-Alive: max=100, timeout=5\r\n"));
  start(1);
  CHECK(run_all());
  fixture.world.run_for(3500ms);
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
  fixture.world.run_for(1s);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
}

TEST(OriginPool, AnIdleConnectionTheServerClosesIsForgotten) {
  fixture.use(group);
  origin.always(response_of("x"));
  start(1);
  CHECK(run_all());
  origin.server.peer(0).close();
  fixture.world.run_for(100ms);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
  start(1);
  CHECK(run_all());
  CHECK_EQUAL(0u, fixture.statistics().stale_connections.load());
}

TEST(OriginPool, OneDeadKeptConnectionCondemnsItsNeighbours) {
  fixture.use(group);
  origin.always(response_of("x"));
  start(5);
  CHECK(run_all());
  CHECK_EQUAL(5, fixture.statistics().connections_idle.load());
  // The server restarts: its RSTs are lost, requests on the old connections are answered by one.
  for (const auto& peer : origin.server.peers()) {
    peer->on_data = [](sim::SimPeer& old) { old.abort(); };
  }
  start(1);
  CHECK(run_all());
  CHECK_EQUAL(6u, completed());
  CHECK_EQUAL(1u, fixture.statistics().stale_connections.load());
  CHECK_EQUAL(0u, fixture.statistics().retries.load());
  fixture.world.run_for(5s);
  CHECK_EQUAL(1, fixture.statistics().connections_open.load());
}

TEST(OriginPool, AllWhoWaitGoWhenTheServerIsSetAside) {
  group.pool.connections = 5;
  group.retries = 0;
  fixture.use(group);
  sim::LinkOptions dead;
  dead.outcome = sim::ConnectOutcome::silent;
  fixture.world.set_default_link(dead);
  start(100);
  const MonotonicTime begin = fixture.world.now();
  CHECK(run_all());
  CHECK(fixture.world.now() - begin < 6s);  // one connect time-out, not twenty
  CHECK(fixture.health().state() == HealthState::ejected);
}
