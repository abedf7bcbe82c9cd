// When a request is sent again, where to, and when never.
#include "dataplane/origin/call.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(HttpOriginCall) {
  OriginFixture fixture;
  TestOrigin first{fixture.world, fixture.machine, "192.0.2.1:80"};
  TestOrigin second{fixture.world, fixture.machine, "192.0.2.2:80"};
  RecordingObserver observer;
  OriginGroup one = OriginFixture::group_of({"http://192.0.2.1"});
  OriginGroup two = OriginFixture::group_of({"http://192.0.2.1", "http://192.0.2.2"});

  TEST_SETUP() {
    two.servers[1].priority = 2;
    second.always(response_of("second"));
  }
  static void close_unanswered(sim::SimPeer & peer, const std::string&) { peer.close(); }
  void refuse(const char* endpoint) {
    sim::LinkOptions link;
    link.outcome = sim::ConnectOutcome::refused;
    fixture.world.set_link(net::Endpoint::parse(endpoint).value(), link);
  }
  bool fetch(OriginRequest request) { return fixture.fetch(std::move(request), observer, 10min); }
};

TEST(HttpOriginCall, FailsOverWhenRefused) {
  fixture.use(two);
  refuse("192.0.2.1:80");
  const MonotonicTime begin = fixture.world.now();
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("second", observer.body.c_str());
  CHECK(fixture.world.now() - begin < 50ms);
  CHECK_EQUAL(1u, fixture.statistics(0)
                      .failures[static_cast<std::size_t>(OriginFailureKind::unreachable)]
                      .load());
}

TEST(HttpOriginCall, APostFailsOverAsLongAsNothingWasSent) {
  fixture.use(two);
  refuse("192.0.2.1:80");
  CHECK(fetch(OriginFixture::post("/p", "body")));
  STRCMP_EQUAL("second", observer.body.c_str());
}

TEST(HttpOriginCall, FailsOverWhenClosedUnanswered) {
  fixture.use(two);
  first.answer = close_unanswered;
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("second", observer.body.c_str());
  CHECK_EQUAL(1u, first.requests.size());
}

TEST(HttpOriginCall, APostIsNeverSentTwice) {
  fixture.use(two);
  first.answer = close_unanswered;
  CHECK(fetch(OriginFixture::post("/p", "body")));
  CHECK(observer.failure->kind == OriginFailureKind::broken);
  CHECK_EQUAL(1u, first.requests.size());
  CHECK_EQUAL(0u, second.requests.size());
}

TEST(HttpOriginCall, APostOnADeadKeptConnectionIsNotSentTwiceEither) {
  fixture.use(one);
  first.in_turn({response_of("x")});
  CHECK(fetch(OriginFixture::get()));
  first.answer = close_unanswered;
  observer = RecordingObserver();
  CHECK(fetch(OriginFixture::post("/p", "body")));
  CHECK(observer.failure->kind == OriginFailureKind::broken);
  CHECK_EQUAL(2u, first.requests.size());
}

TEST(HttpOriginCall, NothingIsRepeatedOnceAByteOfAResponseCame) {
  fixture.use(two);
  first.answer = [](sim::SimPeer& peer, const std::string&) {
    peer.send("H");
    peer.close();
  };
  CHECK(fetch(OriginFixture::get()));
  CHECK(observer.failure->kind == OriginFailureKind::broken);
  CHECK_EQUAL(0u, second.requests.size());
}

TEST(HttpOriginCall, NothingIsRepeatedAfterAnInterimResponse) {
  fixture.use(two);
  first.answer = [](sim::SimPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 103 Early Hints\r\n\r\n");
    peer.close();
  };
  CHECK(fetch(OriginFixture::get()));
  CHECK(observer.failure.has_value());
  CHECK_EQUAL(1u, observer.interim.size());
  CHECK_EQUAL(0u, second.requests.size());
}

TEST(HttpOriginCall, GarbageIsNotAskedForAgain) {
  fixture.use(two);
  first.always("garbage");
  CHECK(fetch(OriginFixture::get()));
  CHECK(observer.failure->kind == OriginFailureKind::malformed);
  CHECK_EQUAL(0u, second.requests.size());
}

TEST(HttpOriginCall, WhatTimesOutGoesToAnotherServerOnly) {
  fixture.use(two);
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("second", observer.body.c_str());
  fixture.use(one);
  observer = RecordingObserver();
  const std::size_t before = first.requests.size();
  CHECK(fetch(OriginFixture::get()));
  CHECK(observer.failure->kind == OriginFailureKind::timed_out);
  CHECK_EQUAL(before + 1, first.requests.size());
}

TEST(HttpOriginCall, ASingleServerIsAskedAgainAfterAPause) {
  fixture.use(one);
  first.answer = [&](sim::SimPeer& peer, const std::string&) {
    if (first.requests.size() < 3) {
      peer.close();
    } else {
      peer.send(response_of("third time"));
    }
  };
  const MonotonicTime begin = fixture.world.now();
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("third time", observer.body.c_str());
  const Duration took = fixture.world.now() - begin;
  CHECK(took >= 300ms && took < 600ms);  // 100 and 200 ms, with jitter
  CHECK_EQUAL(2u, fixture.statistics().retries.load());
}

TEST(HttpOriginCall, AServerThatComesBackUpIsFound) {
  fixture.use(one);
  refuse("192.0.2.1:80");
  const auto call = fixture.start(OriginFixture::get(), observer);
  fixture.world.run_for(150ms);
  CHECK(!observer.ended());
  first.always(response_of("back"));
  fixture.world.set_link(net::Endpoint::parse("192.0.2.1:80").value(), {});
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  STRCMP_EQUAL("back", observer.body.c_str());
}

TEST(HttpOriginCall, RetriesAreBounded) {
  one.retries = 3;
  fixture.use(one);
  first.answer = close_unanswered;
  CHECK(fetch(OriginFixture::get()));
  CHECK(observer.failure->kind == OriginFailureKind::broken);
  CHECK_EQUAL(4u, first.requests.size());
}

TEST(HttpOriginCall, NoRetriesWhenToldSo) {
  one.retries = 0;
  fixture.use(one);
  first.answer = close_unanswered;
  CHECK(fetch(OriginFixture::get()));
  CHECK_EQUAL(1u, first.requests.size());
}

TEST(HttpOriginCall, ADeadKeptConnectionCostsNoRetry) {
  one.retries = 0;
  fixture.use(one);
  first.always(response_of("x"));
  CHECK(fetch(OriginFixture::get()));
  first.answer = [&](sim::SimPeer& peer, const std::string&) {
    if (first.connections() == 1) {
      peer.abort();
    } else {
      peer.send(response_of("fresh"));
    }
  };
  observer = RecordingObserver();
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("fresh", observer.body.c_str());
  CHECK_EQUAL(1u, fixture.statistics().stale_connections.load());
  CHECK(fixture.health().snapshot().failures_in_a_row == 0);
}

TEST(HttpOriginCall, ServersThatFailInARowAreSetAside) {
  fixture.use(two);
  first.answer = close_unanswered;
  for (int i = 0; i < 5; ++i) {
    observer = RecordingObserver();
    CHECK(fetch(OriginFixture::get()));
    STRCMP_EQUAL("second", observer.body.c_str());
  }
  CHECK(fixture.health(0).state() == HealthState::ejected);
  CHECK_EQUAL(1u, fixture.health_changes.size());
  const std::size_t asked = first.requests.size();
  observer = RecordingObserver();
  CHECK(fetch(OriginFixture::get()));
  CHECK_EQUAL(asked, first.requests.size());
  // Its time over, one call tries it; well answered, it is back.
  first.always(response_of("first"));
  fixture.world.run_for(2s);
  observer = RecordingObserver();
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("first", observer.body.c_str());
  CHECK(fixture.health(0).state() == HealthState::healthy);
}

TEST(HttpOriginCall, ALoneServerIsNotSetAsideForWhatItAnswers) {
  one.retries = 0;
  fixture.use(one);
  first.always("garbage");
  for (int i = 0; i < 20; ++i) {
    observer = RecordingObserver();
    CHECK(fetch(OriginFixture::get()));
    CHECK(observer.failure->kind == OriginFailureKind::malformed);
  }
  CHECK_EQUAL(20u, first.requests.size());
}

TEST(HttpOriginCall, ALoneServerThatCannotBeReachedFailsFast) {
  one.retries = 0;
  fixture.use(one);
  refuse("192.0.2.1:80");
  for (int i = 0; i < 6; ++i) {
    observer = RecordingObserver();
    CHECK(fetch(OriginFixture::get()));
    CHECK(observer.failure->kind == OriginFailureKind::unreachable);
  }
  STRCMP_CONTAINS(
      "its server is set aside as failing (last: origin g/192.0.2.1:80: 192.0.2.1:80: connection "
      "refused)",
      observer.failure->message.c_str());
  // And is found again within its time.
  first.always(response_of("back"));
  fixture.world.set_link(net::Endpoint::parse("192.0.2.1:80").value(), {});
  fixture.world.run_for(2s);
  observer = RecordingObserver();
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("back", observer.body.c_str());
}

TEST(HttpOriginCall, ACancelledProbeLeavesTheNextOneFree) {
  one.retries = 0;
  fixture.use(one);
  refuse("192.0.2.1:80");
  for (int i = 0; i < 5; ++i) {
    observer = RecordingObserver();
    CHECK(fetch(OriginFixture::get()));
  }
  CHECK(fixture.health().state() == HealthState::ejected);
  fixture.world.set_link(net::Endpoint::parse("192.0.2.1:80").value(), {});
  first.always(response_of("back"));
  fixture.world.run_for(2s);
  observer = RecordingObserver();
  auto probe = fixture.start(OriginFixture::get(), observer);
  CHECK(fixture.health().state() == HealthState::probing);
  probe.reset();
  CHECK(fixture.health().state() == HealthState::ejected);
  CHECK(fetch(OriginFixture::get()));
  STRCMP_EQUAL("back", observer.body.c_str());
}

TEST(HttpOriginCall, SaysWhichServerItAsked) {
  fixture.use(two);
  first.always(response_of("x"));
  const auto call = fixture.start(OriginFixture::get(), observer);
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  STRCMP_EQUAL("g/192.0.2.1:80", std::string(call->origin_name()).c_str());
}
