// See proxy_fixture.h.
#include "tests/unit/dataplane/proxy/proxy_fixture.h"

#include <cstdlib>

#include "cache/base/assert.h"
#include "dataplane/http/text.h"

namespace nearfield::proxy::testing {

std::string Reply::field(std::string_view name) const {
  std::size_t at = head.find("\r\n");
  while (at != std::string::npos && at + 2 < head.size()) {
    at += 2;
    const std::size_t end = head.find("\r\n", at);
    const std::string_view line = std::string_view(head).substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos &&
        http::equals_ignoring_case(line.substr(0, colon), name)) {
      return std::string(http::trim_ows(line.substr(colon + 1)));
    }
    at = end;
  }
  return {};
}

std::optional<Reply> take_reply(std::string& bytes, bool head_request, std::string* interim) {
  for (;;) {
    const std::size_t head_end = bytes.find("\r\n\r\n");
    if (head_end == std::string::npos) return std::nullopt;
    Reply reply;
    reply.head = bytes.substr(0, head_end + 2);
    reply.status = std::atoi(reply.head.c_str() + 9);
    if (reply.status < 200) {
      if (interim != nullptr) *interim += reply.head;
      bytes.erase(0, head_end + 4);
      continue;
    }
    std::size_t at = head_end + 4;
    if (head_request || reply.status == 204 || reply.status == 304) {
      bytes.erase(0, at);
      reply.whole = true;
      return reply;
    }
    if (!reply.field("Content-Length").empty()) {
      const auto length = static_cast<std::size_t>(
          std::strtoull(reply.field("Content-Length").c_str(), nullptr, 10));
      if (bytes.size() - at < length) return std::nullopt;
      reply.body = bytes.substr(at, length);
      bytes.erase(0, at + length);
      reply.whole = true;
      return reply;
    }
    if (reply.field("Transfer-Encoding") != "chunked") return std::nullopt;
    reply.chunked = true;
    for (;;) {
      const std::size_t line = bytes.find("\r\n", at);
      if (line == std::string::npos) return std::nullopt;
      const auto size = static_cast<std::size_t>(std::strtoull(bytes.c_str() + at, nullptr, 16));
      at = line + 2;
      if (bytes.size() < at + size + 2) return std::nullopt;
      reply.body += bytes.substr(at, size);
      at += size + 2;
      if (size == 0) break;
    }
    bytes.erase(0, at);
    reply.whole = true;
    return reply;
  }
}

ProxyFixture::ProxyFixture(std::uint64_t seed, std::size_t worker_count, std::uint64_t arena_bytes)
    : world(seed), address(*net::Endpoint::parse("192.0.2.1:80")) {
  cache::StoreOptions options;
  options.arena.bytes = arena_bytes;
  options.arena.want_hugepages = false;
  options.maximum_object_bytes = arena_bytes / 8;
  auto made = cache::Store::create(options);
  NEARFIELD_ASSERT(made.has_value());
  store = std::move(*made);
  shared = std::make_unique<SharedState>(*store);
  for (std::size_t index = 0; index < worker_count; ++index) {
    sim::SimReactor& reactor = world.add_reactor();
    Worker worker{&reactor, std::make_unique<ScriptedOrigin>(reactor), nullptr};
    worker.origin->on_call = [this](ScriptedCall& call) {
      if (on_call) on_call(call);
    };
    worker.proxy =
        std::make_unique<ProxyWorker>(*shared, reactor, *worker.origin, settings, nullptr);
    world.serve(address, reactor, *worker.proxy);
    workers.push_back(std::move(worker));
  }
  client_reactor = &world.add_reactor();
}

ProxyFixture::~ProxyFixture() {
  world.shutdown();
  for (Worker& worker : workers) worker.proxy->abort_all();
  workers.clear();
}

std::unique_ptr<sim::SimPeer> ProxyFixture::client() {
  auto peer = std::make_unique<sim::SimPeer>();
  peer->connect(*client_reactor, address);
  return peer;
}

Reply ProxyFixture::request(std::string_view text, bool head_request) {
  auto peer = client();
  peer->send(text);
  std::optional<Reply> reply;
  std::string bytes;
  world.run_until(
      [&] {
        bytes += peer->take_received();
        if (!reply) reply = take_reply(bytes, head_request);
        return reply || peer->closed() || peer->ended();
      },
      std::chrono::minutes(5));
  if (reply) return *reply;
  Reply cut;
  const std::size_t head_end = bytes.find("\r\n\r\n");
  if (head_end != std::string::npos) {
    cut.head = bytes.substr(0, head_end + 2);
    cut.status = std::atoi(cut.head.c_str() + 9);
    cut.body = bytes.substr(head_end + 4);
    cut.whole = cut.field("Content-Length").empty() && cut.field("Transfer-Encoding").empty() &&
                peer->ended();
  }
  return cut;
}

Reply ProxyFixture::get(std::string_view path, std::string_view more_fields) {
  return request("GET " + std::string(path) + " HTTP/1.1\r\nHost: music.example\r\n" +
                 std::string(more_fields) + "\r\n");
}

void ProxyFixture::change_settings(const std::function<void(Settings&)>& change) {
  auto changed = std::make_shared<Settings>(*settings);
  change(*changed);
  settings = changed;
  for (Worker& worker : workers) worker.proxy->set_settings(settings);
}

std::uint64_t ProxyFixture::counter(std::atomic<std::uint64_t> Counters::* which) const {
  std::uint64_t sum = 0;
  for (const Worker& worker : workers) sum += (worker.proxy->counters().*which).load();
  return sum;
}

std::size_t ProxyFixture::calls() const {
  std::size_t sum = 0;
  for (const Worker& worker : workers) sum += worker.origin->calls.size();
  return sum;
}

ScriptedCall& ProxyFixture::call(std::size_t index) {
  for (Worker& worker : workers) {
    if (index < worker.origin->calls.size()) return *worker.origin->calls[index];
    index -= worker.origin->calls.size();
  }
  NEARFIELD_ASSERT(false);
  std::abort();
}

}  // namespace nearfield::proxy::testing
