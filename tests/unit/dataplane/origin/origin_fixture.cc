#include "tests/unit/dataplane/origin/origin_fixture.h"

#include <algorithm>
#include <format>
#include <utility>

#include "CppUTest/TestHarness.h"
#include "cache/base/assert.h"
#include "dataplane/http/text.h"

namespace nearfield::origin {
namespace {

// The length of the whole request at the front of `text`; 0 while some of it is missing.
std::size_t whole_request(const std::string& text) {
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  std::size_t length = 0;
  const auto field = text.find("\r\nContent-Length: ");
  if (field != std::string::npos && field < end) length = std::stoul(text.substr(field + 18));
  return text.size() >= end + 4 + length ? end + 4 + length : 0;
}

}  // namespace

TestOrigin::TestOrigin(sim::World& world, sim::SimReactor& worker, const std::string& endpoint)
    : server(world, worker, net::Endpoint::parse(endpoint).value()) {
  server.on_data = [this](sim::SimPeer& peer) {
    std::string& text = partial_[&peer];
    text += peer.take_received();
    while (const std::size_t size = whole_request(text)) {
      requests.push_back(text.substr(0, size));
      text.erase(0, size);
      if (answer) answer(peer, requests.back());
    }
  };
}

void TestOrigin::always(std::string response) {
  answer = [response = std::move(response)](sim::SimPeer& peer, const std::string&) {
    peer.send(response);
  };
}

void TestOrigin::in_turn(std::vector<std::string> responses) {
  answer = [this, responses = std::move(responses)](sim::SimPeer& peer, const std::string&) {
    peer.send(responses[std::min(requests.size(), responses.size()) - 1]);
  };
}

std::string response_of(std::string_view body, std::string_view fields) {
  return std::format("HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\n\r\n{}", fields, body.size(),
                     body);
}

std::string body_of(std::size_t bytes) {
  std::string body(bytes, ' ');
  std::uint32_t state = 12345;
  for (char& c : body) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return body;
}

void RecordingObserver::on_interim(const http::ResponseHead& interim_head) {
  interim.push_back(interim_head.status);
  if (on_any) on_any();
}

void RecordingObserver::on_head(http::ResponseHead&& final_head) {
  CHECK(!head.has_value());
  head = std::move(final_head);
  if (on_any) on_any();
}

std::size_t RecordingObserver::on_body(std::span<const std::byte> bytes) {
  CHECK(head.has_value());
  CHECK_EQUAL(0, endings);
  CHECK(!bytes.empty());
  ++deliveries;
  const std::size_t taken = take ? take(bytes.size()) : bytes.size();
  body.append(reinterpret_cast<const char*>(bytes.data()), taken);
  if (on_any) on_any();
  return taken;
}

void RecordingObserver::on_complete(http::Fields&& final_trailers) {
  CHECK(head.has_value());
  complete = true;
  trailers = std::move(final_trailers);
  ++endings;
  CHECK_EQUAL(1, endings);
  if (on_any) on_any();
}

void RecordingObserver::on_failure(const OriginFailure& final_failure) {
  failure = final_failure;
  ++endings;
  CHECK_EQUAL(1, endings);
  if (on_any) on_any();
}

std::optional<Resolution> TableResolver::known(const std::string&, MonotonicTime) {
  return std::nullopt;
}

void TableResolver::resolve(const std::string& host, MonotonicTime, net::Reactor& reactor,
                            std::weak_ptr<ResolveWaiter> waiter) {
  ++look_ups;
  if (silent.contains(host)) return;
  Resolution resolution;
  if (const auto found = table.find(host); found != table.end()) {
    for (const std::string& address : found->second) {
      resolution.addresses.push_back(net::Address::parse(address).value());
    }
  } else {
    resolution.failure = "no such name";
  }
  reactor.post([waiter = std::move(waiter), resolution = std::move(resolution)] {
    if (auto alive = waiter.lock()) alive->on_resolved(resolution);
  });
}

OriginFixture::OriginFixture(std::uint64_t seed)
    : world(seed), worker(world.add_reactor()), machine(world.add_reactor()) {}

OriginFixture::~OriginFixture() {
  client.reset();
  world.settle();
  // Nothing was forgotten: every connection is closed once its client has gone.
  world.run_for(std::chrono::seconds(5));
  NEARFIELD_ASSERT(worker.stream_count() == 0);
  if (directory != nullptr) {
    for (const auto& group : directory->groups()) {
      for (const Origin& origin : group->origins) {
        NEARFIELD_ASSERT(origin.statistics->connections_open == 0);
        NEARFIELD_ASSERT(origin.statistics->connections_idle == 0);
        NEARFIELD_ASSERT(origin.statistics->calls_waiting == 0);
      }
    }
  }
}

OriginGroup OriginFixture::group_of(std::vector<std::string> urls) {
  OriginGroup group;
  group.name = "g";
  group.hosts = {"*"};
  for (const std::string& url : urls) group.servers.push_back(parse_origin_url(url).value());
  return group;
}

void OriginFixture::use(std::vector<OriginGroup> groups) {
  auto made = OriginDirectory::create(
      std::move(groups), resolver,
      [this](const HealthChange& change) { health_changes.push_back(change); }, directory.get(),
      tls);
  if (!made.has_value()) FAIL(made.error().message.c_str());
  directory = *std::move(made);
  if (client == nullptr) {
    client = HttpOriginClient::create(worker, directory, options);
  } else {
    client->use(directory);
  }
}

OriginRequest OriginFixture::get(std::string path) {
  OriginRequest request;
  request.method = "GET";
  request.authority = "music.example";
  request.path_and_query = std::move(path);
  request.idempotent = true;
  return request;
}

OriginRequest OriginFixture::post(std::string path, std::string body) {
  OriginRequest request = get(std::move(path));
  request.method = "POST";
  request.body = std::move(body);
  request.idempotent = false;
  return request;
}

std::unique_ptr<OriginCall> OriginFixture::start(OriginRequest request,
                                                 RecordingObserver& observer) {
  auto call = client->start(std::move(request), observer);
  CHECK(!observer.ended());  // never from within start()
  return call;
}

bool OriginFixture::fetch(OriginRequest request, RecordingObserver& observer, Duration limit) {
  const auto call = start(std::move(request), observer);
  return world.run_until(
      [&] {
        before_each_look();
        return observer.ended();
      },
      limit);
}

OriginStatistics& OriginFixture::statistics(std::size_t server, std::size_t group) {
  return *directory->groups().at(group)->origins.at(server).statistics;
}

OriginHealth& OriginFixture::health(std::size_t server, std::size_t group) {
  return *directory->groups().at(group)->origins.at(server).health;
}

}  // namespace nearfield::origin
