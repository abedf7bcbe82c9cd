// Who may listen, as requests meet it: before the cache, before the origin, and out of both.
#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/access/access_fixture.h"
#include "tests/unit/dataplane/proxy/http2_peer.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;
namespace tokens = nearfield::access::vectors;

TEST_GROUP(Admission) {
  ProxyFixture node{31};

  void setup() override {
    node.world.set_wall_time(access::kNow);
    node.on_call = [](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=600"}}, "of " + call.request.path_and_query);
    };
    node.change_settings(
        [](Settings& settings) { settings.admit_by(access::policy_of(access::signed_options())); });
  }
  std::string with(std::string_view token) { return "/albums/1/a.m4s?CAT=" + std::string(token); }
};

TEST(Admission, without_a_token_there_is_one_answer_and_no_question_to_the_origin) {
  const Reply none = node.get("/albums/1/a.m4s");
  std::string spoilt(tokens::kCatPlain);
  spoilt[spoilt.size() - 3] = spoilt[spoilt.size() - 3] == 'A' ? 'B' : 'A';
  const Reply wrong = node.get(with(spoilt));
  LONGS_EQUAL(403, none.status);
  STRCMP_EQUAL(none.head.c_str(), wrong.head.c_str());
  STRCMP_EQUAL("", none.body.c_str());
  STRCMP_EQUAL("no-store", none.field("Cache-Control").c_str());
  LONGS_EQUAL(0, node.calls());
}

TEST(Admission, tokens_share_one_object_and_never_reach_the_origin) {
  const Reply first = node.get(with(tokens::kCatPlain));
  LONGS_EQUAL(200, first.status);
  STRCMP_EQUAL("of /albums/1/a.m4s", first.body.c_str());
  const Reply second = node.get(with(tokens::kCatMac));
  LONGS_EQUAL(200, second.status);
  LONGS_EQUAL(1, node.calls());
  LONGS_EQUAL(403, node.get("/albums/1/a.m4s").status);
}

// Where a rule lets everybody through, a token that is spelt in its own way once went on.
TEST(Admission, a_token_in_any_spelling_goes_no_further) {
  node.change_settings([](Settings& settings) {
    settings.admit_by(access::policy_of(access::signed_beside_open()));
  });
  for (const char* target :
       {"/player;URISigningPackage=secret/1", "/player;URISigningPackag%65=secret/1",
        "/player%3burisigningpackage%3dsecret/1", "/player/1?URISigningPackag%65=secret",
        "/player/1?%43AT=secret"}) {
    LONGS_EQUAL(200, node.get(target).status);
  }
  LONGS_EQUAL(1, node.calls());
  STRCMP_EQUAL("/player/1", node.call(0).request.path_and_query.c_str());
}

TEST(Admission, a_token_in_a_field_goes_no_further) {
  const Reply reply = node.get(
      "/albums/1/a.m4s", "CTA-Common-Access-Token: " + std::string(tokens::kCatPlain) + "\r\n");
  LONGS_EQUAL(200, reply.status);
  CHECK_FALSE(node.call(0).request.fields.contains("CTA-Common-Access-Token"));
}

TEST(Admission, a_token_expires_while_its_object_stays) {
  LONGS_EQUAL(200, node.get(with(tokens::kCatPlain)).status);
  node.world.set_wall_time(access::kNow + std::chrono::hours(48));
  LONGS_EQUAL(403, node.get(with(tokens::kCatPlain)).status);
}

TEST(Admission, rules_follow_a_reload) {
  LONGS_EQUAL(200, node.get(with(tokens::kCatPlain)).status);
  node.change_settings([](Settings& settings) {
    access::AccessOptions denied = access::signed_options();
    denied.rules[0].mode = access::Mode::kDenied;
    settings.admit_by(access::policy_of(denied));
  });
  LONGS_EQUAL(403, node.get(with(tokens::kCatPlain)).status);
  node.change_settings([](Settings& settings) { settings.admit_by(access::AccessPolicy::open()); });
  LONGS_EQUAL(200, node.get("/albums/1/a.m4s").status);
}

TEST(Admission, a_preflight_needs_no_token) {
  node.change_settings([](Settings& settings) { settings.cors.enabled = true; });
  const Reply reply = node.request(
      "OPTIONS /albums/1/a.m4s HTTP/1.1\r\nHost: music.example\r\nOrigin: "
      "https://player.example\r\n"
      "Access-Control-Request-Method: GET\r\n\r\n");
  LONGS_EQUAL(204, reply.status);
  // The page may send its token in the field that the rules take it from, and read its successor.
  STRCMP_CONTAINS(", CTA-Common-Access-Token", reply.field("Access-Control-Allow-Headers").c_str());
  const Reply song =
      node.get("/albums/1/a.m4s", "Origin: https://player.example\r\nCTA-Common-Access-Token: " +
                                      std::string(tokens::kCatPlain) + "\r\n");
  LONGS_EQUAL(200, song.status);
  STRCMP_CONTAINS(", CTA-Common-Access-Token", song.field("Access-Control-Expose-Headers").c_str());
}

TEST(Admission, who_is_refused_is_told_before_any_content_is_taken) {
  auto peer = node.client();
  peer->send(
      "POST /albums/1/a.m4s HTTP/1.1\r\nHost: music.example\r\nContent-Length: 500000\r\n"
      "Expect: 100-continue\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->ended(); }, std::chrono::seconds(5)));
  STRCMP_CONTAINS("HTTP/1.1 403 ", peer->received().substr(0, 13).c_str());
  STRCMP_CONTAINS("Connection: close", peer->received().c_str());

  // Over HTTP/2 likewise: HEADERS without END_STREAM, and no DATA.
  Http2Peer open(node);
  node.world.run_for(std::chrono::seconds(1));
  open.raw(http2_frame(1, 4, 1,
                       "\x83\x86\x84\x01\x01"
                       "a"));
  CHECK_TRUE(node.run_until([&] { return node.counter(&Counters::responses_4xx) == 2; },
                            std::chrono::seconds(5)));
  LONGS_EQUAL(0, node.counter(&Counters::timeout_body));

  // Who sends it all the same does not make the node hold it, and keeps its connection.
  Http2Peer sender(node);
  const std::int32_t refused = sender.ask("POST", "/albums/1/a.m4s", {}, std::string(900'000, 'p'));
  std::uint64_t most = 0;
  CHECK_TRUE(node.run_until([&] {
    most = std::max(most, node.shared->held_request_bytes.load());
    return sender.reply(refused).closed;
  }));
  LONGS_EQUAL(403, sender.reply(refused).status);
  LONGS_EQUAL(0, most);
  LONGS_EQUAL(200, sender.wait(sender.get(with(tokens::kCatPlain))).status);
  LONGS_EQUAL(1, node.calls());
}

TEST(Admission, who_is_admitted_sends_its_content_and_keeps_its_connection) {
  auto peer = node.client();
  peer->send("POST " + with(tokens::kCatPlain) +
             " HTTP/1.1\r\nHost: music.example\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\nabc\r\n0\r\n\r\nGET " +
             with(tokens::kCatPlain) + " HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return node.counter(&Counters::responses_2xx) == 2; }));
  STRCMP_EQUAL("abc", node.call(0).request.body.c_str());
  STRCMP_EQUAL("/albums/1/a.m4s", node.call(0).request.path_and_query.c_str());
  CHECK_FALSE(peer->ended());
}
