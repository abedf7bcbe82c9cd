// From a name to a connection: addresses of both families, failures of each kind, and how long it
// may take.
#include "dataplane/origin/dialer.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(Dialer) {
  OriginFixture fixture;
  TestOrigin v4{fixture.world, fixture.machine, "192.0.2.1:80"};
  RecordingObserver observer;
  OriginGroup group = OriginFixture::group_of({"http://origin.example"});

  TEST_SETUP() {
    group.retries = 0;
    fixture.use(group);
    fixture.resolver->table["origin.example"] = {"2001:db8::1", "192.0.2.1"};
    v4.always(response_of("v4", "Connection: close\r\n"));
  }
  void link(const char* endpoint, sim::ConnectOutcome outcome, Duration latency = 1ms) {
    sim::LinkOptions options;
    options.outcome = outcome;
    options.to_server.latency = options.to_client.latency = latency;
    fixture.world.set_link(net::Endpoint::parse(endpoint).value(), options);
  }
  Duration fetch() {
    observer = RecordingObserver();
    const MonotonicTime begin = fixture.world.now();
    CHECK(fixture.fetch(OriginFixture::get(), observer));
    return fixture.world.now() - begin;
  }
};

TEST(Dialer, FallsThroughARefusedAddressAtOnce) {
  link("[2001:db8::1]:80", sim::ConnectOutcome::refused);
  CHECK(fetch() < 50ms);
  STRCMP_EQUAL("v4", observer.body.c_str());
}

TEST(Dialer, FallsThroughAnUnreachableAddressAtOnce) {
  link("[2001:db8::1]:80", sim::ConnectOutcome::unreachable);
  CHECK(fetch() < 50ms);
  STRCMP_EQUAL("v4", observer.body.c_str());
}

TEST(Dialer, ASilentAddressCostsAQuarterOfASecondOnce) {
  link("[2001:db8::1]:80", sim::ConnectOutcome::silent);
  const Duration first = fetch();
  CHECK(first >= 250ms && first < 300ms);
  STRCMP_EQUAL("v4", observer.body.c_str());
  // What worked comes first from now on.
  CHECK(fetch() < 50ms);
  STRCMP_EQUAL("v4", observer.body.c_str());
}

TEST(Dialer, PrefersTheFirstFamilyThatAnswers) {
  TestOrigin v6{fixture.world, fixture.machine, "[2001:db8::1]:80"};
  v6.always(response_of("v6", "Connection: close\r\n"));
  fetch();
  STRCMP_EQUAL("v6", observer.body.c_str());
  CHECK_EQUAL(0u, v4.connections());
}

TEST(Dialer, ASlowFirstAddressMayStillWin) {
  TestOrigin v6{fixture.world, fixture.machine, "[2001:db8::1]:80"};
  v6.always(response_of("v6", "Connection: close\r\n"));
  link("[2001:db8::1]:80", sim::ConnectOutcome::accepted, 150ms);  // stands after 300 ms,
  link("192.0.2.1:80", sim::ConnectOutcome::accepted, 500ms);      // this one would after 1250 ms
  fetch();
  STRCMP_EQUAL("v6", observer.body.c_str());
  fixture.world.run_for(5s);
  CHECK_EQUAL(0, fixture.statistics().connections_open.load());  // the loser is closed
}

TEST(Dialer, AllAddressesRefuse) {
  link("[2001:db8::1]:80", sim::ConnectOutcome::refused);
  link("192.0.2.1:80", sim::ConnectOutcome::refused);
  fetch();
  CHECK(observer.failure->kind == OriginFailureKind::unreachable);
  STRCMP_CONTAINS("192.0.2.1:80: connection refused (2 addresses tried)",
                  observer.failure->message.c_str());
}

TEST(Dialer, NobodyAnswers) {
  link("[2001:db8::1]:80", sim::ConnectOutcome::silent);
  link("192.0.2.1:80", sim::ConnectOutcome::silent);
  const Duration took = fetch();
  CHECK(took >= 5s && took < 5100ms);
  CHECK(observer.failure->kind == OriginFailureKind::timed_out);
  STRCMP_CONTAINS("no connection in 5000ms", observer.failure->message.c_str());
}

TEST(Dialer, ANameThatIsNotKnown) {
  fixture.resolver->table.clear();
  CHECK(fetch() < 50ms);
  CHECK(observer.failure->kind == OriginFailureKind::unreachable);
  STRCMP_CONTAINS("origin g/origin.example:80: the name could not be resolved (no such name)",
                  observer.failure->message.c_str());
  CHECK_EQUAL(1u, fixture.statistics().resolve_failures.load());
}

TEST(Dialer, ANameServerThatIsSilent) {
  fixture.resolver->silent.insert("origin.example");
  const Duration took = fetch();
  CHECK(took >= 5s && took < 5100ms);
  CHECK(observer.failure->kind == OriginFailureKind::timed_out);
  STRCMP_CONTAINS("the name was not resolved in 5000ms", observer.failure->message.c_str());
}

TEST(Dialer, AnAnswerThatComesAfterTheClientHasGoneIsIgnored) {
  auto call = fixture.start(OriginFixture::get(), observer);
  call.reset();
  fixture.client.reset();
  fixture.world.run_for(1s);
  CHECK_EQUAL(1, fixture.resolver->look_ups);
  CHECK(!observer.ended());
}

TEST(Dialer, LiteralAddressesAskNobody) {
  fixture.use(OriginFixture::group_of({"http://192.0.2.1"}));
  fetch();
  STRCMP_EQUAL("v4", observer.body.c_str());
  CHECK_EQUAL(0, fixture.resolver->look_ups);
}

TEST(Dialer, OurOwnLackOfDescriptorsIsNotTheServersFault) {
  fixture.worker.fail_next_connects(100);
  for (int i = 0; i < 10; ++i) {
    fetch();
    CHECK(observer.failure->kind == OriginFailureKind::overloaded);
  }
  CHECK(fixture.health().state() == HealthState::healthy);
  fixture.worker.fail_next_connects(1);  // one address only
  fetch();
  STRCMP_EQUAL("v4", observer.body.c_str());
}
