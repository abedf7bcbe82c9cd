// Session: order, limits and clocks of one connection.
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

TEST_GROUP(Session) {
  ProxyFixture node{11};

  void setup() override {
    node.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, "of " + call.request.path_and_query);
    };
  }
};

TEST(Session, pipelined_requests_are_answered_in_order) {
  auto peer = node.client();
  std::string requests;
  for (int each = 0; each < 20; ++each) {
    requests += "GET /" + std::to_string(each % 5) + " HTTP/1.1\r\nHost: music.example\r\n\r\n";
  }
  peer->send(requests);
  std::string bytes;
  int answered = 0;
  CHECK_TRUE(node.run_until([&] {
    bytes += peer->take_received();
    while (const auto reply = take_reply(bytes, false)) {
      STRCMP_EQUAL(("of /" + std::to_string(answered % 5)).c_str(), reply->body.c_str());
      ++answered;
    }
    return answered == 20;
  }));
  LONGS_EQUAL(5, node.calls());
}

TEST(Session, what_is_ambiguous_gets_400_and_a_closed_connection_and_never_reaches_the_origin) {
  for (const char* text : {
           "GET /a HTTP/1.1\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
           "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
           "chunked\r\n\r\n0\r\n\r\n",
           "GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
           "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
           "GET http://other/a HTTP/1.1\r\nHost: a\r\n\r\n",
       }) {
    auto peer = node.client();
    peer->send(std::string(text) + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_TRUE(node.run_until([&] { return peer->ended() || peer->closed(); }));
    STRCMP_CONTAINS("HTTP/1.1 400 ", peer->received().substr(0, 13).c_str());
    STRCMP_CONTAINS("Connection: close", peer->received().c_str());
    CHECK_TRUE(peer->received().find("smuggled") == std::string::npos);
  }
  LONGS_EQUAL(0, node.calls());
  LONGS_EQUAL(7, node.counter(&Counters::requests_malformed));
}

TEST(Session, another_protocol_than_http_gets_no_answer_but_the_end) {
  auto peer = node.client();
  peer->send("WRONG PREFACE");
  CHECK_FALSE(node.run_until([&] { return peer->ended(); }, std::chrono::milliseconds(100)));
  peer->send(" OF HTTP/2\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }));
  LONGS_EQUAL(0, peer->received_bytes());
  LONGS_EQUAL(1, node.counter(&Counters::requests_malformed));

  // Behind a request it is a broken one.
  auto talker = node.client();
  talker->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\nWRONG PREFACE\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return talker->ended(); }));
  STRCMP_CONTAINS("HTTP/1.1 400 ", talker->received().c_str());
}

TEST(Session, a_slow_head_is_cut_with_408) {
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHo");
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }, std::chrono::seconds(12)));
  STRCMP_CONTAINS("408", peer->received().c_str());
  LONGS_EQUAL(1, node.counter(&Counters::timeout_header));
}

TEST(Session, an_idle_connection_is_closed) {
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->received_bytes() > 0; }));
  CHECK_FALSE(peer->ended());
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }, std::chrono::seconds(80)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_idle));
}

TEST(Session, a_reader_that_takes_nothing_is_reset) {
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(3'000'000, 'x'));
  };
  auto peer = node.client();
  peer->pause();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->closed(); }, std::chrono::minutes(3)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_send));
}

TEST(Session, a_peer_that_does_not_acknowledge_our_end_keeps_no_place) {
  sim::LinkOptions link;
  link.to_client.silent_after_bytes = 0;
  node.world.set_link(node.address, link);
  auto peer = node.client();
  CHECK_TRUE(node.run_until([&] { return node.counter(&Counters::timeout_idle) == 1; }));
  LONGS_EQUAL(1, node.workers[0].reactor->stream_count());
  CHECK_TRUE(node.run_until([&] { return node.workers[0].reactor->stream_count() == 0; },
                            2 * node.settings->limits.send_timeout + std::chrono::seconds(1)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_send));
}

TEST(Session, a_response_that_does_not_come_is_answered_with_504) {
  node.on_call = [](ScriptedCall&) {};
  LONGS_EQUAL(504, node.get("/a").status);
  LONGS_EQUAL(1, node.counter(&Counters::timeout_response));
}

TEST(Session, a_body_over_the_limit_gets_413) {
  const Reply reply =
      node.request("POST /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: 2000000\r\n\r\n");
  LONGS_EQUAL(413, reply.status);
  LONGS_EQUAL(1, node.counter(&Counters::limit_request_body));
}

TEST(Session, the_content_of_all_requests_together_is_bounded_until_their_fetches_end) {
  node.change_settings([](Settings& settings) { settings.limits.held_request_bytes = 100'000; });
  const auto post = [](std::size_t bytes) {
    return "POST /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: " + std::to_string(bytes) +
           "\r\n\r\n" + std::string(bytes, 'p');
  };
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) { open = &call; };
  auto first = node.client();
  first->send(post(60'000));
  CHECK_TRUE(node.run_until([&] { return open != nullptr; }));
  // It is the origin's turn, and the content is still held.
  LONGS_EQUAL(60'000, node.shared->held_request_bytes);
  const Reply second = node.request(post(60'000));
  LONGS_EQUAL(503, second.status);
  STRCMP_EQUAL("1", second.field("Retry-After").c_str());
  STRCMP_EQUAL("close", second.field("Connection").c_str());
  LONGS_EQUAL(1, node.counter(&Counters::limit_request_bodies));
  open->answer(200, {}, "done");
  CHECK_TRUE(node.run_until([&] { return first->received().find("done") != std::string::npos; }));
  CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes == 0; }));
  open = nullptr;
  auto third = node.client();
  third->send(post(60'000));
  CHECK_TRUE(node.run_until([&] { return open != nullptr; }));
  // Who leaves in mid-content takes its share along.
  {
    auto leaver = node.client();
    leaver->send(post(40'000).substr(0, 30'000));
    CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes > 60'000; }));
  }
  CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes == 60'000; }));
  open->answer(200, {}, "done");
  CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes == 0; }));
}

TEST(Session, what_is_answered_here_is_answered_before_its_content) {
  auto peer = node.client();
  peer->send("TRACE /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: 100\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }, std::chrono::seconds(5)));
  STRCMP_CONTAINS("HTTP/1.1 405 ", peer->received().substr(0, 13).c_str());
  LONGS_EQUAL(0, node.counter(&Counters::timeout_body));
  // Without content the connection goes on.
  auto other = node.client();
  other->send("TRACE /a HTTP/1.1\r\nHost: music.example\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return other->received().find("of /b") != std::string::npos; }));
}

TEST(Session, content_that_breaks_its_framing_or_does_not_come_is_answered_and_ends) {
  auto broken = node.client();
  broken->send("POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  node.world.run_for(std::chrono::seconds(1));
  broken->send("zz\r\n");
  CHECK_TRUE(node.run_until([&] { return broken->ended(); }));
  STRCMP_CONTAINS("HTTP/1.1 400 ", broken->received().substr(0, 13).c_str());
  auto slow = node.client();
  slow->send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  CHECK_TRUE(node.run_until([&] { return slow->ended(); }, std::chrono::seconds(35)));
  STRCMP_CONTAINS("HTTP/1.1 408 ", slow->received().substr(0, 13).c_str());
  LONGS_EQUAL(1, node.counter(&Counters::timeout_body));
  LONGS_EQUAL(0, node.calls());
  LONGS_EQUAL(0, node.shared->held_request_bytes);
}

TEST(Session, expect_continue_is_answered_here) {
  auto peer = node.client();
  peer->send(
      "POST /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: 3\r\nExpect: "
      "100-continue\r\n\r\n");
  CHECK_TRUE(node.run_until(
      [&] { return peer->received().starts_with("HTTP/1.1 100 Continue\r\n\r\n"); }));
  peer->send("abc");
  CHECK_TRUE(node.run_until([&] { return peer->received().find("of /a") != std::string::npos; }));
  STRCMP_EQUAL("abc", node.call(0).request.body.c_str());
}

TEST(Session, connections_are_bounded_in_all_and_per_prefix) {
  node.change_settings([](Settings& settings) {
    settings.limits.connections = 3;
    settings.limits.connections_per_prefix = 2;
  });
  auto first = node.client();
  auto second = node.client();
  auto third = node.client();
  CHECK_TRUE(node.run_until([&] { return third->closed(); }));
  CHECK_FALSE(first->closed());
  CHECK_FALSE(second->closed());
  LONGS_EQUAL(1, node.counter(&Counters::connections_refused_prefix));
}

TEST(Session, http_1_0_without_length_ends_with_the_connection) {
  node.on_call = [](ScriptedCall& call) {
    call.head(200, {{"Cache-Control", "max-age=600"}}, std::nullopt);
    call.body("until the end");
    call.complete();
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.0\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }));
  STRCMP_CONTAINS("\r\n\r\nuntil the end", peer->received().c_str());
}

TEST(Session, draining_closes_idle_connections_and_finishes_responses) {
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=600"}}, 10);
    call.body("01234");
  };
  auto idle = node.client();
  auto busy = node.client();
  busy->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return busy->received().find("01234") != std::string::npos; }));
  node.workers[0].proxy->drain();
  CHECK_TRUE(node.run_until([&] { return idle->ended(); }));
  CHECK_FALSE(busy->ended());
  open->body("56789");
  open->complete();
  CHECK_TRUE(node.run_until([&] { return busy->ended(); }));
  STRCMP_CONTAINS("0123456789", busy->received().c_str());
  idle->close();
  busy->close();
  CHECK_TRUE(node.run_until([&] { return node.workers[0].proxy->idle(); }));
}

TEST(Session, requests_on_random_splits_and_vanishing_clients_leave_nothing_behind) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    ProxyFixture world_of_its_own(seed, 2);
    world_of_its_own.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(50'000, 'x'));
    };
    sim::LinkOptions link;
    link.to_server.maximum_segment_bytes = 7;
    if (seed % 3 == 0) link.to_client.reset_after_bytes = 20'000 + seed * 100;
    world_of_its_own.world.set_default_link(link);
    std::vector<std::unique_ptr<sim::SimPeer>> peers;
    for (int each = 0; each < 10; ++each) {
      peers.push_back(world_of_its_own.client());
      peers.back()->send("GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    world_of_its_own.world.run_for(std::chrono::seconds(2));
    peers.clear();
    world_of_its_own.world.settle();
    for (auto& worker : world_of_its_own.workers) CHECK_TRUE(worker.proxy->idle());
  }
}
