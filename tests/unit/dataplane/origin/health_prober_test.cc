// Active checks: what is sent, what counts as good, and that one worker does it for all.
#include "dataplane/origin/health_prober.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(HealthProber) {
  OriginFixture fixture;
  TestOrigin origin{fixture.world, fixture.machine, "192.0.2.1:80"};
  OriginGroup group = OriginFixture::group_of({"http://192.0.2.1"});

  TEST_SETUP() {
    group.health.path = "/check";
    group.health.interval = 5s;
    group.health.timeout = 2s;
    fixture.options.runs_health_checks = true;
  }
  void close_after(std::string response) {
    origin.answer = [response = std::move(response)](sim::SimPeer& peer, const std::string&) {
      peer.send(response);
      peer.close();
    };
  }
};

TEST(HealthProber, AsksEveryInterval) {
  close_after("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
  fixture.use(group);
  fixture.world.run_for(51s);
  CHECK(origin.requests.size() >= 10 && origin.requests.size() <= 11);
  STRCMP_EQUAL(
      "GET /check HTTP/1.1\r\nHost: 192.0.2.1\r\nUser-Agent: nearfield-health\r\nConnection: "
      "close\r\n\r\n",
      origin.requests[0].c_str());
  CHECK(fixture.health_changes.empty());
  // In order, not by RST.
  CHECK(origin.server.peer(0).close_reason() == net::CloseReason::finished);
}

TEST(HealthProber, TakesAFailingServerOutAndBack) {
  close_after("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  fixture.use(group);
  fixture.world.run_for(16s);
  CHECK(fixture.health().state() == HealthState::unhealthy);
  STRCMP_CONTAINS("health check of /check was answered with 503",
                  fixture.health_changes.at(0).reason.c_str());
  RecordingObserver observer;
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.failure->kind == OriginFailureKind::unreachable);
  close_after("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  fixture.world.run_for(11s);
  CHECK(fixture.health().state() == HealthState::healthy);
}

TEST(HealthProber, ExpectedStatus) {
  close_after("HTTP/1.1 301 Moved Permanently\r\nContent-Length: 0\r\n\r\n");
  group.health.expected_status = 0;
  fixture.use(group);
  fixture.world.run_for(30s);
  CHECK(fixture.health().state() == HealthState::healthy);
  group.health.expected_status = 204;
  fixture.use(group);
  fixture.world.run_for(30s);
  CHECK(fixture.health().state() == HealthState::unhealthy);
}

TEST(HealthProber, SilenceIsAFailure) {
  fixture.use(group);
  fixture.world.run_for(20s);
  CHECK(fixture.health().state() == HealthState::unhealthy);
  STRCMP_CONTAINS("was not answered in 2000ms", fixture.health_changes.at(0).reason.c_str());
}

TEST(HealthProber, NobodyThereIsAFailure) {
  sim::LinkOptions link;
  link.outcome = sim::ConnectOutcome::refused;
  fixture.world.set_default_link(link);
  fixture.use(group);
  fixture.world.run_for(20s);
  CHECK(fixture.health().state() == HealthState::unhealthy);
  STRCMP_CONTAINS("connection refused", fixture.health_changes.at(0).reason.c_str());
}

TEST(HealthProber, AnEndlessAnswerIsCutOff) {
  origin.always("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + body_of(1'000'000));
  fixture.use(group);
  fixture.world.run_for(30s);
  CHECK(fixture.health().state() == HealthState::healthy);
  CHECK(origin.server.peer(0).released_bytes() < 700'000);
}

TEST(HealthProber, ChecksAreNotCountedAsCalls) {
  close_after("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  fixture.use(group);
  fixture.world.run_for(20s);
  CHECK_EQUAL(0u, fixture.statistics().requests.load());
  CHECK_EQUAL(0u, fixture.statistics().connections_opened.load());
}

// Regression: the connection read on for an owner that was no more.
TEST(HealthProber, AReloadWhileAnAnswerIsBeingReadIsHarmless) {
  origin.always("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000\r\n\r\nhalf");
  fixture.use(group);
  CHECK(fixture.world.run_until([&] { return !origin.requests.empty(); }));
  fixture.world.run_for(50ms);
  fixture.use(OriginFixture::group_of({"http://192.0.2.2"}));
  fixture.world.run_for(20s);
}

TEST(HealthProber, OneWorkerChecksForAll) {
  fixture.options.runs_health_checks = false;
  fixture.use(group);
  fixture.world.run_for(30s);
  CHECK_EQUAL(0u, origin.requests.size());
}

TEST(HealthProber, AReloadEndsTheChecksOfWhatIsGone) {
  close_after("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  fixture.use(group);
  fixture.world.run_for(20s);
  const std::size_t asked = origin.requests.size();
  fixture.use(OriginFixture::group_of({"http://192.0.2.2"}));
  fixture.world.run_for(20s);
  CHECK_EQUAL(asked, origin.requests.size());
}
