// The keys under [[origin]]. Ranges that OriginGroup::validate() checks are checked there; here
// only what would not survive the way into its types.
#include <format>
#include <limits>

#include "dataplane/control/config_keys.h"

namespace nearfield::control {
namespace {

using std::chrono::hours;

constexpr std::uint64_t kAnyNumber = std::numeric_limits<std::uint32_t>::max();

Result<void> anything(std::string_view) { return {}; }

// 0s where validate() takes it; a day is the longest anywhere.
void visit_wait(ConfigVisitor& visitor, std::string_view key, Duration& value) {
  visitor.duration(key, value, Duration::zero(), hours(24));
}

void visit_server(ConfigVisitor& visitor, origin::OriginServer& server) {
  std::string url = server.host.empty() ? "" : server.url();
  visitor.text("url", url, [&](std::string_view text) -> Result<void> {
    const auto parsed = origin::parse_origin_url(text);
    if (!parsed) return std::unexpected(parsed.error());
    server.scheme = parsed->scheme;
    server.host = parsed->host;
    server.port = parsed->port;
    return {};
  });
  visitor.integer("priority", server.priority, 1, 1000);
  visitor.integer("weight", server.weight, 1, 1000);
}

void visit_timeouts(ConfigVisitor& visitor, origin::OriginTimeouts& timeouts) {
  visit_wait(visitor, "wait", timeouts.wait);
  visit_wait(visitor, "connect", timeouts.connect);
  visit_wait(visitor, "first_byte", timeouts.first_byte);
  visit_wait(visitor, "idle", timeouts.idle);
  Duration whole = timeouts.whole.value_or(Duration::zero());
  visit_wait(visitor, "whole", whole);
  timeouts.whole = whole == Duration::zero() ? std::nullopt : std::optional(whole);
}

void visit_health(ConfigVisitor& visitor, origin::HealthCheck& health) {
  visitor.integer("failures_to_eject", health.failures_to_eject, 0, kAnyNumber);
  visit_wait(visitor, "eject", health.eject);
  visit_wait(visitor, "eject_maximum", health.eject_maximum);
  visitor.text("path", health.path, anything);
  visit_wait(visitor, "interval", health.interval);
  visit_wait(visitor, "timeout", health.timeout);
  visitor.integer("unhealthy_after", health.unhealthy_after, 0, kAnyNumber);
  visitor.integer("healthy_after", health.healthy_after, 0, kAnyNumber);
  visitor.integer("expected_status", health.expected_status, 0, 599);
}

void visit_tls(ConfigVisitor& visitor, origin::OriginTls& tls) {
  visitor.boolean("verify", tls.verify);
  visitor.text("ca", tls.ca_file, is_file_path);
  visitor.text("server_name", tls.server_name, anything);
  visitor.text("certificate", tls.certificate_file, is_file_path);
  visitor.text("key", tls.key_file, is_file_path);
  visitor.texts("pins", tls.pins, 16, anything);
  visitor.text("minimum_version", tls.minimum_version, anything);
}

}  // namespace

void visit_origin(ConfigVisitor& visitor, origin::OriginGroup& group) {
  visitor.text("name", group.name, anything);
  visitor.texts("hosts", group.hosts, 4096, anything);
  visitor.tables<origin::OriginServer>(
      "servers", group.servers, 64, "url",
      [&](origin::OriginServer& server) { visit_server(visitor, server); });
  visitor.text("host_header", group.host_header, anything);
  visitor.table("path", [&] {
    visitor.text("strip", group.path.strip, anything);
    visitor.text("add", group.path.add, anything);
  });
  visitor.table("timeouts", [&] { visit_timeouts(visitor, group.timeouts); });
  visitor.table("pool", [&] {
    visitor.integer("connections", group.pool.connections, 0, kAnyNumber);
    visitor.integer("idle_connections", group.pool.idle_connections, 0, kAnyNumber);
    visit_wait(visitor, "keep_idle", group.pool.keep_idle);
    visitor.integer("waiting_calls", group.pool.waiting_calls, 0, kAnyNumber);
  });
  visitor.integer("retries", group.retries, 0, kAnyNumber);
  visitor.table("health", [&] { visit_health(visitor, group.health); });
  visitor.table("tls", [&] { visit_tls(visitor, group.tls); });
}

}  // namespace nearfield::control
