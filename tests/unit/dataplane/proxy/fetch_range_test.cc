// Fetch on objects with holes: cold ranges, filling behind, seeking ahead, parts that may not be
// combined.
#include <algorithm>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

namespace {

constexpr std::size_t kBytes = 1'000'000;

std::string pattern() {
  std::string text(kBytes, ' ');
  for (std::size_t at = 0; at < kBytes; ++at)
    text[at] = static_cast<char>('a' + (at * 11 + at / 263) % 26);
  return text;
}

// An origin that knows ranges.
void serve(ScriptedCall& call, const std::string& body,
           std::vector<std::pair<std::string, std::string>> fields) {
  const auto range = call.request.fields.combined("Range");
  if (!range) {
    call.answer(200, fields, body);
    return;
  }
  std::size_t first = 0;
  std::size_t last = body.size() - 1;
  if ((*range)[6] == '-') {
    first = body.size() - std::strtoul(range->c_str() + 7, nullptr, 10);
  } else {
    char* end = nullptr;
    first = std::strtoul(range->c_str() + 6, &end, 10);
    if (end[1] != '\0') last = std::min<std::size_t>(last, std::strtoul(end + 1, nullptr, 10));
  }
  fields.emplace_back("Content-Range", "bytes " + std::to_string(first) + "-" +
                                           std::to_string(last) + "/" +
                                           std::to_string(body.size()));
  call.answer(206, fields, std::string_view(body).substr(first, last - first + 1));
}

}  // namespace

TEST_GROUP(FetchRange) {
  ProxyFixture node;
  std::string body = pattern();
};

TEST(FetchRange, a_cold_range_goes_to_the_origin_as_asked_and_the_rest_is_filled_behind) {
  node.on_call = [&](ScriptedCall& call) {
    serve(call, body, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}});
  };
  const Reply reply = node.get("/a", "Range: bytes=500000-599999\r\n");
  LONGS_EQUAL(206, reply.status);
  CHECK_TRUE(reply.body == body.substr(500'000, 100'000));
  STRCMP_EQUAL("bytes=500000-599999",
               std::string(*node.call(0).request.fields.find("Range")).c_str());
  node.world.settle();
  // Two more requests: what lies before, and what lies after.
  LONGS_EQUAL(3, node.calls());
  const Reply whole = node.get("/a");
  LONGS_EQUAL(200, whole.status);
  CHECK_TRUE(whole.body == body);
  STRCMP_CONTAINS("hit", whole.field("Cache-Status").c_str());
  LONGS_EQUAL(3, node.calls());
  LONGS_EQUAL(1, node.counter(&Counters::fetches_stored));
}

TEST(FetchRange, a_suffix_is_forwarded_as_it_stands) {
  node.on_call = [&](ScriptedCall& call) {
    serve(call, body, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}});
  };
  const Reply reply = node.get("/a", "Range: bytes=-5\r\n");
  LONGS_EQUAL(206, reply.status);
  STRCMP_EQUAL(body.substr(kBytes - 5).c_str(), reply.body.c_str());
  STRCMP_EQUAL("bytes=-5", std::string(*node.call(0).request.fields.find("Range")).c_str());
}

TEST(FetchRange, a_part_without_a_strong_validator_serves_its_bytes_and_is_never_combined) {
  node.on_call = [&](ScriptedCall& call) { serve(call, body, {{"Cache-Control", "max-age=60"}}); };
  node.get("/a", "Range: bytes=100-199\r\n");
  node.world.settle();
  LONGS_EQUAL(1, node.calls());
  const Reply within = node.get("/a", "Range: bytes=150-159\r\n");
  LONGS_EQUAL(206, within.status);
  CHECK_TRUE(within.body == body.substr(150, 10));
  LONGS_EQUAL(1, node.calls());
  const Reply whole = node.get("/a");
  LONGS_EQUAL(200, whole.status);
  CHECK_TRUE(whole.body == body);
}

TEST(FetchRange, other_ranges_of_what_cannot_be_combined_share_one_fetch_of_the_whole) {
  node.on_call = [&](ScriptedCall& call) { serve(call, body, {{"Cache-Control", "max-age=60"}}); };
  std::vector<std::unique_ptr<sim::SimPeer>> peers;
  for (int each = 0; each < 20; ++each) {
    const std::string first = std::to_string(each * 50'000);
    const std::string last = std::to_string(each * 50'000 + 99);
    peers.push_back(node.client());
    peers.back()->send("GET /a HTTP/1.1\r\nHost: music.example\r\nRange: bytes=" + first + "-" +
                       last + "\r\n\r\n");
  }
  std::vector<std::string> bytes(peers.size());
  std::vector<std::optional<Reply>> replies(peers.size());
  CHECK_TRUE(node.run_until([&] {
    bool all = true;
    for (std::size_t each = 0; each < peers.size(); ++each) {
      bytes[each] += peers[each]->take_received();
      if (!replies[each]) replies[each] = take_reply(bytes[each], false);
      all = all && replies[each];
    }
    return all;
  }));
  for (std::size_t each = 0; each < peers.size(); ++each) {
    LONGS_EQUAL(206, replies[each]->status);
    CHECK_TRUE(replies[each]->body == body.substr(each * 50'000, 100));
  }
  LONGS_EQUAL(2, node.calls());
}

TEST(FetchRange, a_listener_who_seeks_in_a_growing_object_gets_a_part_of_its_own) {
  node.change_settings([](Settings& settings) { settings.limits.seek_ahead_bytes = 100'000; });
  bool first = true;
  node.on_call = [&](ScriptedCall& call) {
    if (!std::exchange(first, false)) {
      serve(call, body, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}});
      return;
    }
    call.head(200, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}}, body.size());
    call.body(std::string_view(body).substr(0, 50'000));  // and then nothing for a long time
  };
  auto slow = node.client();
  slow->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return slow->received_bytes() > 50'000; }));
  const Reply seek = node.get("/a", "Range: bytes=900000-900009\r\n");
  LONGS_EQUAL(206, seek.status);
  CHECK_TRUE(seek.body == body.substr(900'000, 10));
  LONGS_EQUAL(2, node.calls());
  // The first fetch meets what the part brought and does not bring it twice.
  node.call(0).body(std::string_view(body).substr(50'000));
  node.world.settle();
  CHECK_TRUE(node.get("/a").body == body);
  LONGS_EQUAL(2, node.calls());
}

TEST(FetchRange, a_206_that_contradicts_itself_passes_through_and_is_not_kept) {
  node.on_call = [](ScriptedCall& call) {
    call.answer(206, {{"Cache-Control", "max-age=60"}, {"Content-Range", "bytes 4-9/10"}}, "01234");
  };
  const Reply reply = node.get("/a", "Range: bytes=-5\r\n");
  LONGS_EQUAL(206, reply.status);
  STRCMP_EQUAL("01234", reply.body.c_str());
  STRCMP_EQUAL("bytes 4-9/10", reply.field("Content-Range").c_str());
  node.get("/a", "Range: bytes=-5\r\n");
  LONGS_EQUAL(2, node.calls());
}

TEST(FetchRange, when_the_object_changed_the_old_part_is_dropped_and_the_new_whole_taken) {
  node.on_call = [&](ScriptedCall& call) {
    serve(call, body,
          {{"Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT"},
           {"ETag", "W/\"1\""},
           {"Cache-Control", "max-age=60"}});
  };
  node.get("/a", "Range: bytes=0-99\r\n");
  node.world.settle();
  LONGS_EQUAL(1, node.calls());
  std::string other = body;
  std::reverse(other.begin(), other.end());
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"ETag", "\"2\""}, {"Cache-Control", "max-age=60"}}, other);
  };
  CHECK_TRUE(node.get("/a").body == other);
  CHECK_TRUE(node.get("/a").body == other);
  LONGS_EQUAL(2, node.calls());
}

TEST(FetchRange, an_origin_without_ranges_answers_whole_and_the_range_is_cut_here) {
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"Cache-Control", "max-age=60"}}, body);
  };
  const Reply reply = node.get("/a", "Range: bytes=10-19\r\n");
  LONGS_EQUAL(206, reply.status);
  CHECK_TRUE(reply.body == body.substr(10, 10));
  LONGS_EQUAL(1, node.calls());
}

// --- regressions ---

TEST(FetchRange, a_part_fetched_for_one_who_seeks_may_fail_and_the_transfer_beside_it_goes_on) {
  node.change_settings([](Settings& settings) { settings.limits.seek_ahead_bytes = 100'000; });
  ScriptedCall* lead = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    if (lead != nullptr) {
      // The part for the listener who seeks: the origin has something else by now.
      call.answer(200, {{"ETag", "\"b\""}, {"Cache-Control", "max-age=60"}}, "other");
      return;
    }
    lead = &call;
    call.head(200, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}}, body.size());
    call.body(std::string_view(body).substr(0, 50'000));
  };
  auto whole = node.client();
  whole->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return whole->received_bytes() > 50'000; }));
  auto seeker = node.client();
  seeker->send("GET /a HTTP/1.1\r\nHost: music.example\r\nRange: bytes=900000-900009\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return node.calls() == 2; }));
  node.world.settle();
  CHECK_FALSE(whole->closed());
  lead->body(std::string_view(body).substr(50'000));
  lead->complete();
  CHECK_TRUE(node.run_until([&] {
    return whole->received().ends_with(body) &&
           seeker->received().ends_with(body.substr(900'000, 10));
  }));
  LONGS_EQUAL(2, node.calls());
}

TEST(FetchRange, several_ranges_of_a_body_that_is_not_kept_are_answered_with_the_whole) {
  node.on_call = [&](ScriptedCall& call) {
    call.answer(200, {{"ETag", "\"a\""}, {"Cache-Control", "no-store"}}, body);
  };
  const Reply reply = node.get("/a", "Range: bytes=900000-900009,0-9\r\n");
  LONGS_EQUAL(200, reply.status);
  CHECK_TRUE(reply.whole);
  CHECK_TRUE(reply.body == body);
}

TEST(FetchRange, several_ranges_of_a_body_that_still_grows_come_as_they_arrive) {
  ScriptedCall* lead = nullptr;
  node.on_call = [&](ScriptedCall& call) {
    lead = &call;
    call.head(200, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}}, body.size());
    call.body(std::string_view(body).substr(0, 50'000));
  };
  auto whole = node.client();
  whole->send("GET /a HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return whole->received_bytes() > 50'000; }));
  auto several = node.client();
  several->send("GET /a HTTP/1.1\r\nHost: music.example\r\nRange: bytes=100000-100009,0-9\r\n\r\n");
  node.world.settle();
  lead->body(std::string_view(body).substr(50'000));
  lead->complete();
  std::string bytes;
  std::optional<Reply> reply;
  CHECK_TRUE(node.run_until([&] {
    bytes += several->take_received();
    return (reply = take_reply(bytes, false)).has_value();
  }));
  LONGS_EQUAL(206, reply->status);
  const std::size_t first = reply->body.find(body.substr(100'000, 10));
  const std::size_t second = reply->body.find(body.substr(0, 10));
  CHECK_TRUE(first != std::string::npos && second != std::string::npos && first < second);
}

// The starter of a cold range was told that its bytes come, and its fetch had ended before it read:
// it waited for its time-out.
TEST(FetchRange, a_cold_range_that_breaks_before_its_listener_reads_is_an_error_at_once) {
  node.on_call = [&](ScriptedCall& call) {
    call.head(206,
              {{"Cache-Control", "max-age=60"}, {"Content-Range", "bytes 500000-599999/1000000"}},
              100'000);
    call.fail(origin::OriginFailureKind::broken);
  };
  auto peer = node.client();
  peer->send("GET /a HTTP/1.1\r\nHost: music.example\r\nRange: bytes=500000-599999\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return peer->received_bytes() > 0; }, std::chrono::seconds(1)));
  STRCMP_CONTAINS("HTTP/1.1 502", peer->received().c_str());
}

// Nobody reads, the object is purged, and the fetch ends as a part: who asked in that moment starts
// one of its own.
TEST(FetchRange, who_asks_for_a_part_whose_fetch_has_ended_gets_it_by_another) {
  bool fails = true;
  node.on_call = [&](ScriptedCall& call) {
    const bool behind = call.request.fields.combined("Range") == "bytes=0-499999";
    if (behind && fails) {
      call.fail(origin::OriginFailureKind::unreachable);
      return;
    }
    serve(call, body, {{"ETag", "\"a\""}, {"Cache-Control", "max-age=60"}});
  };
  LONGS_EQUAL(206, node.get("/a", "Range: bytes=500000-599999\r\n").status);
  node.world.run_for(std::chrono::seconds(10));  // all attempts to mend it
  fails = false;
  const Reply whole = node.get("/a");
  LONGS_EQUAL(200, whole.status);
  CHECK_TRUE(whole.body == body);
}
