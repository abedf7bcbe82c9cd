// A node that remembers what the control interface asked of it, and a snapshot with telling
// numbers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/control/api.h"
#include "dataplane/net/reactor.h"
#include "dataplane/origin/directory.h"
#include "dataplane/origin/resolver.h"

namespace nearfield::control {

class NoResolver final : public origin::Resolver {
 public:
  std::optional<origin::Resolution> known(const std::string&, MonotonicTime) override {
    return std::nullopt;
  }
  void resolve(const std::string&, MonotonicTime, net::Reactor&,
               std::weak_ptr<origin::ResolveWaiter>) override {}
};

inline NodeSnapshot sample_snapshot() {
  NodeSnapshot snapshot;
  snapshot.node_name = "box-7";
  snapshot.version = "1.2.3";
  snapshot.pid = 42;
  snapshot.state = NodeState::serving;
  snapshot.started_ms = std::chrono::milliseconds(1'700'000'000'000);
  snapshot.now_ms = snapshot.started_ms + std::chrono::milliseconds(2'500);
  snapshot.listen = {*net::Endpoint::parse("127.0.0.1:8080"), *net::Endpoint::parse("[::1]:8080")};
  snapshot.workers = 2;
  snapshot.transport = "uring";
  snapshot.config_source = "node.toml";
  snapshot.config_loaded_ms = snapshot.started_ms;
  snapshot.policy = "s3fifo";
  snapshot.store.arena_capacity_bytes = 1ULL << 30;
  snapshot.store.objects = 3;
  snapshot.store.page_kind = cache::PageKind::normal;
  snapshot.totals.requests = 100;
  snapshot.totals.responses_2xx = 90;
  snapshot.totals.responses_4xx = 10;
  snapshot.totals.responses_broken = 1;
  snapshot.totals.cache_hits = 80;
  snapshot.totals.sent_bytes = 123'456'789'012;
  snapshot.totals.connections_refused_total = 4;
  snapshot.totals.connections_refused_prefix = 5;
  snapshot.totals.limit_fetches = 6;
  snapshot.totals.timeout_idle = 7;
  snapshot.totals.connections_open = 8;
  snapshot.transport_values = {{"turns", "Turns", 9, false}, {"streams_open", "Open", 2, true}};
  snapshot.tls.listen = {*net::Endpoint::parse("127.0.0.1:8443")};
  snapshot.tls.engine = "ipsec-mb (AVX2)";
  snapshot.tls.minimum_version = "1.2";
  snapshot.tls.protocols = {"h2", "http/1.1"};
  snapshot.tls.client_certificates = "none";
  snapshot.tls.tickets = true;
  snapshot.tls.ticket_keys = 2;
  snapshot.tls.certificates = {{.file = "/tls/a.pem",
                                .subject = "CN=a.example",
                                .names = {"a.example", "*.b.example"},
                                .not_after = WallTime(std::chrono::seconds(1'700'086'400))}};
  snapshot.tls.totals.handshakes_finished = 3;
  snapshot.tls.totals.handshakes_refused_queue = 6;
  snapshot.tls.totals.connections_open = 4;
  snapshot.tls.handshakes_open = 1;
  snapshot.tls.pool.finished_resumed = 2;
  snapshot.tls.pool.cpu_full = std::chrono::milliseconds(500);
  snapshot.tls.pool.failed[static_cast<std::size_t>(tls::HandshakeFailure::not_tls)] = 5;
  snapshot.access.rules = 6;
  snapshot.access.clock_trusted = false;
  snapshot.access.clock_behind = std::chrono::seconds(90);
  snapshot.access.decisions[static_cast<std::size_t>(access::Reason::kTokenHolds)] = 21;
  snapshot.access.decisions[static_cast<std::size_t>(access::Reason::kExpired)] = 5;
  snapshot.access.known_good = 18;
  snapshot.access.known_bad = 2;
  snapshot.access.signatures_verified = 3;
  snapshot.access.macs_verified = 4;
  snapshot.access.renewals = 1;
  snapshot.access_log_path = "-";
  snapshot.access_log = {.written = 11, .written_bytes = 12, .dropped = 13, .failed = 14};
  origin::OriginGroup group = *origin::group_of_one("http://192.0.2.1:9000");
  auto directory = origin::OriginDirectory::create({group}, std::make_shared<NoResolver>(),
                                                   [](const origin::HealthChange&) {});
  const origin::Origin& one = (*directory)->groups()[0]->origins[0];
  one.statistics->requests = 20;
  one.statistics->add_failure(origin::OriginFailureKind::timed_out);
  one.statistics->add_first_byte(std::chrono::milliseconds(3));
  one.statistics->add_first_byte(std::chrono::seconds(60));
  snapshot.origins = *directory;
  return snapshot;
}

class FakeNode final : public NodeControl {
 public:
  NodeSnapshot snapshot() override { return sample_snapshot(); }
  std::string effective_config_json() override { return R"({"schema":1})"; }
  const http::QueryRules& query_rules() override { return rules; }
  const access::AccessPolicy& access_policy() override { return *policy; }
  std::uint64_t purge(std::string_view name) override {
    asked.push_back("purge " + std::string(name));
    return 1;
  }
  std::uint64_t purge_prefix(std::string_view prefix) override {
    asked.push_back("purge_prefix " + std::string(prefix));
    return 7;
  }
  std::string access_why(const WhyQuestion& question) override {
    asked.push_back("why " + question.authority + question.target);
    return "{}";
  }
  ConnectionList connections(const ConnectionQuestion& question) override {
    asked.push_back("connections " + std::to_string(question.limit) +
                    (question.peer ? " " + question.peer->text() : ""));
    return list;
  }
  void drain() override { asked.emplace_back("drain"); }
  ReloadOutcome reload() override {
    asked.emplace_back("reload");
    return outcome;
  }

  http::QueryRules rules = *http::QueryRules::make(std::vector<std::string>{"CMCD"}, true);
  std::shared_ptr<const access::AccessPolicy> policy = access::AccessPolicy::open();
  ReloadOutcome outcome;
  ConnectionList list;
  std::vector<std::string> asked;
};

}  // namespace nearfield::control
