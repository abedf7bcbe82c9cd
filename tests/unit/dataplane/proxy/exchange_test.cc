// Exchange: what is answered from the cache, what goes to the origin, and what the answer looks
// like.
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

TEST_GROUP(Exchange) {
  ProxyFixture node;

  void answer_with(std::uint16_t status, std::vector<std::pair<std::string, std::string>> fields,
                   std::string text) {
    node.on_call = [=](ScriptedCall& call) { call.answer(status, fields, text); };
  }
};

TEST(Exchange, the_second_request_is_a_hit_with_age_and_cache_status) {
  answer_with(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, "music");
  const Reply miss = node.get("/a");
  LONGS_EQUAL(200, miss.status);
  STRCMP_EQUAL("music", miss.body.c_str());
  CHECK_TRUE(miss.field("Age").empty());
  STRCMP_CONTAINS("fwd=uri-miss", miss.field("Cache-Status").c_str());
  STRCMP_CONTAINS("stored", miss.field("Cache-Status").c_str());
  node.world.run_for(std::chrono::seconds(5));
  const Reply hit = node.get("/a");
  STRCMP_EQUAL("music", hit.body.c_str());
  STRCMP_EQUAL("5", hit.field("Age").c_str());
  STRCMP_EQUAL("nearfield; hit; ttl=54", hit.field("Cache-Status").c_str());
  STRCMP_EQUAL("bytes", hit.field("Accept-Ranges").c_str());
  LONGS_EQUAL(1, node.calls());
}

TEST(Exchange, via_is_added_in_both_directions_and_conditions_stay_here) {
  answer_with(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, "music");
  const Reply reply =
      node.get("/a", "If-None-Match: \"zzz\"\r\nConnection: x-private\r\nX-Private: 1\r\n");
  LONGS_EQUAL(200, reply.status);
  STRCMP_CONTAINS("nearfield", reply.field("Via").c_str());
  CHECK_TRUE(node.call(0).request.fields.contains("Via"));
  CHECK_FALSE(node.call(0).request.fields.contains("If-None-Match"));
  CHECK_FALSE(node.call(0).request.fields.contains("X-Private"));
}

TEST(Exchange, a_listeners_validator_is_answered_with_304_also_on_a_miss) {
  answer_with(200,
              {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}, {"Content-Type", "audio/mp4"}},
              "music");
  const Reply cold = node.get("/a", "If-None-Match: \"a\"\r\n");
  LONGS_EQUAL(304, cold.status);
  const Reply hit = node.get("/a", "If-None-Match: W/\"a\", \"b\"\r\n");
  LONGS_EQUAL(304, hit.status);
  STRCMP_EQUAL("\"a\"", hit.field("ETag").c_str());
  CHECK_TRUE(hit.field("Content-Length").empty());
  LONGS_EQUAL(1, node.calls());
}

TEST(Exchange, ranges_of_a_stored_response) {
  answer_with(200,
              {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}, {"Content-Type", "audio/mp4"}},
              "0123456789");
  node.get("/a");
  const Reply one = node.get("/a", "Range: bytes=2-4\r\n");
  LONGS_EQUAL(206, one.status);
  STRCMP_EQUAL("234", one.body.c_str());
  STRCMP_EQUAL("bytes 2-4/10", one.field("Content-Range").c_str());
  STRCMP_EQUAL("789", node.get("/a", "Range: bytes=-3\r\n").body.c_str());
  const Reply beyond = node.get("/a", "Range: bytes=10-\r\n");
  LONGS_EQUAL(416, beyond.status);
  STRCMP_EQUAL("bytes */10", beyond.field("Content-Range").c_str());
  const Reply several = node.get("/a", "Range: bytes=0-1,5-6\r\n");
  LONGS_EQUAL(206, several.status);
  STRCMP_CONTAINS("multipart/byteranges", several.field("Content-Type").c_str());
  STRCMP_CONTAINS("\r\n\r\n01\r\n", several.body.c_str());
  STRCMP_CONTAINS("\r\n\r\n56\r\n", several.body.c_str());
  CHECK_TRUE(several.whole);
  LONGS_EQUAL(200, node.get("/a", "Range: bytes=2-4\r\nIf-Range: \"other\"\r\n").status);
  LONGS_EQUAL(1, node.calls());
}

TEST(Exchange, head_is_answered_from_a_stored_get) {
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "0123456789");
  node.get("/a");
  const Reply head = node.request("HEAD /a HTTP/1.1\r\nHost: music.example\r\n\r\n", true);
  LONGS_EQUAL(200, head.status);
  STRCMP_EQUAL("10", head.field("Content-Length").c_str());
  LONGS_EQUAL(1, node.calls());
}

TEST(Exchange, a_stale_response_is_validated_and_lives_again) {
  node.on_call = [](ScriptedCall& call) {
    if (call.request.fields.contains("If-None-Match"))
      call.answer(304, {{"Cache-Control", "max-age=100"}}, "");
    else
      call.answer(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"a\""}}, "music");
  };
  node.get("/a");
  node.world.run_for(std::chrono::seconds(20));
  const Reply validated = node.get("/a");
  LONGS_EQUAL(200, validated.status);
  STRCMP_EQUAL("music", validated.body.c_str());
  STRCMP_CONTAINS("fwd=stale", validated.field("Cache-Status").c_str());
  STRCMP_CONTAINS("fwd-status=304", validated.field("Cache-Status").c_str());
  node.world.run_for(std::chrono::seconds(20));
  STRCMP_CONTAINS("hit", node.get("/a").field("Cache-Status").c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, stale_while_revalidate_answers_at_once_and_validates_once_behind) {
  answer_with(200, {{"Cache-Control", "max-age=10, stale-while-revalidate=100"}, {"ETag", "\"a\""}},
              "old");
  node.get("/a");
  node.world.run_for(std::chrono::seconds(20));
  answer_with(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"b\""}}, "new");
  STRCMP_EQUAL("old", node.get("/a").body.c_str());
  node.world.settle();
  LONGS_EQUAL(2, node.calls());
  STRCMP_EQUAL("new", node.get("/a").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, stale_stands_in_for_an_origin_that_fails_unless_forbidden) {
  answer_with(200, {{"Cache-Control", "max-age=10, stale-if-error=1000"}}, "old");
  node.get("/a");
  answer_with(200, {{"Cache-Control", "max-age=10, must-revalidate"}}, "strict");
  node.get("/strict");
  node.world.run_for(std::chrono::seconds(20));
  node.on_call = [](ScriptedCall& call) { call.fail(origin::OriginFailureKind::unreachable); };
  const Reply stale = node.get("/a");
  LONGS_EQUAL(200, stale.status);
  STRCMP_EQUAL("old", stale.body.c_str());
  // RFC 9111 5.2.2.2 asks for 504 where must-revalidate cannot be obeyed.
  LONGS_EQUAL(504, node.get("/strict").status);
  LONGS_EQUAL(502, node.get("/never-seen").status);
  node.on_call = [](ScriptedCall& call) { call.fail(origin::OriginFailureKind::timed_out); };
  LONGS_EQUAL(504, node.get("/strict").status);
}

TEST(Exchange, what_is_gone_or_may_be_kept_no_longer_does_not_go_on_as_stale) {
  struct Case {
    std::uint16_t status;
    const char* cache_control;
    bool stays;
  };
  int each = 0;
  for (const Case& test :
       {Case{410, "x", false}, Case{404, "x", false}, Case{200, "no-store", false},
        Case{200, "private", false}, Case{429, "x", true}}) {
    const std::string path = "/" + std::to_string(++each);
    answer_with(200,
                {{"Cache-Control", "max-age=10, stale-while-revalidate=1000, stale-if-error=1000"},
                 {"ETag", "\"a\""}},
                "old");
    node.get(path);
    node.world.run_for(std::chrono::seconds(20));
    answer_with(test.status, {{"Cache-Control", test.cache_control}}, "new");
    STRCMP_EQUAL("old", node.get(path).body.c_str());
    node.world.settle();
    STRCMP_EQUAL(test.stays ? "old" : "new", node.get(path).body.c_str());
    node.world.settle();
    node.on_call = [](ScriptedCall& call) { call.fail(origin::OriginFailureKind::broken); };
    LONGS_EQUAL(test.stays ? 200 : 502, node.get(path).status);
  }
}

TEST(Exchange, only_if_cached_never_reaches_the_origin) {
  const Reply reply = node.get("/a", "Cache-Control: only-if-cached\r\n");
  LONGS_EQUAL(504, reply.status);
  STRCMP_EQUAL("nearfield; detail=only-if-cached", reply.field("Cache-Status").c_str());
  LONGS_EQUAL(0, node.calls());
}

TEST(Exchange, vary_keeps_variants_apart_and_finds_both) {
  node.on_call = [](ScriptedCall& call) {
    const std::string codec(call.request.fields.find("X-Codec").value_or(""));
    call.answer(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Codec"}}, "in " + codec);
  };
  STRCMP_EQUAL("in flac", node.get("/a", "X-Codec: flac\r\n").body.c_str());
  const Reply other = node.get("/a", "X-Codec: opus\r\n");
  STRCMP_EQUAL("in opus", other.body.c_str());
  STRCMP_CONTAINS("fwd=vary-miss", other.field("Cache-Status").c_str());
  STRCMP_EQUAL("in flac", node.get("/a", "X-Codec: flac\r\n").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, an_unsafe_method_is_forwarded_with_its_body_and_invalidates) {
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "one");
  node.get("/a");
  answer_with(200, {}, "done");
  const Reply post =
      node.request("POST /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: 3\r\n\r\nabc");
  STRCMP_EQUAL("done", post.body.c_str());
  STRCMP_EQUAL("abc", node.call(1).request.body.c_str());
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "two");
  STRCMP_EQUAL("two", node.get("/a").body.c_str());
}

TEST(Exchange, a_failed_unsafe_method_invalidates_nothing) {
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "one");
  node.get("/a");
  answer_with(500, {}, "no");
  node.request("DELETE /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  STRCMP_EQUAL("one", node.get("/a").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, what_may_not_be_stored_passes_and_says_why) {
  answer_with(200, {{"Cache-Control", "no-store"}}, "mine");
  const Reply first = node.get("/a");
  STRCMP_EQUAL("mine", first.body.c_str());
  STRCMP_CONTAINS("detail=no-store", first.field("Cache-Status").c_str());
  node.get("/a");
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, interim_responses_are_passed_on_and_never_stored) {
  node.on_call = [](ScriptedCall& call) {
    call.interim(103, "Link", "</a.mp4>; rel=preload");
    call.answer(200, {{"Cache-Control", "max-age=60"}}, "music");
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  std::string bytes;
  std::string interim;
  std::optional<Reply> reply;
  CHECK_TRUE(node.run_until([&] {
    bytes += peer->take_received();
    return (reply = take_reply(bytes, false, &interim)).has_value();
  }));
  STRCMP_CONTAINS("103", interim.c_str());
  STRCMP_CONTAINS("preload", interim.c_str());
  STRCMP_EQUAL("", node.get("/a").field("Link").c_str());
}

TEST(Exchange, an_interim_response_has_no_content_length) {
  node.on_call = [](ScriptedCall& call) {
    call.interim(103, "Content-Length", "5");
    call.answer(200, {{"Cache-Control", "no-store"}}, "music");
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  std::string bytes;
  std::string interim;
  std::optional<Reply> reply;
  CHECK_TRUE(node.run_until([&] {
    bytes += peer->take_received();
    return (reply = take_reply(bytes, false, &interim)).has_value();
  }));
  STRCMP_CONTAINS("103", interim.c_str());
  CHECK_TRUE(interim.find("Content-Length") == std::string::npos);
  STRCMP_EQUAL("music", reply->body.c_str());
}

TEST(Exchange, a_304_that_nobody_asked_for_is_no_answer) {
  node.on_call = [](ScriptedCall& call) { call.answer(304, {{"ETag", "\"a\""}}, ""); };
  LONGS_EQUAL(502, node.get("/a").status);
  // The listener's own condition is not the origin's to answer: it was never told of it.
  LONGS_EQUAL(502, node.get("/a", "If-None-Match: \"a\"\r\n").status);
}

TEST(Exchange, preflight_is_answered_here_and_plain_options_at_the_origin) {
  const Reply preflight = node.request(
      "OPTIONS /a HTTP/1.1\r\nHost: music.example\r\nOrigin: https://player.example\r\n"
      "Access-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: range\r\n\r\n");
  LONGS_EQUAL(204, preflight.status);
  STRCMP_EQUAL("*", preflight.field("Access-Control-Allow-Origin").c_str());
  LONGS_EQUAL(0, node.calls());
  answer_with(200, {}, "options");
  STRCMP_EQUAL("options",
               node.request("OPTIONS /a HTTP/1.1\r\nHost: music.example\r\n\r\n").body.c_str());
  const Reply trace = node.request("TRACE /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  LONGS_EQUAL(405, trace.status);
  STRCMP_EQUAL("nearfield", trace.field("Cache-Status").c_str());
}

TEST(Exchange, an_origin_that_speaks_cors_itself_is_not_half_overruled) {
  answer_with(200, {{"Access-Control-Allow-Origin", "https://own"}}, "music");
  const Reply reply = node.get("/a", "Origin: https://player.example\r\n");
  STRCMP_EQUAL("https://own", reply.field("Access-Control-Allow-Origin").c_str());
  STRCMP_EQUAL("", reply.field("Access-Control-Expose-Headers").c_str());
  STRCMP_EQUAL("*", reply.field("Timing-Allow-Origin").c_str());
}

TEST(Exchange, the_age_of_an_origins_answer_passes_unchanged_on_a_miss) {
  answer_with(200, {{"Cache-Control", "max-age=60"}, {"Age", "30"}}, "music");
  STRCMP_EQUAL("30", node.get("/a").field("Age").c_str());
  node.world.run_for(std::chrono::seconds(3));
  STRCMP_EQUAL("33", node.get("/a").field("Age").c_str());
}

TEST(Exchange, query_rules_leave_telemetry_out_of_the_key) {
  const std::vector<std::string> patterns{"CMCD", "token*"};
  node.change_settings(
      [&](Settings& settings) { settings.query_rules = *http::QueryRules::make(patterns, false); });
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "music");
  node.get("/a?CMCD=bl%3D100&q=1&token1=secret");
  node.get("/a?q=1&CMCD=bl%3D200");
  LONGS_EQUAL(1, node.calls());
  STRCMP_EQUAL("/a?q=1", node.call(0).request.path_and_query.c_str());
}

// --- regressions ---

TEST(Exchange, a_304_that_says_private_or_no_store_does_not_make_a_shared_response_of_it) {
  for (const char* directive : {"private, max-age=100", "no-store"}) {
    ProxyFixture fresh_node;
    int validations = 0;
    fresh_node.on_call = [&](ScriptedCall& call) {
      if (call.request.fields.contains("If-None-Match")) {
        ++validations;
        call.answer(304, {{"Cache-Control", directive}, {"X-For", "one listener"}}, "");
      } else {
        call.answer(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"a\""}}, "music");
      }
    };
    fresh_node.get("/a");
    fresh_node.world.run_for(std::chrono::seconds(20));
    // Who asked is told; nobody else hears of it, and what was stored is gone.
    const Reply own = fresh_node.get("/a");
    STRCMP_EQUAL("music", own.body.c_str());
    STRCMP_EQUAL("one listener", own.field("X-For").c_str());
    const Reply next = fresh_node.get("/a");
    STRCMP_EQUAL("", next.field("X-For").c_str());
    STRCMP_CONTAINS("fwd=uri-miss", next.field("Cache-Status").c_str());
    LONGS_EQUAL(1, validations);
    LONGS_EQUAL(3, fresh_node.calls());
  }
}

TEST(Exchange, a_private_answer_to_head_is_not_merged_into_the_stored_response) {
  answer_with(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"a\""}, {"X-Kept", "1"}}, "music");
  node.get("/a");
  node.world.run_for(std::chrono::seconds(20));
  answer_with(200, {{"Cache-Control", "private, max-age=100"}, {"ETag", "\"a\""}, {"X-For", "one"}},
              "music");
  const Reply head = node.request("HEAD /a HTTP/1.1\r\nHost: music.example\r\n\r\n", true);
  STRCMP_EQUAL("one", head.field("X-For").c_str());
  STRCMP_EQUAL("", head.field("X-Kept").c_str());
  node.on_call = [](ScriptedCall& call) {
    CHECK_TRUE(call.request.fields.contains("If-None-Match"));
    call.answer(304, {{"Cache-Control", "max-age=10"}}, "");
  };
  const Reply stored = node.get("/a");
  STRCMP_EQUAL("", stored.field("X-For").c_str());
  STRCMP_EQUAL("1", stored.field("X-Kept").c_str());
}

TEST(Exchange, what_connection_lists_does_not_choose_a_variant) {
  node.on_call = [](ScriptedCall& call) {
    const std::string codec(call.request.fields.find("X-Codec").value_or("none"));
    call.answer(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Codec"}}, "in " + codec);
  };
  // For this hop only: the origin does not see it, so its answer is the one for requests without.
  STRCMP_EQUAL("in none", node.get("/a", "Connection: X-Codec\r\nX-Codec: flac\r\n").body.c_str());
  STRCMP_EQUAL("in flac", node.get("/a", "X-Codec: flac\r\n").body.c_str());
  STRCMP_EQUAL("in none", node.get("/a").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, a_response_field_that_connection_lists_goes_and_vary_stays_in_force) {
  node.on_call = [](ScriptedCall& call) {
    const std::string codec(call.request.fields.find("X-Codec").value_or("none"));
    call.answer(200,
                {{"Cache-Control", "max-age=60"},
                 {"Connection", "X-Hop, Vary"},
                 {"X-Hop", "1"},
                 {"Vary", "X-Codec"}},
                "in " + codec);
  };
  for (int round = 0; round < 2; ++round) {
    const Reply reply = node.get("/a", "X-Codec: flac\r\n");
    STRCMP_EQUAL("in flac", reply.body.c_str());
    STRCMP_EQUAL("", reply.field("X-Hop").c_str());
  }
  STRCMP_EQUAL("in opus", node.get("/a", "X-Codec: opus\r\n").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, a_purge_during_a_validation_stays_a_purge) {
  answer_with(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"a\""}}, "old");
  node.get("/a");
  node.world.run_for(std::chrono::seconds(20));
  ScriptedCall* validation = nullptr;
  node.on_call = [&](ScriptedCall& call) { validation = &call; };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return validation != nullptr; }));
  LONGS_EQUAL(1, node.store->purge_prefix("http://music.example/"));
  validation->answer(304, {{"Cache-Control", "max-age=100"}}, "");
  CHECK_TRUE(node.run_until([&] { return peer->received().ends_with("old"); }));
  LONGS_EQUAL(0, node.store->statistics().objects);
  answer_with(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"b\""}}, "new");
  STRCMP_EQUAL("new", node.get("/a").body.c_str());
}

TEST(Exchange, what_was_asked_for_before_a_purge_is_not_kept_after_it) {
  std::vector<ScriptedCall*> asked;
  node.on_call = [&](ScriptedCall& call) { asked.push_back(&call); };
  auto before = node.client();
  before->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return asked.size() == 1; }));
  LONGS_EQUAL(0, node.store->purge("http://music.example/a"));
  // Who asks after the purge does not wait for what was asked for before it.
  auto after = node.client();
  after->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return asked.size() == 2; }));
  asked[0]->answer(200, {{"Cache-Control", "max-age=100"}}, "old");
  CHECK_TRUE(node.run_until([&] { return before->received().ends_with("old"); }));
  LONGS_EQUAL(0, node.store->statistics().objects);
  asked[1]->answer(200, {{"Cache-Control", "max-age=100"}}, "new");
  CHECK_TRUE(node.run_until([&] { return after->received().ends_with("new"); }));
  STRCMP_EQUAL("new", node.get("/a").body.c_str());
  LONGS_EQUAL(2, node.calls());
}

TEST(Exchange, an_unsafe_request_spoils_what_is_on_its_way) {
  ScriptedCall* get = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    if (call.request.method == "POST") {
      call.answer(200, {}, "done");
    } else if (get == nullptr) {
      get = &call;
    } else {
      call.answer(200, {{"Cache-Control", "max-age=100"}}, "new");
    }
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return get != nullptr; }));
  auto other = node.client();
  other->send("POST /a HTTP/1.1\r\nHost: music.example\r\nContent-Length: 0\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return other->received().ends_with("done"); }));
  get->answer(200, {{"Cache-Control", "max-age=100"}}, "old");
  CHECK_TRUE(node.run_until([&] { return peer->received().ends_with("old"); }));
  STRCMP_EQUAL("new", node.get("/a").body.c_str());
}

TEST(Exchange, a_request_that_goes_in_a_circle_ends_with_508) {
  answer_with(200, {{"Cache-Control", "max-age=60"}}, "music");
  const auto passes = [](int count) {
    std::string via = "Via: 1.1 other";
    for (int each = 0; each < count; ++each) via += ", 1.1 nearfield";
    return via + "\r\n";
  };
  LONGS_EQUAL(200, node.get("/a", passes(4)).status);  // nodes behind nodes may share a name
  LONGS_EQUAL(508, node.get("/b", passes(5)).status);
  LONGS_EQUAL(508, node.get("/a", passes(5)).status);
  LONGS_EQUAL(1, node.calls());
  std::string others = "Via: 1.1 nearfield-2";  // a name that contains ours
  for (int each = 0; each < 6; ++each) others += ", 1.1 nearfield-2, 1.1 mynearfield";
  LONGS_EQUAL(200, node.get("/c", others + "\r\n").status);
}

TEST(Exchange, no_stale_response_for_a_failing_origin_where_a_directive_forbids_it) {
  int each = 0;
  for (const char* directive :
       {"must-revalidate, max-age=10", "proxy-revalidate, max-age=10", "no-cache", "s-maxage=10"}) {
    const std::string path = "/" + std::to_string(++each);
    answer_with(200, {{"Cache-Control", directive}, {"ETag", "\"a\""}, {"X-Stored", "1"}}, "old");
    node.get(path);
    node.world.run_for(std::chrono::seconds(20));
    node.on_call = [](ScriptedCall& call) { call.fail(origin::OriginFailureKind::broken); };
    const Reply reply = node.get(path);
    // 504 where the response forbids stale use (RFC 9111 5.2.2.2).
    LONGS_EQUAL(std::string_view(directive) == "no-cache" ? 502 : 504, reply.status);
    STRCMP_EQUAL("", reply.field("X-Stored").c_str());
  }
}

TEST(Exchange, what_is_for_tls_only_leaves_in_clear_text_with_no_status) {
  node.on_call = [](ScriptedCall& call) {
    call.interim(103, "Strict-Transport-Security", "max-age=1");
    call.answer(200,
                {{"Cache-Control", "max-age=60"},
                 {"ETag", "\"a\""},
                 {"Content-Type", "audio/mp4"},
                 {"Strict-Transport-Security", "max-age=1"}},
                "0123456789");
  };
  auto first = node.client();
  first->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return first->received().ends_with("0123456789"); }));
  STRCMP_CONTAINS("HTTP/1.1 103 ", first->received().c_str());
  CHECK_TRUE(first->received().find("Strict-Transport-Security") == std::string::npos);
  const struct {
    int status;
    const char* fields;
  } cases[] = {{200, ""},
               {304, "If-None-Match: \"a\"\r\n"},
               {206, "Range: bytes=0-1\r\n"},
               {206, "Range: bytes=0-1,5-6\r\n"}};
  for (const auto& each : cases) {
    const Reply reply = node.get("/a", each.fields);
    LONGS_EQUAL(each.status, reply.status);
    STRCMP_EQUAL("", reply.field("Strict-Transport-Security").c_str());
    STRCMP_EQUAL("\"a\"", reply.field("ETag").c_str());
  }
  LONGS_EQUAL(1, node.calls());
}
