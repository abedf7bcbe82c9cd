// Fetch: one origin request for everyone, streaming while it arrives, mending what breaks, keeping
// nothing that is not whole.
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

namespace {

std::string pattern(std::size_t bytes) {
  std::string text(bytes, ' ');
  for (std::size_t at = 0; at < bytes; ++at)
    text[at] = static_cast<char>('a' + (at * 7 + at / 251) % 26);
  return text;
}

struct Crowd {
  std::vector<std::unique_ptr<sim::SimPeer>> peers;
  std::vector<std::string> bytes;
  std::vector<std::optional<Reply>> replies;

  Crowd(ProxyFixture& node, std::size_t size, std::string_view path, std::string_view fields = "")
      : bytes(size), replies(size) {
    for (std::size_t each = 0; each < size; ++each) {
      peers.push_back(node.client());
      peers.back()->send("GET " + std::string(path) + " HTTP/1.1\r\nHost: music.example\r\n" +
                         std::string(fields) + "\r\n");
    }
  }
  bool all_whole() {
    bool all = true;
    for (std::size_t each = 0; each < peers.size(); ++each) {
      bytes[each] += peers[each]->take_received();
      if (!replies[each]) replies[each] = take_reply(bytes[each], false);
      all = all && replies[each];
    }
    return all;
  }
};

}  // namespace

TEST_GROUP(Fetch){};

TEST(Fetch, a_thousand_cold_clients_on_two_workers_make_one_request_and_stream_from_it) {
  ProxyFixture node(7, 2);
  sim::LinkOptions link;
  link.to_client.minimum_segment_bytes = 8'000;
  link.to_client.maximum_segment_bytes = 64'000;
  node.world.set_default_link(link);
  const std::string body = pattern(150'000);
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, body.size());
    call.body(std::string_view(body).substr(0, 50'000));
  };
  Crowd crowd(node, 1000, "/a");
  // Everyone has what there is, long before the rest comes.
  CHECK_TRUE(node.run_until([&] {
    crowd.all_whole();
    for (const std::string& each : crowd.bytes) {
      if (each.size() < 50'000) return false;
    }
    return true;
  }));
  open->body(std::string_view(body).substr(50'000));
  open->complete();
  CHECK_TRUE(node.run_until([&] { return crowd.all_whole(); }));
  for (const auto& reply : crowd.replies) CHECK_TRUE(reply->body == body);
  LONGS_EQUAL(1, node.calls());
  LONGS_EQUAL(999, node.counter(&Counters::cache_collapsed));
}

TEST(Fetch, a_body_without_length_is_chunked_and_stored_when_whole) {
  ProxyFixture node;
  const std::string body = pattern(200'000);
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=60"}}, std::nullopt);
    call.body(std::string_view(body).substr(0, 1000));
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->received_bytes() > 1000; }));
  open->body(std::string_view(body).substr(1000));
  open->complete();
  std::string bytes;
  std::optional<Reply> first;
  CHECK_TRUE(node.run_until([&] {
    bytes += peer->take_received();
    return (first = take_reply(bytes, false)).has_value();
  }));
  CHECK_TRUE(first->chunked);
  CHECK_TRUE(first->body == body);
  const Reply second = node.get("/a");
  STRCMP_EQUAL("200000", second.field("Content-Length").c_str());
  CHECK_TRUE(second.body == body);
  LONGS_EQUAL(1, node.calls());
}

TEST(Fetch, a_broken_body_resumes_with_range_and_if_range) {
  ProxyFixture node;
  const std::string body = pattern(200'000);
  node.on_call = [&](ScriptedCall& call) {
    if (const auto range = call.request.fields.find("Range")) {
      const std::size_t from = std::strtoul(std::string(*range).c_str() + 6, nullptr, 10);
      STRCMP_EQUAL("\"a\"", std::string(*call.request.fields.find("If-Range")).c_str());
      call.answer(206,
                  {{"ETag", "\"a\""},
                   {"Content-Range", "bytes " + std::to_string(from) + "-199999/200000"}},
                  std::string_view(body).substr(from));
      return;
    }
    call.head(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, body.size());
    call.body(std::string_view(body).substr(0, 70'000));
    call.fail(origin::OriginFailureKind::broken);
  };
  const Reply reply = node.get("/a");
  CHECK_TRUE(reply.whole);
  CHECK_TRUE(reply.body == body);
  LONGS_EQUAL(2, node.calls());
  LONGS_EQUAL(1, node.counter(&Counters::fetches_resumed));
  CHECK_TRUE(node.get("/a").body == body);
  LONGS_EQUAL(2, node.calls());
}

TEST(Fetch, a_body_that_changed_at_the_origin_is_cut_and_never_kept) {
  ProxyFixture node;
  const std::string body = pattern(200'000);
  node.on_call = [&](ScriptedCall& call) {
    if (call.request.fields.contains("Range")) {
      call.answer(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"b\""}}, "another");
      return;
    }
    if (node.calls() > 2) {
      call.answer(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"b\""}}, "another");
      return;
    }
    call.head(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, body.size());
    call.body(std::string_view(body).substr(0, 70'000));
    call.fail(origin::OriginFailureKind::broken);
  };
  const Reply cut = node.get("/a");
  CHECK_FALSE(cut.whole);
  LONGS_EQUAL(1, node.counter(&Counters::responses_broken));
  STRCMP_EQUAL("another", node.get("/a").body.c_str());
}

TEST(Fetch, a_chunked_body_that_breaks_ends_without_its_last_chunk) {
  ProxyFixture node;
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=60"}}, std::nullopt);
    call.body("some of it");
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(
      node.run_until([&] { return peer->received().find("some of it") != std::string::npos; }));
  open->fail(origin::OriginFailureKind::broken);
  CHECK_TRUE(node.run_until([&] { return peer->closed(); }));
  CHECK_TRUE(peer->received().find("0\r\n\r\n") == std::string::npos);
  node.world.settle();
  node.on_call = [](ScriptedCall& call) {
    call.head(200, {{"Cache-Control", "max-age=60"}}, std::nullopt);
    call.body("some of it");
    call.fail(origin::OriginFailureKind::broken);
  };
  // Broken before a byte was sent on: an error is better than a cut.
  LONGS_EQUAL(502, node.get("/a").status);
  LONGS_EQUAL(2, node.calls());
}

TEST(Fetch, a_listener_that_leaves_does_not_stop_the_fetch) {
  ProxyFixture node;
  const std::string body = pattern(300'000);
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=60"}}, body.size());
    call.body(std::string_view(body).substr(0, 50'000));
  };
  {
    auto leaver = node.client();
    leaver->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
    CHECK_TRUE(node.run_until([&] { return leaver->received_bytes() > 1000; }));
    leaver->abort();
    node.world.settle();
  }
  open->body(std::string_view(body).substr(50'000));
  open->complete();
  node.world.settle();
  CHECK_FALSE(open->cancelled);
  CHECK_TRUE(node.get("/a").body == body);
  LONGS_EQUAL(1, node.calls());
}

TEST(Fetch, a_slow_client_does_not_slow_the_fetch_or_the_others) {
  ProxyFixture node(3);
  const std::string body = pattern(2'000'000);
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=60"}}, body);
  };
  auto slow = node.client();
  slow->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return slow->received_bytes() > 0; }));
  slow->pause();
  CHECK_TRUE(node.get("/a").body == body);
  LONGS_EQUAL(1, node.counter(&Counters::fetches_stored));
}

TEST(Fetch, what_exceeds_its_share_streams_through_in_a_window_and_says_so) {
  ProxyFixture node(5, 1, 4 << 20);
  const std::string body = pattern(12 << 20);
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=60"}}, body);
  };
  const Reply reply = node.get("/big");
  CHECK_TRUE(reply.body == body);
  STRCMP_CONTAINS("detail=too-large", reply.field("Cache-Status").c_str());
  CHECK_TRUE(node.store->statistics().arena_used_bytes < (1u << 20));
  node.get("/big");
  LONGS_EQUAL(2, node.calls());
}

TEST(Fetch, a_chunked_body_that_outgrows_its_share_goes_on_as_a_stream) {
  ProxyFixture node(5, 1, 4 << 20);
  const std::string body = pattern(2 << 20);
  node.on_call = [&](ScriptedCall& call) {
    call.head(200, {{"Cache-Control", "max-age=60"}}, std::nullopt);
    call.body(body);
    call.complete();
  };
  const Reply reply = node.get("/big");
  CHECK_TRUE(reply.whole);
  CHECK_TRUE(reply.body == body);
  node.world.settle();
  LONGS_EQUAL(0, node.store->statistics().objects);
  LONGS_EQUAL(0, node.store->statistics().arena_used_bytes);
}

TEST(Fetch, a_pass_through_ends_when_its_listener_leaves) {
  ProxyFixture node;
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    open = &call;
    call.head(200, {{"Cache-Control", "no-store"}}, 10'000'000);
    call.body(pattern(100'000));
  };
  {
    auto leaver = node.client();
    leaver->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
    CHECK_TRUE(node.run_until([&] { return leaver->received_bytes() > 1000; }));
    leaver->abort();
    node.world.settle();
  }
  CHECK_TRUE(open->cancelled);
  LONGS_EQUAL(0, node.store->statistics().arena_used_bytes);
}

TEST(Fetch, followers_of_what_cannot_be_shared_go_alone_and_later_ones_do_not_wait) {
  ProxyFixture node;
  node.on_call = [](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "private"}}, "mine");
  };
  Crowd crowd(node, 10, "/a");
  CHECK_TRUE(node.run_until([&] { return crowd.all_whole(); }));
  LONGS_EQUAL(10, node.calls());
}

TEST(Fetch, the_number_of_fetches_is_bounded) {
  ProxyFixture node;
  node.change_settings([](Settings& settings) { settings.limits.fetches = 2; });
  node.on_call = [](ScriptedCall&) {};
  Crowd first(node, 1, "/a");
  Crowd second(node, 1, "/b");
  node.world.run_for(std::chrono::seconds(1));
  const Reply refused = node.get("/c");
  LONGS_EQUAL(503, refused.status);
  STRCMP_EQUAL("1", refused.field("Retry-After").c_str());
  LONGS_EQUAL(1, node.counter(&Counters::limit_fetches));
}

TEST(Fetch, the_number_of_waiting_listeners_is_bounded) {
  ProxyFixture node;
  node.change_settings([](Settings& settings) { settings.limits.waiting_per_fetch = 3; });
  node.on_call = [](ScriptedCall&) {};
  Crowd waiting(node, 3, "/a");
  node.world.run_for(std::chrono::seconds(1));
  LONGS_EQUAL(503, node.get("/a").status);
  LONGS_EQUAL(1, node.counter(&Counters::limit_waiting));
}

TEST(Fetch, equal_bodies_under_two_names_are_stored_once) {
  ProxyFixture node;
  const std::string body = pattern(500'000);
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=60"}}, body);
  };
  node.get("/album1/track");
  node.get("/album2/track");
  node.world.settle();
  const cache::StoreStatistics statistics = node.store->statistics();
  LONGS_EQUAL(2, statistics.objects);
  LONGS_EQUAL(1, statistics.blobs);
}

TEST(Fetch, an_empty_body_is_a_hit_as_well) {
  ProxyFixture node;
  node.on_call = [](ScriptedCall& call) {
    call.answer(204, {{"Cache-Control", "max-age=60"}}, "");
  };
  LONGS_EQUAL(204, node.get("/a").status);
  node.world.settle();
  LONGS_EQUAL(204, node.get("/a").status);
  LONGS_EQUAL(1, node.calls());
}

// --- regressions ---

TEST(Fetch, a_resumed_part_that_is_shorter_than_asked_is_resumed_again) {
  ProxyFixture node;
  const std::string body = pattern(200'000);
  node.on_call = [&](ScriptedCall& call) {
    const auto range = call.request.fields.find("Range");
    if (!range) {
      call.head(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, body.size());
      call.body(std::string_view(body).substr(0, 70'000));
      call.fail(origin::OriginFailureKind::broken);
      return;
    }
    // Never more than 50,000 bytes at a time, and in perfect order.
    const std::size_t from = std::strtoul(std::string(*range).c_str() + 6, nullptr, 10);
    const std::size_t to = std::min<std::size_t>(from + 50'000, body.size());
    call.answer(206,
                {{"ETag", "\"a\""},
                 {"Content-Range",
                  "bytes " + std::to_string(from) + "-" + std::to_string(to - 1) + "/200000"}},
                std::string_view(body).substr(from, to - from));
  };
  const Reply reply = node.get("/a");
  CHECK_TRUE(reply.whole);
  CHECK_TRUE(reply.body == body);
  node.world.settle();
  CHECK_TRUE(node.get("/a").body == body);
  LONGS_EQUAL(4, node.calls());
}

TEST(Fetch, bytes_in_the_plan_of_a_body_not_kept_stay_until_they_are_sent) {
  ProxyFixture node(9, 1, 4 << 20);
  // Too large to keep here and less than the window: whole in a plan at once.
  const std::string body = pattern(900'000);
  ScriptedCall* open = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    if (call.request.path_and_query != "/a") {
      call.answer(200, {{"Cache-Control", "no-store"}}, std::string(900'000, '#'));
      return;
    }
    open = &call;
    call.head(200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"a\""}}, std::nullopt);
    call.body(std::string_view(body).substr(0, 100'000));
  };
  auto slow = node.client();
  slow->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  auto fast = node.client();
  fast->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until(
      [&] { return slow->received_bytes() > 50'000 && fast->received_bytes() > 50'000; }));
  slow->pause();
  open->body(std::string_view(body).substr(100'000));
  open->complete();
  CHECK_TRUE(node.run_until([&] { return fast->received().ends_with("0\r\n\r\n"); }));
  node.world.settle();
  CHECK_TRUE(slow->received_bytes() < 600'000);
  // Others would get its memory if it were free. (The network compares what is sent with what the
  // plan shows when it is acknowledged.)
  for (int each = 0; each < 8; ++each) node.get("/other" + std::to_string(each));
  slow->resume();
  CHECK_TRUE(node.run_until([&] { return slow->received().ends_with("0\r\n\r\n"); }));
  std::string bytes = slow->take_received();
  CHECK_TRUE(take_reply(bytes, false)->body == body);
  node.world.settle();
  LONGS_EQUAL(0, node.store->statistics().arena_used_bytes);
}
