// Bodies that several listeners share and the cache does not keep: one slow reader does not hold up
// the others, memory that is short does not stop them, and whoever is left behind gets the rest by
// a request of its own or sees that it is missing.
#include <algorithm>
#include <vector>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

using namespace nearfield;
using namespace nearfield::proxy;
using namespace nearfield::proxy::testing;

namespace {

// The share of one body in an arena of 4 MiB is 512 KiB.
constexpr std::size_t kArenaBytes = 4 << 20;
constexpr std::size_t kBytes = 8'000'000;

std::string pattern(std::size_t bytes) {
  std::string text(bytes, ' ');
  for (std::size_t at = 0; at < bytes; ++at)
    text[at] = static_cast<char>('a' + (at * 7 + at / 251 + at / 70'001) % 26);
  return text;
}

struct Listener {
  std::unique_ptr<sim::SimPeer> peer;
  std::string bytes;
  std::optional<Reply> reply;

  Listener(ProxyFixture& node, std::string_view path, std::string_view fields = "")
      : peer(node.client()) {
    peer->send("GET " + std::string(path) + " HTTP/1.1\r\nHost: music.example\r\n" +
               std::string(fields) + "\r\n");
  }
  bool has_whole() {
    bytes += peer->take_received();
    // Taking megabytes of chunks apart at every event would take minutes.
    const bool by_length = bytes.substr(0, 1000).contains("Content-Length: ");
    if (!reply && (by_length || bytes.ends_with("0\r\n\r\n"))) reply = take_reply(bytes, false);
    return reply.has_value();
  }
};

}  // namespace

TEST_GROUP(SharedStream) {
  ProxyFixture node{21, 1, kArenaBytes};
  const std::string body = pattern(kBytes);
  std::string tag = "\"a\"";
  ScriptedCall* lead = nullptr;

  void setup() override {
    sim::LinkOptions link;
    link.to_client.minimum_segment_bytes = 8'000;
    link.to_client.maximum_segment_bytes = 64'000;
    node.world.set_default_link(link);
    node.on_call = [this](ScriptedCall& call) {
      if (const auto range = call.request.fields.find("Range")) {
        answer_rest(call, std::string(*range));
      } else {
        lead = &call;
      }
    };
  }
  void answer_rest(ScriptedCall & call, const std::string& range) {
    char* dash = nullptr;
    const std::size_t first = std::strtoul(range.c_str() + 6, &dash, 10);
    const std::size_t last =
        dash[1] == '\0' ? body.size() - 1 : std::strtoul(dash + 1, nullptr, 10);
    if (call.request.fields.contains("If-Range") && *call.request.fields.find("If-Range") != tag) {
      call.answer(200, {{"ETag", tag}}, "something else");
      return;
    }
    call.answer(206,
                {{"ETag", tag},
                 {"Cache-Control", "max-age=60"},
                 {"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                       "/" + std::to_string(body.size())}},
                std::string_view(body).substr(first, last - first + 1));
  }
  void wait_for_lead() {
    CHECK_TRUE(node.run_until([&] { return lead != nullptr; }));
    node.world.run_for(std::chrono::milliseconds(20));  // for others to join
  }
  // Without a length, so that only its bytes show that it is too large to keep.
  void send_body() {
    lead->head(200, {{"ETag", tag}, {"Cache-Control", "max-age=60"}}, std::nullopt);
    lead->body(std::string_view(body).substr(0, 100'000));
    node.world.run_for(std::chrono::milliseconds(20));  // everybody reads from it now
    lead->body(std::string_view(body).substr(100'000));
    lead->complete();
  }
  // Lets listeners who take nothing hold nearly all memory: `count` bodies of 480 KB.
  std::vector<std::unique_ptr<Listener>> hold_memory(int count) {
    const auto script = node.on_call;
    const std::string held = pattern(480'000);
    node.on_call = [&](ScriptedCall& call) {
      call.answer(200, {{"Cache-Control", "max-age=60"}}, held + call.request.path_and_query);
    };
    std::vector<std::unique_ptr<Listener>> holders;
    for (int each = 0; each < count; ++each) {
      holders.push_back(std::make_unique<Listener>(node, "/held" + std::to_string(each)));
      holders.back()->peer->pause();
    }
    node.world.settle();
    node.on_call = script;
    return holders;
  }
};

TEST(SharedStream, a_listener_that_stops_reading_is_cut_loose_and_continued_by_itself) {
  Listener slow(node, "/big");
  Listener fast(node, "/big");
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] { return slow.peer->received_bytes() > 50'000; }));
  slow.peer->pause();
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(5)));
  CHECK_TRUE(fast.reply->body == body);
  LONGS_EQUAL(1, node.counter(&Counters::listeners_cut_loose));
  LONGS_EQUAL(1, node.calls());
  slow.peer->resume();
  CHECK_TRUE(node.run_until([&] { return slow.has_whole(); }, std::chrono::seconds(5)));
  CHECK_TRUE(slow.reply->body == body);
  LONGS_EQUAL(2, node.calls());
  LONGS_EQUAL(1, node.counter(&Counters::listeners_continued));
  const http::Fields& asked = node.call(1).request.fields;
  STRCMP_EQUAL("\"a\"", std::string(*asked.find("If-Range")).c_str());
  CHECK_TRUE(asked.find("Range")->ends_with('-'));
  // The connection is as good as before, and no memory is left behind.
  node.on_call = [](ScriptedCall& call) { call.answer(200, {}, "next"); };
  slow.reply.reset();
  slow.peer->send("GET /next HTTP/1.1\r\nHost: music.example\r\n\r\n");
  CHECK_TRUE(node.run_until([&] { return slow.has_whole(); }));
  STRCMP_EQUAL("next", slow.reply->body.c_str());
  node.world.settle();
  LONGS_EQUAL(0, node.store->statistics().arena_used_bytes);
}

TEST(SharedStream, a_listener_that_reads_slowly_takes_no_more_than_its_share_of_the_others_time) {
  sim::LinkOptions thin;
  thin.to_client.minimum_segment_bytes = 8'000;
  thin.to_client.maximum_segment_bytes = 16'000;
  thin.to_client.bytes_per_second = 400'000;
  Listener fast(node, "/big");
  node.world.set_default_link(thin);
  Listener slow(node, "/big");
  wait_for_lead();
  send_body();
  // At the slow one's pace it would take 20 seconds.
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(4)));
  CHECK_TRUE(fast.reply->body == body);
  CHECK_TRUE(node.run_until([&] { return slow.has_whole(); }, std::chrono::seconds(30)));
  CHECK_TRUE(slow.reply->body == body);
  LONGS_EQUAL(1, node.counter(&Counters::listeners_cut_loose));
  LONGS_EQUAL(2, node.calls());
}

TEST(SharedStream, many_slow_listeners_are_cut_together) {
  sim::LinkOptions thin;
  thin.to_client.minimum_segment_bytes = 8'000;
  thin.to_client.maximum_segment_bytes = 16'000;
  thin.to_client.bytes_per_second = 400'000;
  Listener fast(node, "/big");
  node.world.set_default_link(thin);
  std::vector<std::unique_ptr<Listener>> slow;
  for (int each = 0; each < 10; ++each) slow.push_back(std::make_unique<Listener>(node, "/big"));
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(6)));
  CHECK_TRUE(node.run_until(
      [&] {
        return std::all_of(slow.begin(), slow.end(), [](auto& each) { return each->has_whole(); });
      },
      std::chrono::seconds(60)));
  for (const auto& each : slow) CHECK_TRUE(each->reply->body == body);
  LONGS_EQUAL(10, node.counter(&Counters::listeners_cut_loose));
  LONGS_EQUAL(11, node.calls());
}

TEST(SharedStream, listeners_of_equal_pace_share_one_fetch_to_its_end) {
  sim::LinkOptions link;
  link.to_client.minimum_segment_bytes = 8'000;
  link.to_client.maximum_segment_bytes = 16'000;
  link.to_client.bytes_per_second = 1'000'000;
  node.world.set_default_link(link);
  std::vector<std::unique_ptr<Listener>> all;
  for (int each = 0; each < 5; ++each) all.push_back(std::make_unique<Listener>(node, "/big"));
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] {
    return std::all_of(all.begin(), all.end(), [](auto& each) { return each->has_whole(); });
  }));
  for (const auto& each : all) CHECK_TRUE(each->reply->body == body);
  LONGS_EQUAL(0, node.counter(&Counters::listeners_cut_loose));
  LONGS_EQUAL(1, node.calls());
}

TEST(SharedStream, who_is_cut_loose_without_a_strong_validator_sees_a_broken_response) {
  tag = "W/\"a\"";
  Listener slow(node, "/big");
  Listener fast(node, "/big");
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] { return slow.peer->received_bytes() > 50'000; }));
  slow.peer->pause();
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(5)));
  slow.peer->resume();
  CHECK_TRUE(node.run_until([&] { return slow.has_whole() || slow.peer->closed(); }));
  CHECK_FALSE(slow.reply.has_value());
  LONGS_EQUAL(1, node.counter(&Counters::responses_broken));
  LONGS_EQUAL(1, node.calls());
}

TEST(SharedStream, the_rest_of_another_representation_is_never_joined_on) {
  Listener slow(node, "/big");
  Listener fast(node, "/big");
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] { return slow.peer->received_bytes() > 50'000; }));
  slow.peer->pause();
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(5)));
  tag = "\"b\"";
  slow.peer->resume();
  CHECK_TRUE(node.run_until([&] { return slow.has_whole() || slow.peer->closed(); }));
  CHECK_FALSE(slow.reply.has_value());
  LONGS_EQUAL(1, node.counter(&Counters::responses_broken));
  LONGS_EQUAL(2, node.calls());
}

TEST(SharedStream, one_that_leaves_while_its_rest_is_fetched_ends_that_fetch) {
  Listener slow(node, "/big");
  Listener fast(node, "/big");
  wait_for_lead();
  send_body();
  CHECK_TRUE(node.run_until([&] { return slow.peer->received_bytes() > 50'000; }));
  slow.peer->pause();
  CHECK_TRUE(node.run_until([&] { return fast.has_whole(); }, std::chrono::seconds(5)));
  ScriptedCall* rest = nullptr;
  node.on_call = [&](ScriptedCall& call) { rest = &call; };
  slow.peer->resume();
  CHECK_TRUE(node.run_until([&] { return rest != nullptr; }));
  slow.peer->abort();
  node.world.settle();
  answer_rest(*rest, std::string(*rest->request.fields.find("Range")));
  node.world.settle();
  CHECK_TRUE(node.workers[0].proxy->counters().fetches_open.load() == 0);
  LONGS_EQUAL(0, node.store->statistics().arena_used_bytes);
}

TEST(SharedStream, a_body_for_which_memory_is_short_is_kept_no_longer_but_comes_whole) {
  const auto holders = hold_memory(8);
  const std::string small = body.substr(0, 500'000);
  Listener listener(node, "/short");
  wait_for_lead();
  lead->head(200, {{"ETag", tag}, {"Cache-Control", "max-age=60"}}, small.size());
  lead->body(small);
  lead->complete();
  CHECK_TRUE(node.run_until([&] { return listener.has_whole(); }, std::chrono::seconds(1)));
  CHECK_TRUE(listener.reply->body == small);
  LONGS_EQUAL(1, node.store->statistics().stopped_keeping);
  LONGS_EQUAL(0, node.counter(&Counters::fetches_stored) - 8);
  CHECK_FALSE(node.store->find("http://music.example/short", {}, false).has_value());
}

TEST(SharedStream, a_body_filled_in_parts_when_memory_is_short_is_continued_for_each_listener) {
  const auto holders = hold_memory(8);
  const std::string whole = body;
  const std::size_t size = 500'000;
  ScriptedCall* behind = nullptr;
  int parts = 0;
  node.on_call = [&](ScriptedCall& call) {
    const std::string range(*call.request.fields.find("Range"));
    const bool fills_behind = range == "bytes=0-449999";
    char* dash = nullptr;
    const std::size_t first = std::strtoul(range.c_str() + 6, &dash, 10);
    const std::size_t last = dash[1] == '\0' ? size - 1 : std::strtoul(dash + 1, nullptr, 10);
    ++parts;
    call.head(206,
              {{"ETag", tag},
               {"Cache-Control", "max-age=60"},
               {"Content-Range", "bytes " + std::to_string(first) + "-" + std::to_string(last) +
                                     "/" + std::to_string(size)}},
              last - first + 1);
    if (fills_behind) {
      behind = &call;
      call.body(std::string_view(whole).substr(0, 1000));
      return;
    }
    call.body(std::string_view(whole).substr(first, last - first + 1));
    call.complete();
  };
  CHECK_TRUE(node.get("/parts", "Range: bytes=450000-450009\r\n").body == body.substr(450'000, 10));
  CHECK_TRUE(node.run_until([&] { return behind != nullptr; }));
  Listener listener(node, "/parts");
  CHECK_TRUE(node.run_until([&] { return listener.peer->received_bytes() > 500; }));
  behind->body(std::string_view(whole).substr(1000, 449'000));
  CHECK_TRUE(node.run_until([&] { return listener.has_whole(); }, std::chrono::seconds(2)));
  CHECK_TRUE(listener.reply->body == body.substr(0, size));
  LONGS_EQUAL(1, node.counter(&Counters::listeners_continued));
}

// A range that is whole in the plan before the body stops being kept: its bytes are in nobody's
// way, and still have to be sent.
TEST(SharedStream, bytes_of_a_range_that_waits_to_be_sent_stay_when_memory_is_short) {
  const auto holders = hold_memory(8);
  const std::string small = body.substr(0, 500'000);
  Listener whole(node, "/short");
  wait_for_lead();
  lead->head(200, {{"ETag", tag}, {"Cache-Control", "max-age=60"}}, small.size());
  lead->body(std::string_view(small).substr(0, 150'000));
  CHECK_TRUE(node.run_until([&] { return whole.peer->received_bytes() > 100'000; }));
  sim::LinkOptions narrow;
  narrow.to_client.window_bytes = 10'000;
  node.world.set_default_link(narrow);
  Listener part(node, "/short", "Range: bytes=0-139999\r\n");
  part.peer->pause();
  node.world.settle();
  lead->body(std::string_view(small).substr(150'000));
  lead->complete();
  CHECK_TRUE(node.run_until([&] { return whole.has_whole(); }, std::chrono::seconds(1)));
  CHECK_TRUE(whole.reply->body == small);
  LONGS_EQUAL(1, node.store->statistics().stopped_keeping);
  part.peer->resume();
  CHECK_TRUE(node.run_until([&] { return part.has_whole(); }, std::chrono::seconds(1)));
  LONGS_EQUAL(206, part.reply->status);
  CHECK_TRUE(part.reply->body == small.substr(0, 140'000));
  LONGS_EQUAL(9, node.calls());
}
