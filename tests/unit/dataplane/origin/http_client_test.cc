// A call that goes well, in every form a response can have; and what reaches the observer when.
#include "dataplane/origin/http_client.h"

#include <format>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(HttpOriginClient) {
  OriginFixture fixture;
  TestOrigin origin{fixture.world, fixture.machine, "192.0.2.1:80"};
  RecordingObserver observer;

  TEST_SETUP() { fixture.use(OriginFixture::group_of({"http://192.0.2.1"})); }
};

TEST(HttpOriginClient, FetchesAnObject) {
  const std::string body = body_of(100'000);
  origin.always(response_of(body, "Content-Type: audio/flac\r\n"));
  CHECK(fixture.fetch(OriginFixture::get("/album/1.flac?x=y"), observer));
  CHECK(observer.complete);
  CHECK_EQUAL(200, observer.head->status);
  STRCMP_EQUAL("audio/flac", std::string(*observer.head->fields.find("Content-Type")).c_str());
  CHECK(observer.head->content_length == body.size());
  CHECK(observer.body == body);
  STRCMP_EQUAL("GET /album/1.flac?x=y HTTP/1.1\r\nHost: music.example\r\n\r\n",
               origin.requests.at(0).c_str());
}

TEST(HttpOriginClient, CountsWhatHappened) {
  origin.always(response_of(body_of(5000)));
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  OriginStatistics& statistics = fixture.statistics();
  CHECK_EQUAL(1u, statistics.requests.load());
  CHECK_EQUAL(1u, statistics.responses.load());
  CHECK_EQUAL(1u, statistics.completed.load());
  CHECK_EQUAL(5000u, statistics.response_bytes.load());
  CHECK_EQUAL(origin.requests[0].size(), statistics.request_bytes.load());
  CHECK_EQUAL(1u, statistics.connections_opened.load());
  CHECK_EQUAL(1, statistics.connections_open.load());
  CHECK_EQUAL(1, statistics.connections_idle.load());
  CHECK_EQUAL(1u, statistics.first_byte_count.load());
  CHECK(statistics.first_byte_microseconds >= 2000);  // the simulated round trip
}

TEST(HttpOriginClient, ConnectionsAreKept) {
  origin.always(response_of("x"));
  for (int i = 0; i < 5; ++i) {
    RecordingObserver one;
    CHECK(fixture.fetch(OriginFixture::get(), one));
    CHECK(one.complete);
  }
  CHECK_EQUAL(1u, origin.connections());
  CHECK_EQUAL(4u, fixture.statistics().connections_reused.load());
}

TEST(HttpOriginClient, DecodesChunksAndTrailers) {
  origin.always(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 7\r\n\r\n");
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.complete);
  STRCMP_EQUAL("hello world", observer.body.c_str());
  STRCMP_EQUAL("7", std::string(observer.trailers->find("X-Sum").value_or("none")).c_str());
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, ResponsesWithoutABody) {
  OriginRequest head = OriginFixture::get();
  head.method = "HEAD";
  origin.in_turn({"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                  "HTTP/1.1 204 No Content\r\n\r\n",
                  "HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n", response_of("")});
  for (const OriginRequest& request :
       {head, OriginFixture::get(), OriginFixture::get(), OriginFixture::get()}) {
    RecordingObserver one;
    CHECK(fixture.fetch(request, one));
    CHECK(one.complete);
    CHECK_EQUAL(0u, one.deliveries);
  }
  CHECK_EQUAL(1u, origin.connections());
}

TEST(HttpOriginClient, ABodyMayRunUntilTheConnectionEnds) {
  const std::string body = body_of(30'000);
  origin.answer = [&](sim::SimPeer& peer, const std::string&) {
    peer.send("HTTP/1.0 200 OK\r\n\r\n" + body);
    peer.close();
  };
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.complete);
  CHECK(observer.body == body);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, ConnectionCloseIsObeyed) {
  origin.always(response_of("x", "Connection: close\r\n"));
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.complete);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
  RecordingObserver second;
  CHECK(fixture.fetch(OriginFixture::get(), second));
  CHECK_EQUAL(2u, origin.connections());
}

TEST(HttpOriginClient, AnHttp10ServerIsKeptOnlyWhenItSaysSo) {
  origin.in_turn({"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx",
                  "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx"});
  for (int i = 0; i < 3; ++i) {
    RecordingObserver one;
    CHECK(fixture.fetch(OriginFixture::get(), one));
    CHECK(one.complete);
  }
  CHECK_EQUAL(2u, origin.connections());
}

TEST(HttpOriginClient, InterimResponsesArePassedOnBut100) {
  origin.always(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
      "HTTP/1.1 102 Processing\r\n\r\n" +
      response_of("x"));
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.complete);
  CHECK(observer.interim == (std::vector<std::uint16_t>{103, 102}));
}

TEST(HttpOriginClient, BodiesOfRequestsAreSentWhole) {
  const std::string body = body_of(1'000'000);
  origin.always(response_of("stored"));
  CHECK(fixture.fetch(OriginFixture::post("/upload", body), observer));
  CHECK(observer.complete);
  CHECK(origin.requests.at(0).ends_with(body));
  STRCMP_CONTAINS("Content-Length: 1000000\r\n", origin.requests[0].c_str());
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, AConnectionAnsweredBeforeTheRequestWasWrittenIsNotKept) {
  // 413 to the first bytes of a body that the server then does not take.
  origin.server.on_data = [](sim::SimPeer& peer) {
    if (peer.received_bytes() < 100'000 && peer.unsent_bytes() == 0 && peer.released_bytes() == 0) {
      peer.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
      peer.pause();
    }
  };
  CHECK(fixture.fetch(OriginFixture::post("/upload", body_of(4'000'000)), observer));
  CHECK(observer.complete);
  CHECK_EQUAL(413, observer.head->status);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, BackPressureReachesTheOrigin) {
  const std::string body = body_of(2'000'000);
  origin.always(response_of(body));
  observer.take = [](std::size_t) { return std::size_t{0}; };
  const auto call = fixture.start(OriginFixture::get(), observer);
  // Longer than every time-out: a listener who reads slowly is not the origin's fault.
  fixture.world.run_for(5min);
  CHECK(!observer.ended());
  CHECK_EQUAL(1u, observer.deliveries);
  CHECK(origin.server.peer(0).released_bytes() <= 300 * 1024);  // the simulated window
  observer.take = nullptr;
  call->resume();
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  CHECK(observer.complete);
  CHECK(observer.body == body);
}

TEST(HttpOriginClient, TakingALittleAtATime) {
  for (const bool chunked : {false, true}) {
    RecordingObserver one;
    const std::string body = body_of(3000);
    std::string response = response_of(body);
    if (chunked) {
      response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
      for (std::size_t at = 0; at < body.size(); at += 100)
        response += "64\r\n" + body.substr(at, 100) + "\r\n";
      response += "0\r\n\r\n";
    }
    origin.always(response);
    one.take = [](std::size_t offered) { return std::min<std::size_t>(offered, 7); };
    const auto call = fixture.start(OriginFixture::get(), one);
    for (int i = 0; i < 5000 && !one.ended(); ++i) {
      fixture.world.run_for(1ms);
      call->resume();
    }
    CHECK(one.complete);
    CHECK(one.body == body);
  }
  CHECK_EQUAL(1u, origin.connections());
}

TEST(HttpOriginClient, ResumingFromWithinADeliveryCounts) {
  const std::string body = body_of(3000);
  origin.always(response_of(body));
  std::unique_ptr<OriginCall> call;
  observer.take = [&](std::size_t offered) {
    call->resume();
    return std::min<std::size_t>(offered, 100);
  };
  call = fixture.start(OriginFixture::get(), observer);
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  CHECK(observer.complete);
  CHECK(observer.body == body);
}

TEST(HttpOriginClient, NothingIsHeardAfterCancelling) {
  // In every callback in turn, the call goes away.
  for (int at = 1; at <= 4; ++at) {
    RecordingObserver one;
    origin.always("HTTP/1.1 103 Early Hints\r\n\r\n" + response_of(body_of(1'000'000)));
    auto call = fixture.start(OriginFixture::get(), one);
    int heard = 0;
    one.on_any = [&] {
      if (++heard == at) call.reset();
    };
    fixture.world.run_for(30s);
    CHECK_EQUAL(at, heard);
    CHECK_EQUAL(0, one.endings);
  }
  CHECK_EQUAL(4u, fixture.statistics().cancelled.load());
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, ACallMayGoAwayInItsLastCallback) {
  for (const char* response : {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "garbage"}) {
    RecordingObserver one;
    origin.always(response);
    auto call = fixture.start(OriginFixture::get(), one);
    one.on_any = [&] {
      if (one.ended()) call.reset();
    };
    CHECK(fixture.world.run_until([&] { return one.ended(); }));
    fixture.world.run_for(1s);
  }
}

TEST(HttpOriginClient, ACancelledCallThatIsNearlyDoneKeepsItsConnection) {
  origin.always(response_of(body_of(20'000)));
  auto call = fixture.start(OriginFixture::get(), observer);
  observer.on_any = [&] { call.reset(); };
  fixture.world.run_for(5s);
  CHECK_EQUAL(0, observer.endings);
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
  RecordingObserver second;
  CHECK(fixture.fetch(OriginFixture::get(), second));
  CHECK_EQUAL(20'000u, second.body.size());
  CHECK_EQUAL(1u, origin.connections());
}

TEST(HttpOriginClient, ACancelledPausedCallIsDrainedToo) {
  origin.always(response_of(body_of(20'000)));
  observer.take = [](std::size_t offered) { return offered / 2; };
  auto call = fixture.start(OriginFixture::get(), observer);
  fixture.world.run_for(5s);
  CHECK_EQUAL(1u, observer.deliveries);
  call.reset();
  fixture.world.run_for(1s);
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, CancellingBeforeAConnectionStands) {
  auto call = fixture.start(OriginFixture::get(), observer);
  call.reset();
  fixture.world.run_for(5s);
  CHECK_EQUAL(0, observer.endings);
  CHECK_EQUAL(0u, origin.requests.size());
  // The connection that was being opened for it is there for the next.
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
}

TEST(HttpOriginClient, AHostNobodyServes) {
  OriginGroup group = OriginFixture::group_of({"http://192.0.2.1"});
  group.hosts = {"other.example"};
  fixture.use(group);
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.failure->kind == OriginFailureKind::no_origin);
  STRCMP_CONTAINS("music.example", observer.failure->message.c_str());
}

TEST(HttpOriginClient, ARequestThatCannotBeWrittenIsNotSent) {
  OriginRequest request = OriginFixture::get("/a b");
  CHECK(fixture.fetch(request, observer));
  CHECK(observer.failure->kind == OriginFailureKind::no_origin);
  CHECK_EQUAL(0u, origin.connections());
}

TEST(HttpOriginClient, AReloadLeavesRunningCallsAlone) {
  TestOrigin next{fixture.world, fixture.machine, "192.0.2.2:80"};
  next.always(response_of("new"));
  std::string response = response_of("old body");
  origin.answer = [&](sim::SimPeer& peer, const std::string&) {
    peer.send(response.substr(0, response.size() - 3));
  };
  const auto call = fixture.start(OriginFixture::get(), observer);
  CHECK(fixture.world.run_until([&] { return observer.deliveries > 0; }));
  const auto old_statistics = fixture.directory->groups()[0]->origins[0].statistics;
  fixture.use(OriginFixture::group_of({"http://192.0.2.2"}));
  RecordingObserver second;
  CHECK(fixture.fetch(OriginFixture::get(), second));
  STRCMP_EQUAL("new", second.body.c_str());
  origin.server.peer(0).send("ody");
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  STRCMP_EQUAL("old body", observer.body.c_str());
  fixture.world.run_for(5s);
  // Its connection is not kept: nobody will ask this server again.
  CHECK_EQUAL(0, old_statistics->connections_open.load());
}

TEST(HttpOriginClient, AReloadThatChangesNothingKeepsConnections) {
  origin.always(response_of("x"));
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  fixture.use(OriginFixture::group_of({"http://192.0.2.1"}));
  RecordingObserver second;
  CHECK(fixture.fetch(OriginFixture::get(), second));
  CHECK_EQUAL(1u, origin.connections());
}

TEST(HttpOriginClient, MapsHostAndPath) {
  OriginGroup group = OriginFixture::group_of({"http://192.0.2.1"});
  group.host_header = "bucket.example";
  group.path = {.strip = "/music", .add = "/v1"};
  fixture.use(group);
  origin.always(response_of("x"));
  CHECK(fixture.fetch(OriginFixture::get("/music/a"), observer));
  STRCMP_EQUAL("GET /v1/a HTTP/1.1\r\nHost: bucket.example\r\n\r\n", origin.requests[0].c_str());
}
