// Http2Session: requests and responses over HTTP/2, windows, cancels, draining.
#include "dataplane/proxy/http2_session.h"

#include <nghttp2/nghttp2.h>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/http2_peer.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;
using namespace std::string_literals;

TEST_GROUP(Http2Session) {
  ProxyFixture node{21};

  void setup() override {
    node.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, "of " + call.request.path_and_query);
    };
  }
};

TEST(Http2Session, answers_from_the_origin_and_from_the_cache) {
  Http2Peer peer(node);
  const Http2Reply first = peer.wait(peer.get("/a"));
  CHECK_TRUE(first.whole());
  LONGS_EQUAL(200, first.status);
  STRCMP_EQUAL("of /a", first.body.c_str());
  STRCMP_EQUAL("5", first.field("content-length").c_str());
  const Http2Reply second = peer.wait(peer.get("/a"));
  STRCMP_EQUAL("of /a", second.body.c_str());
  STRCMP_CONTAINS("hit", second.field("cache-status").c_str());
  LONGS_EQUAL(1, node.calls());
  for (const auto& [name, value] : second.fields) {
    CHECK_TRUE(name != "connection" && name != "transfer-encoding" && name != "keep-alive");
  }
  LONGS_EQUAL(1, node.counter(&Counters::http2_connections));
  LONGS_EQUAL(2, node.counter(&Counters::http2_streams));
}

TEST(Http2Session, the_origin_is_asked_as_by_http_1_1_and_told_the_protocol) {
  Http2Peer peer(node);
  peer.wait(peer.submit({{":method", "GET"},
                         {":scheme", "http"},
                         {":authority", "music.example:80"},
                         {":path", "/a?b"},
                         {"cookie", "a=1"},
                         {"cookie", "b=2"},
                         {"te", "trailers"}}));
  const auto& asked = node.call(0).request;
  STRCMP_EQUAL("music.example", asked.authority.c_str());
  STRCMP_EQUAL("/a?b", asked.path_and_query.c_str());
  STRCMP_EQUAL("2 nearfield", std::string(*asked.fields.find("Via")).c_str());
  STRCMP_EQUAL("a=1; b=2", std::string(*asked.fields.find("Cookie")).c_str());
  CHECK_FALSE(asked.fields.contains("TE"));
}

TEST(Http2Session,
     the_preface_is_recognised_however_it_is_cut_and_what_only_resembles_it_is_http_1) {
  sim::LinkOptions link;
  link.to_server.maximum_segment_bytes = 1;
  node.world.set_link(node.address, link);
  Http2Peer peer(node);
  LONGS_EQUAL(200, peer.wait(peer.get("/a")).status);
  LONGS_EQUAL(200, node.request("GET /b HTTP/1.1\r\nHost: a\r\n\r\n").status);
  LONGS_EQUAL(200, node.request("PROPFIND /c HTTP/1.1\r\nHost: a\r\n\r\n").status);
  LONGS_EQUAL(505, node.request("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").status);
}

TEST(Http2Session, head_requests_and_responses_without_content_end_with_their_head) {
  Http2Peer peer(node);
  const Http2Reply head = peer.wait(peer.ask("HEAD", "/a", {}, std::nullopt));
  CHECK_TRUE(head.whole());
  LONGS_EQUAL(200, head.status);
  LONGS_EQUAL(0, head.body.size());
  const std::string tag = "\"1\"";
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}, {"ETag", tag}}, "body");
  };
  peer.wait(peer.get("/b"));
  LONGS_EQUAL(304, peer.wait(peer.get("/b", {{"if-none-match", tag}})).status);
}

TEST(Http2Session, ranges_and_multipart_bodies_are_whole) {
  std::string content;
  for (int each = 0; each < 40'000; ++each) content += static_cast<char>('a' + each % 26);
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}, {"ETag", "\"1\""}}, content);
  };
  Http2Peer peer(node);
  STRCMP_EQUAL(content.c_str(), peer.wait(peer.get("/a")).body.c_str());
  const Http2Reply one = peer.wait(peer.get("/a", {{"range", "bytes=100-29999"}}));
  LONGS_EQUAL(206, one.status);
  CHECK_TRUE(content.substr(100, 29'900) == one.body);
  const Http2Reply two = peer.wait(peer.get("/a", {{"range", "bytes=0-19999,30000-30009"}}));
  CHECK_TRUE(two.whole());
  STRCMP_CONTAINS(content.substr(30'000, 10).c_str(), two.body.c_str() + 20'000);
  LONGS_EQUAL(two.body.size(), std::stoul(two.field("content-length")));
}

TEST(Http2Session, a_body_of_unknown_length_ends_with_the_stream_and_a_broken_one_resets_it_alone) {
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=600"}}, std::nullopt);
    call.body("begin ");
  };
  Http2Peer peer(node);
  const std::int32_t good = peer.get("/good");
  CHECK_TRUE(node.run_until([&] { return peer.reply(good).body == "begin "; }));
  open->body("end");
  open->complete();
  STRCMP_EQUAL("begin end", peer.wait(good).body.c_str());
  CHECK_TRUE(peer.reply(good).whole());
  STRCMP_EQUAL("", peer.reply(good).field("transfer-encoding").c_str());

  const std::int32_t bad = peer.get("/bad");
  CHECK_TRUE(node.run_until([&] { return peer.reply(bad).body == "begin "; }));
  open->fail(origin::OriginFailureKind::broken);
  LONGS_EQUAL(NGHTTP2_INTERNAL_ERROR, peer.wait(bad).error);
  CHECK_FALSE(peer.over());
  LONGS_EQUAL(200, peer.wait(peer.get("/good")).status);
  LONGS_EQUAL(1, node.counter(&Counters::responses_broken));
}

TEST(Http2Session, request_content_is_forwarded_and_bounded) {
  Http2Peer peer(node);
  const std::int32_t posted = peer.ask("POST", "/a", {}, std::string(200'000, 'p'));
  LONGS_EQUAL(200, peer.wait(posted).status);
  LONGS_EQUAL(200'000, node.call(0).request.body.size());
  const std::int32_t large = peer.ask("POST", "/a", {}, std::string(2'000'000, 'p'));
  LONGS_EQUAL(413, peer.wait(large).status);
  const std::int32_t declared =
      peer.ask("POST", "/a", {{"content-length", "2000000"}}, std::string(2'000'000, 'p'));
  LONGS_EQUAL(413, peer.wait(declared).status);
  LONGS_EQUAL(2, node.counter(&Counters::limit_request_body));
  CHECK_FALSE(peer.over());
  LONGS_EQUAL(1, node.calls());
}

TEST(Http2Session, bodies_of_all_streams_together_are_bounded) {
  node.change_settings([](Settings& settings) { settings.limits.http2_body_bytes = 100'000; });
  Http2Peer peer(node);
  std::vector<std::int32_t> streams;
  for (int each = 0; each < 4; ++each) {
    streams.push_back(
        peer.submit({{":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/"}},
                    std::string(60'000, 'p')));
  }
  int refused = 0;
  for (const std::int32_t stream : streams)
    refused += peer.wait(stream).error == NGHTTP2_REFUSED_STREAM;
  CHECK_TRUE(refused > 0);
  CHECK_FALSE(peer.over());
  LONGS_EQUAL(200, peer.wait(peer.get("/b")).status);
}

TEST(Http2Session, bodies_of_all_connections_together_are_bounded) {
  node.change_settings([](Settings& settings) { settings.limits.held_request_bytes = 100'000; });
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) { open = &call; };
  Http2Peer first(node);
  Http2Peer second(node);
  const std::int32_t held = first.ask("POST", "/a", {}, std::string(60'000, 'p'));
  CHECK_TRUE(node.run_until([&] { return open != nullptr; }));
  const Http2Reply refused = second.wait(second.ask("POST", "/a", {}, std::string(60'000, 'p')));
  LONGS_EQUAL(503, refused.status);
  STRCMP_EQUAL("1", refused.field("retry-after").c_str());
  LONGS_EQUAL(1, node.counter(&Counters::limit_request_bodies));
  CHECK_FALSE(second.over());
  open->answer(200, {}, "done");
  STRCMP_EQUAL("done", first.wait(held).body.c_str());
  CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes == 0; }));
  open = nullptr;
  const std::int32_t again = second.ask("POST", "/a", {}, std::string(60'000, 'p'));
  CHECK_TRUE(node.run_until([&] { return open != nullptr; }));
  // What was forwarded is held to the end of its fetch, also when its listener leaves.
  second.cancel(again);
  node.world.run_for(std::chrono::seconds(1));
  LONGS_EQUAL(60'000, node.shared->held_request_bytes);
  open->answer(200, {}, "done");
  CHECK_TRUE(node.run_until([&] { return node.shared->held_request_bytes == 0; }));
}

TEST(Http2Session, expect_continue_is_answered_here) {
  Http2Peer peer(node);
  const std::int32_t stream =
      peer.ask("POST", "/a", {{"expect", "100-continue"}}, std::string("abc"));
  const Http2Reply& reply = peer.wait(stream);
  LONGS_EQUAL(1, reply.interim.size());
  LONGS_EQUAL(100, reply.interim[0]);
  LONGS_EQUAL(200, reply.status);
}

TEST(Http2Session, authority_and_host_must_agree_and_the_scheme_be_that_of_the_connection) {
  Http2Peer peer(node);
  LONGS_EQUAL(400, peer.wait(peer.get("/a", {{"host", "other.example"}})).status);
  LONGS_EQUAL(200, peer.wait(peer.get("/a", {{"host", "MUSIC.example:80"}})).status);
  LONGS_EQUAL(200, peer.wait(peer.submit({{":method", "GET"},
                                          {":scheme", "http"},
                                          {":path", "/a"},
                                          {"host", "music.example"}}))
                       .status);
  LONGS_EQUAL(421, peer.wait(peer.submit({{":method", "GET"},
                                          {":scheme", "https"},
                                          {":path", "/a"},
                                          {":authority", "music.example"}}))
                       .status);
  LONGS_EQUAL(431, peer.wait(peer.get("/a", {{"x", std::string(17'000, 'x')}})).status);
  CHECK_FALSE(peer.over());
}

TEST(Http2Session, many_streams_on_random_cuts_are_all_whole) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    ProxyFixture world(seed, 1);
    world.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}},
                  std::string(40'000, call.request.path_and_query.back()));
    };
    sim::LinkOptions link;
    link.to_server.maximum_segment_bytes = 5 + seed;
    link.to_client.maximum_segment_bytes = 1400;
    world.world.set_default_link(link);
    Http2Peer peer(world);
    std::vector<std::int32_t> streams;
    for (int each = 0; each < 60; ++each)
      streams.push_back(peer.get("/" + std::string(1, static_cast<char>('a' + each % 8))));
    for (std::size_t each = 0; each < streams.size(); ++each) {
      if (each % 7 == 3) {
        peer.cancel(streams[each]);
        continue;
      }
      const Http2Reply& reply = peer.wait(streams[each]);
      CHECK_TRUE(reply.whole());
      CHECK_TRUE(reply.body == std::string(40'000, static_cast<char>('a' + each % 8)));
    }
    peer.connection().close();
    world.world.settle();
    CHECK_TRUE(world.workers[0].proxy->idle());
  }
}

TEST(Http2Session, a_stream_without_window_is_ended_alone) {
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(100'000, 'x'));
  };
  Http2Peer::Options options;
  options.automatic_windows = false;
  options.initial_window = 1000;
  Http2Peer peer(node, options);
  const std::int32_t stalled = peer.get("/a");
  LONGS_EQUAL(NGHTTP2_CANCEL, peer.wait(stalled).error);
  LONGS_EQUAL(1000, peer.reply(stalled).body.size());
  LONGS_EQUAL(1, node.counter(&Counters::http2_stalled_streams));
  CHECK_FALSE(peer.over());
}

// SETTINGS that make a window too large (RFC 9113 6.9.2) are judged by the streams there are when
// they are whole.
TEST(Http2Session, settings_that_come_in_pieces_meet_the_streams_of_their_end) {
  for (const bool ends_in_between : {true, false}) {
    std::vector<ScriptedCall*> open;
    node.on_call = [&](ScriptedCall& call) { open.push_back(&call); };
    const std::uint64_t errors = node.counter(&Counters::http2_protocol_errors);
    const std::uint8_t whole = NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM;
    const std::string fields =
        std::string("\x82\x86\x01\x01h\x04\x03/") + (ends_in_between ? 'a' : 'b');
    const std::string settings = http2_frame(NGHTTP2_SETTINGS, 0, 0, "\0\x04\x7f\xff\xff\xff"s);
    auto raw = node.client();
    raw->send(std::string(kHttp2ClientPreface) + http2_frame(NGHTTP2_SETTINGS, 0, 0, "") +
              http2_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
              http2_frame(NGHTTP2_HEADERS, whole, 1, fields + '1') +
              http2_frame(NGHTTP2_HEADERS, whole, 3, fields + '3') +
              http2_frame(NGHTTP2_WINDOW_UPDATE, 0, 1, "\0\0\0\1"s));
    CHECK_TRUE(node.run_until([&] { return open.size() == 2; }));
    raw->send(settings.substr(0, 11));
    node.world.run_for(std::chrono::seconds(1));
    if (ends_in_between) open.front()->answer(200, {}, "short");
    node.world.run_for(std::chrono::seconds(1));
    raw->send(settings.substr(11));
    node.world.run_for(std::chrono::seconds(1));
    CHECK_EQUAL(!ends_in_between, raw->ended());
    LONGS_EQUAL(errors + (ends_in_between ? 0 : 1), node.counter(&Counters::http2_protocol_errors));
  }
}

TEST(Http2Session, urgent_streams_are_sent_first) {
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(600'000, 'x'));
  };
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  peer.allow(0, 10'000'000);
  const std::int32_t later = peer.get("/a", {{"priority", "u=6"}});
  const std::int32_t sooner = peer.get("/a", {{"priority", "u=1"}});
  peer.wait(sooner);
  CHECK_TRUE(peer.reply(later).body.size() < 600'000);
  CHECK_TRUE(peer.wait(later).whole());
}

TEST(Http2Session, an_idle_connection_is_closed_with_a_farewell) {
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  CHECK_TRUE(node.run_until([&] { return peer.over(); }, std::chrono::seconds(80)));
  LONGS_EQUAL(NGHTTP2_NO_ERROR, *peer.goaway_code());
  LONGS_EQUAL(1, node.counter(&Counters::timeout_idle));
}

TEST(Http2Session, goes_on_after_its_memory_was_given_back) {
  Http2Peer peer(node);
  for (std::uint64_t number = 0; number < 3; ++number) {
    LONGS_EQUAL(number, node.counter(&Counters::http2_rests));
    const Http2Reply reply = peer.wait(peer.get("/a"));
    LONGS_EQUAL(200, reply.status);
    STRCMP_EQUAL("of /a", reply.body.c_str());
    node.world.run_for(std::chrono::seconds(16));
  }
  LONGS_EQUAL(3, node.counter(&Counters::http2_rests));
  peer.ping();
  CHECK_TRUE(node.run_until([&] { return peer.pings_answered() == 1; }));
}

TEST(Http2Session, does_not_rest_while_anything_is_asked) {
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  node.on_call = [](ScriptedCall&) {};
  node.world.run_for(std::chrono::seconds(10));
  const std::int32_t open = peer.get("/b");
  node.world.run_for(std::chrono::seconds(16));
  LONGS_EQUAL(0, node.counter(&Counters::http2_rests));
  peer.cancel(open);
  node.world.run_for(std::chrono::seconds(14));
  LONGS_EQUAL(0, node.counter(&Counters::http2_rests));
  node.world.run_for(std::chrono::seconds(2));
  LONGS_EQUAL(1, node.counter(&Counters::http2_rests));
}

TEST(Http2Session, pings_keep_no_idle_connection) {
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  for (int each = 0; each < 3; ++each) {
    node.world.run_for(std::chrono::seconds(20));
    peer.ping();
  }
  node.world.run_for(std::chrono::seconds(5));
  LONGS_EQUAL(3, peer.pings_answered());
  CHECK_FALSE(peer.over());
  CHECK_TRUE(node.run_until([&] { return peer.over(); }, std::chrono::seconds(15)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_idle));
}

TEST(Http2Session, a_slow_preface_and_a_slow_header_block_are_cut) {
  auto silent = node.client();
  silent->send(kHttp2ClientPreface);
  CHECK_TRUE(node.run_until([&] { return silent->ended(); }, std::chrono::seconds(12)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_header));
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  peer.raw(http2_frame(NGHTTP2_HEADERS, 0, 3, "\x82"));
  CHECK_TRUE(node.run_until([&] { return peer.over(); }, std::chrono::seconds(12)));
  LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM, *peer.goaway_code());
  LONGS_EQUAL(2, node.counter(&Counters::timeout_header));
}

TEST(Http2Session, a_body_that_does_not_come_is_answered_with_408_and_a_response_with_504) {
  node.on_call = [](ScriptedCall&) {};
  Http2Peer peer(node);
  const std::int32_t unanswered = peer.get("/a");
  LONGS_EQUAL(504, peer.wait(unanswered).status);
  LONGS_EQUAL(1, node.counter(&Counters::timeout_response));
  CHECK_FALSE(peer.over());
  // The head of a request with content, and never any.
  auto raw = node.client();
  raw->send(std::string(kHttp2ClientPreface) + http2_frame(NGHTTP2_SETTINGS, 0, 0, "") +
            http2_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") +
            http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 1,
                        "\x83\x86\x84\x01\x01"
                        "a"));
  CHECK_TRUE(node.run_until([&] { return node.counter(&Counters::timeout_body) == 1; },
                            std::chrono::seconds(31)));
  CHECK_FALSE(raw->ended());
  LONGS_EQUAL(2, node.counter(&Counters::responses_4xx) + node.counter(&Counters::responses_5xx));
}

TEST(Http2Session, a_reader_that_takes_nothing_is_reset) {
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(3'000'000, 'x'));
  };
  Http2Peer::Options options;
  options.initial_window = 10'000'000;
  Http2Peer peer(node, options);
  peer.allow(0, 10'000'000);
  peer.get("/a");
  peer.connection().pause();
  CHECK_TRUE(node.run_until([&] { return peer.connection().closed(); }, std::chrono::minutes(3)));
  LONGS_EQUAL(1, node.counter(&Counters::timeout_send));
}

TEST(Http2Session, draining_announces_finishes_and_closes) {
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=600"}}, 10);
    call.body("01234");
  };
  Http2Peer idle(node);
  Http2Peer busy(node);
  const std::int32_t stream = busy.get("/a");
  CHECK_TRUE(node.run_until([&] { return busy.reply(stream).body == "01234"; }));
  node.workers[0].proxy->drain();
  CHECK_TRUE(node.run_until([&] { return idle.over(); }, std::chrono::seconds(3)));
  // Having no streams it stops reading at the first.
  LONGS_EQUAL(0x7fffffff, idle.goaway_last_stream());
  CHECK_TRUE(node.run_until([&] { return busy.goaways() == 2; }));
  LONGS_EQUAL(stream, busy.goaway_last_stream());
  LONGS_EQUAL(NGHTTP2_NO_ERROR, *busy.goaway_code());
  CHECK_FALSE(busy.over());
  open->body("56789");
  open->complete();
  STRCMP_EQUAL("0123456789", busy.wait(stream).body.c_str());
  CHECK_TRUE(node.run_until([&] { return busy.over(); }));
  idle.connection().close();
  busy.connection().close();
  CHECK_TRUE(node.run_until([&] { return node.workers[0].proxy->idle(); }));
}

TEST(Http2Session, after_its_number_of_requests_a_connection_ends) {
  node.change_settings([](Settings& settings) { settings.limits.requests_per_connection = 3; });
  Http2Peer peer(node);
  for (int each = 0; each < 3; ++each) LONGS_EQUAL(200, peer.wait(peer.get("/a")).status);
  CHECK_TRUE(node.run_until([&] { return peer.over(); }, std::chrono::seconds(3)));
  LONGS_EQUAL(NGHTTP2_NO_ERROR, *peer.goaway_code());
}

TEST(Http2Session, who_vanishes_in_mid_body_leaves_nothing_behind) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    ProxyFixture world(seed, 1);
    world.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(300'000, 'x'));
    };
    sim::LinkOptions link;
    link.to_client.reset_after_bytes = 20'000 * seed;
    world.world.set_default_link(link);
    {
      Http2Peer peer(world);
      for (int each = 0; each < 10; ++each) peer.get("/" + std::to_string(each));
      world.world.run_for(std::chrono::seconds(2));
    }
    world.world.settle();
    CHECK_TRUE(world.workers[0].proxy->idle());
  }
}

TEST(Http2Session, clear_text_is_sent_to_https_where_the_policy_says_so) {
  node.change_settings([](Settings& settings) {
    settings.https.redirect = true;
    settings.https.redirect_port = 8443;
    settings.https.hsts = std::chrono::hours(1);
  });
  Http2Peer peer(node);
  const Http2Reply& reply = peer.wait(peer.get("/a?b=c"));
  LONGS_EQUAL(301, reply.status);
  STRCMP_EQUAL("https://music.example:8443/a?b=c", reply.field("location").c_str());
  STRCMP_EQUAL("", reply.field("strict-transport-security").c_str());
  LONGS_EQUAL(
      308, node.request("POST /a HTTP/1.1\r\nHost: [::1]:80\r\nContent-Length: 0\r\n\r\n").status);
  // Without a name there is nowhere to be sent to, which is no reason to be served here.
  const Reply nameless = node.request("GET /a HTTP/1.0\r\n\r\n");
  LONGS_EQUAL(400, nameless.status);
  STRCMP_CONTAINS("only served over https", nameless.body.c_str());
  LONGS_EQUAL(1, node.counter(&Counters::requests_malformed));
  LONGS_EQUAL(2, node.counter(&Counters::https_redirects));
  LONGS_EQUAL(0, node.calls());
}
