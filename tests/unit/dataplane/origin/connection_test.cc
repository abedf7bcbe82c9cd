// Servers that misbehave: what breaks is never presented as whole, what is unsound ends the
// connection, and every wait ends.
#include "dataplane/origin/connection.h"

#include <format>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

TEST_GROUP(OriginConnection) {
  OriginFixture fixture;
  TestOrigin origin{fixture.world, fixture.machine, "192.0.2.1:80"};
  RecordingObserver observer;
  OriginGroup group = OriginFixture::group_of({"http://192.0.2.1"});

  TEST_SETUP() {
    group.retries = 0;
    fixture.use(group);
  }
  void fails(OriginFailureKind kind, const char* message, Duration limit = 5min) {
    CHECK(fixture.fetch(OriginFixture::get(), observer, limit));
    CHECK(!observer.complete);
    CHECK_TEXT(observer.failure.has_value(), message);
    STRCMP_CONTAINS(message, observer.failure->message.c_str());
    STRCMP_CONTAINS("origin g/192.0.2.1:80", observer.failure->message.c_str());
    STRCMP_EQUAL(failure_kind_text(kind), failure_kind_text(observer.failure->kind));
    CHECK_EQUAL(1u, fixture.statistics().failures[static_cast<std::size_t>(kind)].load());
  }
  // Sends this and closes in order.
  void sends_and_closes(std::string bytes) {
    origin.answer = [bytes = std::move(bytes)](sim::SimPeer& peer, const std::string&) {
      peer.send(bytes);
      peer.close();
    };
  }
  // One byte every `pace`, for ever.
  void drips(std::string bytes, Duration pace) {
    origin.answer = [this, bytes = std::move(bytes), pace](sim::SimPeer& peer, const std::string&) {
      drip_ = bytes;
      dripping_ = &peer;
      drip_pace_ = pace;
      drip();
    };
  }
  void drip() {
    if (drip_.empty()) return;
    dripping_->send(drip_.substr(0, 1));
    drip_.erase(0, 1);
    fixture.machine.arm(drip_timer_, fixture.machine.now() + drip_pace_);
  }
  std::string drip_;
  sim::SimPeer* dripping_ = nullptr;
  Duration drip_pace_{};
  net::Timer drip_timer_{[](void* self) { static_cast<decltype(this)>(self)->drip(); }, this};
};

TEST(OriginConnection, ClosedBeforeAnAnswer) {
  sends_and_closes("");
  fails(OriginFailureKind::broken, "closed the connection before it answered");
}

TEST(OriginConnection, ClosedInTheHead) {
  sends_and_closes("HTTP/1.1 200 OK\r\nContent-Le");
  fails(OriginFailureKind::broken, "in the middle of the head");
}

TEST(OriginConnection, ClosedInABodyOfKnownLength) {
  sends_and_closes("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789");
  fails(OriginFailureKind::broken, "in the middle of the body");
  STRCMP_EQUAL("123456789", observer.body.c_str());
}

TEST(OriginConnection, ClosedInAChunkedBody) {
  sends_and_closes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  fails(OriginFailureKind::broken, "in the middle of the body");
}

TEST(OriginConnection, ClosedBeforeTheLastTrailer) {
  sends_and_closes(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n");
  fails(OriginFailureKind::broken, "in the middle of the body");
}

TEST(OriginConnection, ResetInABodyThatRunsUntilTheEnd) {
  // The end of the connection is the end of the body only when it came in order.
  origin.answer = [](sim::SimPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\n\r\nhello");
  };
  const auto call = fixture.start(OriginFixture::get(), observer);
  CHECK(fixture.world.run_until([&] { return observer.body == "hello"; }));
  origin.server.peer(0).abort();
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  CHECK(observer.failure.has_value());
  STRCMP_CONTAINS("reset the connection in the middle of the body",
                  observer.failure->message.c_str());
}

TEST(OriginConnection, ResetAnywhereIsBroken) {
  const std::string response = response_of(body_of(2000));
  for (std::uint64_t at = 1; at < response.size(); at += 97) {
    OriginFixture own(at);
    own.use(group);
    sim::LinkOptions link;
    link.to_client.reset_after_bytes = at;
    own.world.set_default_link(link);
    TestOrigin server{own.world, own.machine, "192.0.2.1:80"};
    server.always(response);
    RecordingObserver one;
    CHECK(own.fetch(OriginFixture::get(), one));
    CHECK(one.failure.has_value());
    CHECK(one.failure->kind == OriginFailureKind::broken);
  }
}

TEST(OriginConnection, ALengthThatIsTooShortEndsTheConnection) {
  // What was promised is delivered; what follows belongs to nothing and must not become the next
  // response.
  origin.always(
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: "
      "4\r\n\r\nevil");
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK(observer.complete);
  STRCMP_EQUAL("hello", observer.body.c_str());
  fixture.world.run_for(1s);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
  CHECK_EQUAL(1u, fixture.statistics().unexpected_bytes.load());
}

TEST(OriginConnection, BytesOnAnIdleConnectionEndIt) {
  origin.always(response_of("x"));
  CHECK(fixture.fetch(OriginFixture::get(), observer));
  CHECK_EQUAL(1, fixture.statistics().connections_idle.load());
  origin.server.peer(0).send("HTTP/1.1 408 Request Timeout\r\n\r\n");
  fixture.world.run_for(1s);
  CHECK_EQUAL(0, fixture.statistics().connections_idle.load());
  CHECK_EQUAL(1u, fixture.statistics().unexpected_bytes.load());
}

TEST(OriginConnection, UnsoundResponses) {
  for (const char* bytes :
       {"garbage", "SSH-2.0-x\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: "
        "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n"}) {
    OriginFixture own;
    own.use(group);
    TestOrigin server{own.world, own.machine, "192.0.2.1:80"};
    server.always(bytes);
    RecordingObserver one;
    CHECK_TEXT(own.fetch(OriginFixture::get(), one), bytes);
    CHECK_TEXT(one.failure.has_value(), bytes);
    CHECK_TEXT(one.failure->kind == OriginFailureKind::malformed, bytes);
    own.world.run_for(5s);
    CHECK_EQUAL(0, own.statistics().connections_open.load());
  }
}

TEST(OriginConnection, TooManyInterimResponses) {
  std::string flood;
  for (int i = 0; i < 1000; ++i) flood += "HTTP/1.1 102 Processing\r\n\r\n";
  origin.always(flood);
  fails(OriginFailureKind::malformed, "too many interim responses");
  CHECK(observer.interim.size() <= 16);
}

TEST(OriginConnection, AHeadWithoutEnd) {
  std::string endless = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 10'000; ++i)
    endless += std::format("X-{}: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", i);
  origin.always(endless);
  fails(OriginFailureKind::malformed, "is not sound HTTP");
}

TEST(OriginConnection, NoAnswerInTime) {
  const MonotonicTime begin = fixture.world.now();
  fails(OriginFailureKind::timed_out, "did not answer in 30 s");
  const Duration took = fixture.world.now() - begin;
  CHECK(took >= 30s && took < 31s);
}

TEST(OriginConnection, AHeadSlowAsTar) {
  drips("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5s);
  fails(OriginFailureKind::timed_out, "did not finish the head of its response in 30 s");
}

TEST(OriginConnection, ABodySlowAsTarArrives) {
  origin.answer = [&](sim::SimPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
    drip_ = std::string(20, 'x');
    dripping_ = &peer;
    drip_pace_ = 14s;
    drip();
  };
  CHECK(fixture.fetch(OriginFixture::get(), observer, 10min));
  CHECK(observer.complete);
  CHECK_EQUAL(20u, observer.body.size());
}

TEST(OriginConnection, ALengthThatIsTooLongTimesOut) {
  origin.always("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
  fails(OriginFailureKind::timed_out, "sent nothing for 15 s in the middle of the body");
}

TEST(OriginConnection, InterimResponsesGiveMoreTime) {
  origin.answer = [&](sim::SimPeer& peer, const std::string&) {
    // 26 bytes each; the last piece ends the response.
    drip_.clear();
    peer.send("HTTP/1.1 102 Processing\r\n\r\n");
  };
  const auto call = fixture.start(OriginFixture::get(), observer);
  fixture.world.run_for(25s);
  origin.server.peer(0).send("HTTP/1.1 102 Processing\r\n\r\n");
  fixture.world.run_for(25s);
  CHECK(!observer.ended());
  origin.server.peer(0).send(response_of("x"));
  CHECK(fixture.world.run_until([&] { return observer.ended(); }));
  CHECK(observer.complete);
}

TEST(OriginConnection, AServerThatDoesNotTakeTheRequest) {
  origin.server.on_connection = [](sim::SimPeer& peer) { peer.pause(); };
  const auto call = fixture.start(OriginFixture::post("/upload", body_of(2'000'000)), observer);
  CHECK(fixture.world.run_until([&] { return observer.ended(); }, 5min));
  CHECK(observer.failure->kind == OriginFailureKind::timed_out);
  STRCMP_CONTAINS("took nothing of the request for 30 s", observer.failure->message.c_str());
}

TEST(OriginConnection, TheWholeCallMayHaveATimeOut) {
  group.timeouts.whole = 60s;
  fixture.use(group);
  origin.answer = [&](sim::SimPeer& peer, const std::string&) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n");
    drip_ = std::string(2000, 'x');
    dripping_ = &peer;
    drip_pace_ = 1s;
    drip();
  };
  const MonotonicTime begin = fixture.world.now();
  fails(OriginFailureKind::timed_out, "the whole call took more than 60 s");
  CHECK(fixture.world.now() - begin < 61s);
  fixture.world.run_for(5s);
  drip_.clear();
  CHECK_EQUAL(0, fixture.statistics().connections_open.load());
}
