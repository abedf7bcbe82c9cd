// Many calls against servers that fail in every way at once, from a seed. Whatever happens: every
// call ends exactly once, nothing broken is presented as whole, a body that is whole is the one
// that was asked for, no POST reaches the servers twice, and nothing is left open.
#include <algorithm>
#include <deque>
#include <format>
#include <random>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/origin/origin_fixture.h"

using namespace nearfield;
using namespace nearfield::origin;
using namespace std::chrono_literals;

namespace {

struct Client {
  RecordingObserver observer;
  std::unique_ptr<OriginCall> call;
  std::string path;
  bool post = false;
  bool cancelled = false;
};

std::string body_for(const std::string& path) {
  const std::size_t seed = std::hash<std::string>()(path);
  std::string body = body_of(seed % 20'000);
  if (!body.empty()) body[0] = static_cast<char>(seed);
  return body;
}

class Storm {
 public:
  explicit Storm(std::uint64_t seed) : random_(seed), fixture_(seed) {
    OriginGroup group =
        OriginFixture::group_of({"http://192.0.2.1", "http://192.0.2.2", "http://slow.example"});
    group.servers[2].priority = 2;
    group.pool.connections = 8;
    group.pool.idle_connections = 4;
    group.pool.waiting_calls = 50;
    group.timeouts = {.wait = 2s, .connect = 1s, .first_byte = 3s, .idle = 2s, .whole = 60s};
    group.health.path = "/check";
    fixture_.options.runs_health_checks = true;
    fixture_.resolver->table["slow.example"] = {"2001:db8::3", "192.0.2.3"};
    group_ = group;
    fixture_.use(group);
    for (const char* endpoint : {"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"}) {
      auto& server = servers_.emplace_back(
          std::make_unique<TestOrigin>(fixture_.world, fixture_.machine, endpoint));
      server->answer = [this](sim::SimPeer& peer, const std::string& request) {
        answer(peer, request);
      };
    }
  }

  void run() {
    for (int step = 0; step < 150; ++step) {
      weather();
      for (std::size_t i = chance(4); i > 0; --i) start();
      for (auto& client : clients_) {
        if (client.call == nullptr) continue;
        if (client.observer.ended()) {
          client.call.reset();
        } else if (chance(60) == 0) {
          client.call.reset();
          client.cancelled = true;
        } else if (chance(2) == 0) {
          client.call->resume();
        }
      }
      if (chance(40) == 0) fixture_.use(chance(2) == 0 ? group_ : changed_group());
      fixture_.world.run_for(std::chrono::milliseconds(chance(300)));
    }
    for (auto& client : clients_) client.observer.take = nullptr;
    const bool done = fixture_.world.run_until(
        [&] {
          for (auto& client : clients_) {
            if (client.call != nullptr) client.call->resume();
          }
          return std::ranges::all_of(
              clients_, [](const Client& c) { return c.cancelled || c.observer.ended(); });
        },
        10min);
    CHECK(done);
    check();
    for (auto& client : clients_) client.call.reset();
    fixture_.world.run_for(2min);
  }
  std::size_t completed() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(clients_, [](const Client& c) { return c.observer.complete; }));
  }
  std::size_t failed() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        clients_, [](const Client& c) { return c.observer.failure.has_value(); }));
  }

 private:
  std::size_t chance(std::size_t of) { return random_() % of; }

  OriginGroup changed_group() {
    OriginGroup group = group_;
    group.retries = static_cast<std::uint32_t>(chance(4));
    if (chance(2) == 0) group.servers.pop_back();
    return group;
  }

  // Links of connections begun from now on.
  void weather() {
    if (chance(5) != 0) return;
    for (const char* endpoint :
         {"192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80", "[2001:db8::3]:80"}) {
      sim::LinkOptions link;
      link.to_server.latency = link.to_client.latency = std::chrono::milliseconds(1 + chance(40));
      link.to_client.maximum_segment_bytes = 1 + chance(3000);
      switch (chance(8)) {
        case 0:
          link.outcome = sim::ConnectOutcome::refused;
          break;
        case 1:
          link.outcome = sim::ConnectOutcome::silent;
          break;
        case 2:
          link.to_client.reset_after_bytes = chance(30'000);
          break;
        case 3:
          link.to_client.silent_after_bytes = chance(30'000);
          break;
        case 4:
          link.to_server.reset_after_bytes = chance(2000);
          break;
        default:
          break;
      }
      const auto at = net::Endpoint::parse(endpoint).value();
      fixture_.world.set_link(at, link);
      if (chance(10) == 0) fixture_.world.reset_connections_to(at);
    }
  }

  void start() {
    Client& client = clients_.emplace_back();
    client.path = std::format("/{}", clients_.size());
    client.post = chance(4) == 0;
    if (chance(4) == 0)
      client.observer.take = [this](std::size_t offered) { return chance(offered + 1); };
    client.call =
        fixture_.start(client.post ? OriginFixture::post(client.path, body_of(chance(100'000)))
                                   : OriginFixture::get(client.path),
                       client.observer);
  }

  void answer(sim::SimPeer& peer, const std::string& request) {
    const auto begin = request.find(' ') + 1;
    const std::string path = request.substr(begin, request.find(' ', begin) - begin);
    if (request.starts_with("POST")) {
      const bool new_post = std::ranges::find(posted_, path) == posted_.end();
      CHECK_TEXT(new_post, "a POST came twice");
      posted_.push_back(path);
    }
    const std::string body = body_for(path);
    switch (chance(12)) {
      case 0:
        peer.close();
        return;
      case 1:
        peer.abort();
        return;
      case 2:
        return;  // silence
      case 3:
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size() + 1) +
                  "\r\n\r\n" + body);
        if (chance(2) == 0) peer.close();
        return;
      case 4:
        peer.send("garbage");
        return;
      case 5:
        peer.send(response_of(body, "Connection: close\r\n"));
        peer.close();
        return;
      case 6:
        peer.send("HTTP/1.1 103 Early Hints\r\n\r\n" + response_of(body));
        if (chance(2) == 0) peer.send("and more");
        return;
      case 7: {
        std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < body.size();) {
          const std::size_t size = std::min(body.size() - at, 1 + chance(5000));
          text += std::format("{:x}\r\n", size) + body.substr(at, size) + "\r\n";
          at += size;
        }
        const bool broken = chance(3) == 0;
        peer.send(text + (broken ? "" : "0\r\n\r\n"));
        if (broken) peer.close();
        return;
      }
      default:
        peer.send(response_of(body));
        return;
    }
  }

  void check() {
    for (const Client& client : clients_) {
      if (client.cancelled) continue;
      CHECK_EQUAL(1, client.observer.endings);
      CHECK(client.observer.complete != client.observer.failure.has_value());
      const std::string expected = body_for(client.path);
      if (client.observer.complete) {
        CHECK(client.observer.body == expected);
      } else {
        CHECK(client.observer.body.empty() || expected.starts_with(client.observer.body));
        CHECK(!client.observer.failure->message.empty());
      }
    }
  }

  std::mt19937_64 random_;
  OriginFixture fixture_;
  OriginGroup group_;
  std::deque<std::unique_ptr<TestOrigin>> servers_;
  std::deque<Client> clients_;
  std::vector<std::string> posted_;
};

}  // namespace

TEST_GROUP(OriginSimulation){};

TEST(OriginSimulation, StormsFromSeeds) {
  std::size_t completed = 0;
  std::size_t failed = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Storm storm(seed);
    storm.run();
    completed += storm.completed();
    failed += storm.failed();
  }
  // The storm is one: both happen, often.
  CHECK(completed > 1000);
  CHECK(failed > 300);
}
