// Http2Session under attack: each flood ends its connection with the right code, is counted, and
// costs no other connection anything.
#include <nghttp2/nghttp2.h>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/http2_peer.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

TEST_GROUP(Http2Limits) {
  ProxyFixture node{22};

  void setup() override {
    node.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, "of " + call.request.path_and_query);
    };
  }

  // Sends it again and again until the connection ends.
  std::uint32_t flood(Http2Peer & peer, const std::string& bytes, int times = 3000) {
    for (int each = 0; each < times; ++each) peer.raw(bytes);
    const bool ended = node.run_until([&] { return peer.over(); }, std::chrono::seconds(30));
    CHECK_TEXT(ended, std::to_string(static_cast<int>(bytes[3])).c_str());
    return peer.goaway_code().value_or(0xffffffff);
  }
};

TEST(Http2Limits, rapid_resets_end_the_connection) {
  // Nobody answers, so each reset meets a stream under way.
  node.on_call = [](ScriptedCall&) {};
  Http2Peer peer(node);
  node.run_until([&] { return node.counter(&Counters::http2_connections) == 1; });
  std::string bytes;
  for (std::uint32_t stream = 1; stream < 1000; stream += 2) {
    bytes +=
        http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, stream,
                    "\x82\x86\x84\x01\x01"
                    "a");
    bytes += http2_frame(NGHTTP2_RST_STREAM, 0, stream, std::string("\0\0\0\x08", 4));
  }
  LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM, flood(peer, bytes, 1));
  LONGS_EQUAL(1, node.counter(&Counters::http2_limit_resets));
  CHECK_TRUE(node.counter(&Counters::http2_streams) <
             node.settings->limits.http2_resets_burst + 10);
}

TEST(Http2Limits, a_listener_who_cancels_what_it_has_once_is_not_an_attacker) {
  node.on_call = [](ScriptedCall&) {};
  Http2Peer peer(node);
  node.world.run_for(std::chrono::seconds(1));
  std::vector<std::int32_t> streams;
  for (int each = 0; each < 100; ++each) streams.push_back(peer.get("/" + std::to_string(each)));
  node.world.run_for(std::chrono::seconds(1));
  for (const std::int32_t stream : streams) peer.cancel(stream);
  node.world.run_for(std::chrono::seconds(1));
  CHECK_FALSE(peer.over());
  LONGS_EQUAL(100, node.counter(&Counters::http2_streams_reset));
}

TEST(Http2Limits, frames_that_ask_for_nothing_are_bounded) {
  const std::string window = http2_frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\x01", 4));
  const std::string ping = http2_frame(NGHTTP2_PING, 0, 0, "12345678");
  const std::string settings = http2_frame(NGHTTP2_SETTINGS, 0, 0, "");
  const std::string priority = http2_frame(NGHTTP2_PRIORITY, 0, 1, std::string("\0\0\0\0\x10", 5));
  const std::string update =
      http2_frame(NGHTTP2_PRIORITY_UPDATE, 0, 0, std::string("\0\0\0\x01u=1", 7));
  const std::string unknown = http2_frame(0xee, 0, 0, "x");
  std::uint64_t ended = 0;
  for (const std::string& each : {window, ping, settings, priority, update, unknown}) {
    Http2Peer peer(node);
    peer.wait(peer.get("/a"));
    LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM, flood(peer, each));
    LONGS_EQUAL(++ended, node.counter(&Counters::http2_limit_frames));
  }
}

TEST(Http2Limits, empty_data_frames_are_bounded) {
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  peer.raw(http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3,
                       "\x83\x86\x84\x01\x01"
                       "a"));
  LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM, flood(peer, http2_frame(NGHTTP2_DATA, 0, 3, "")));
}

TEST(Http2Limits, acknowledgments_nobody_reads_are_bounded) {
  node.change_settings([](Settings& settings) { settings.limits.http2_frames_burst = 1'000'000; });
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  peer.connection().pause();
  std::string bytes;
  for (int each = 0; each < 100'000; ++each) bytes += http2_frame(NGHTTP2_PING, 0, 0, "12345678");
  peer.raw(bytes);
  CHECK_TRUE(node.run_until([&] { return node.counter(&Counters::http2_limit_frames) == 1; }));
}

TEST(Http2Limits, header_blocks_are_bounded_in_frames_and_in_what_they_decode_to) {
  Http2Peer peer(node);
  peer.wait(peer.get("/a"));
  peer.raw(http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 3,
                       "\x82\x86\x84\x01\x01"
                       "a"));
  LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM,
              flood(peer, http2_frame(NGHTTP2_CONTINUATION, 0, 3, "\x82"), 20));
  LONGS_EQUAL(1, node.counter(&Counters::http2_limit_headers));

  Http2Peer bomber(node);
  bomber.wait(bomber.get("/a"));
  // A field of 4,000 bytes goes into the table and is then repeated at a byte each.
  std::string block =
      "\x82\x86\x84\x01\x01"
      "a";
  block += std::string("\x40\x01x\x7f\xa1\x1e", 6) + std::string(4000, 'y');
  block += std::string(10'000, '\xbe');
  bomber.raw(
      http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 3, block));
  CHECK_TRUE(node.run_until([&] { return bomber.over(); }, std::chrono::seconds(30)));
  LONGS_EQUAL(NGHTTP2_ENHANCE_YOUR_CALM, *bomber.goaway_code());
  LONGS_EQUAL(2, node.counter(&Counters::http2_limit_headers));
}

TEST(Http2Limits, streams_beyond_the_limit_are_refused_until_the_listener_knows_it) {
  node.change_settings([](Settings& settings) { settings.limits.http2_streams = 5; });
  node.on_call = [](ScriptedCall&) {};
  std::string requests;
  for (std::uint32_t stream = 1; stream < 15; stream += 2) {
    requests +=
        http2_frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, stream,
                    "\x82\x86\x84\x01\x01"
                    "a");
  }
  const std::string hello =
      std::string(kHttp2ClientPreface) + http2_frame(NGHTTP2_SETTINGS, 0, 0, "");
  const std::string acknowledgment = http2_frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "");
  const auto said = [](const sim::SimPeer& peer, const std::string& frame) {
    return peer.received().find(frame) != std::string::npos;
  };

  // It cannot know the limit yet: each stream beyond it is refused, and may be asked again.
  auto early = node.client();
  early->send(hello + requests);
  node.world.run_for(std::chrono::seconds(2));
  const std::string refused("\0\0\0\x07", 4);
  CHECK_TRUE(said(*early, http2_frame(NGHTTP2_RST_STREAM, 0, 11, refused)));
  CHECK_TRUE(said(*early, http2_frame(NGHTTP2_RST_STREAM, 0, 13, refused)));
  CHECK_FALSE(said(*early, http2_frame(NGHTTP2_RST_STREAM, 0, 9, refused)));
  CHECK_FALSE(early->ended());
  LONGS_EQUAL(5, node.counter(&Counters::http2_streams));
  LONGS_EQUAL(2, node.counter(&Counters::http2_streams_refused));
  LONGS_EQUAL(0, node.counter(&Counters::http2_protocol_errors));

  // It has acknowledged it: the connection ends.
  auto late = node.client();
  late->send(hello + acknowledgment + requests);
  CHECK_TRUE(node.run_until([&] { return late->ended(); }, std::chrono::seconds(30)));
  CHECK_FALSE(said(*late, http2_frame(NGHTTP2_RST_STREAM, 0, 11, refused)));
  LONGS_EQUAL(10, node.counter(&Counters::http2_streams));
  LONGS_EQUAL(1, node.counter(&Counters::http2_protocol_errors));
}

TEST(Http2Limits, window_updates_for_what_was_sent_are_never_too_many) {
  node.change_settings([](Settings& settings) {
    settings.limits.http2_frames_burst = 50;
    settings.limits.http2_frames_per_second = 1;
  });
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=600"}}, std::string(2'000'000, 'x'));
  };
  Http2Peer::Options options;
  options.automatic_windows = false;
  Http2Peer peer(node, options);
  const std::int32_t stream = peer.get("/a");
  std::size_t acknowledged = 0;
  CHECK_TRUE(node.run_until([&] {
    const std::size_t got = peer.reply(stream).body.size();
    if (got >= acknowledged + 8'000) {
      peer.allow(stream, static_cast<std::int32_t>(got - acknowledged));
      peer.allow(0, static_cast<std::int32_t>(got - acknowledged));
      acknowledged = got;
    }
    return got == 2'000'000 || peer.over();
  }));
  CHECK_FALSE(peer.over());
  LONGS_EQUAL(2'000'000, peer.reply(stream).body.size());
}
