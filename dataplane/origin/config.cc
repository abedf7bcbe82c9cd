// Check collects the first complaint about a group, so that each rule is one line that reads like
// its message.
#include "dataplane/origin/config.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <set>

#include "dataplane/net/endpoint.h"
#include "dataplane/tls/client_settings.h"

namespace nearfield::origin {
namespace {

constexpr Duration kLongestTimeout = std::chrono::hours(24);
constexpr std::size_t kMaximumServers = 64;  // a call remembers which it tried in one word
constexpr std::size_t kMaximumHosts = 4096;
constexpr std::size_t kMaximumPins = 16;
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;
constexpr std::size_t kMaximumHostBytes = 253;  // RFC 1035 2.3.4, as text

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

bool is_host_name(std::string_view text) {
  return !text.empty() && text.size() <= kMaximumHostBytes && text.front() != '.' &&
         text.find("..") == std::string_view::npos && std::ranges::all_of(text, is_host_character);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

// What may stand in a request line: visible ASCII; '?' and '#' would move where the path ends.
bool is_path(std::string_view text) {
  return !text.empty() && text.front() == '/' &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && c != '#'; });
}

// "", ":80" or garbage after a host; the port, `fallback` without one.
std::optional<std::uint16_t> parse_port(std::string_view text, std::uint16_t fallback) {
  if (text.empty()) return fallback;
  if (text.front() != ':') return std::nullopt;
  text.remove_prefix(1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
  return port;
}

bool is_ip_literal(std::string_view host) { return net::Address::parse(host).has_value(); }

// A pattern of OriginGroup::hosts.
bool is_host_pattern(std::string_view text) {
  if (text == "*") return true;
  if (text.starts_with("*.")) return is_host_name(text.substr(2));
  if (text.starts_with("[")) {
    const auto end = text.find(']');
    return end != std::string_view::npos && is_ip_literal(text.substr(1, end - 1)) &&
           parse_port(text.substr(end + 1), 80).has_value();
  }
  const auto colon = text.find(':');
  const auto host = text.substr(0, colon);
  return is_host_name(host) &&
         (colon == std::string_view::npos || parse_port(text.substr(colon), 80).has_value());
}

// Collects the first complaint about one group.
class Check {
 public:
  explicit Check(const std::string& group) : group_(group) {}

  void require(bool good, std::string_view key, std::string_view complaint) {
    if (!good && result_.has_value()) {
      result_ = failure(std::format("origin group '{}': {} {}", group_, key, complaint));
    }
  }
  void require_duration(Duration value, std::string_view key) {
    require(value > Duration::zero() && value <= kLongestTimeout, key,
            "is out of range: use more than 0 and at most 24 h");
  }
  void require_range(std::uint64_t value, std::uint64_t low, std::uint64_t high,
                     std::string_view key) {
    require(value >= low && value <= high, key,
            std::format("is {}: use {} to {}", value, low, high));
  }
  Result<void> result() const { return result_; }

 private:
  const std::string& group_;
  Result<void> result_;
};

void check_server(Check& check, const OriginServer& server, std::size_t index) {
  const std::string key = std::format("servers[{}]", index);
  check.require(is_host_name(server.host) || is_ip_literal(server.host), key + ".url",
                std::format("has no usable host ('{}')", server.host));
  check.require_range(server.port, 1, 65535, key + ".port");
  check.require_range(server.priority, 1, 1000, key + ".priority");
  check.require_range(server.weight, 1, 1000, key + ".weight");
}

void check_prefix(Check& check, const std::string& prefix, std::string_view key) {
  if (prefix.empty()) return;
  check.require(is_path(prefix) && prefix.find('?') == std::string::npos, key,
                std::format("is '{}': begin with '/', without '?', '#' or spaces", prefix));
  check.require(!prefix.ends_with('/'), key,
                std::format("is '{}': leave out the closing '/'", prefix));
}

void check_health(Check& check, const HealthCheck& health) {
  check.require_range(health.failures_to_eject, 1, 1000, "health.failures_to_eject");
  check.require_duration(health.eject, "health.eject");
  check.require_duration(health.eject_maximum, "health.eject_maximum");
  check.require(health.eject <= health.eject_maximum, "health.eject",
                "is longer than health.eject_maximum");
  if (health.path.empty()) return;
  check.require(is_path(health.path), "health.path",
                std::format("is '{}': begin with '/', without '#' or spaces", health.path));
  check.require_duration(health.interval, "health.interval");
  check.require_duration(health.timeout, "health.timeout");
  check.require_range(health.unhealthy_after, 1, 1000, "health.unhealthy_after");
  check.require_range(health.healthy_after, 1, 1000, "health.healthy_after");
  check.require(
      health.expected_status == 0 ||
          (health.expected_status >= 100 && health.expected_status <= 599),
      "health.expected_status",
      std::format("is {}: use 100 to 599, or 0 for any from 200 to 399", health.expected_status));
}

void check_tls(Check& check, const OriginTls& tls, bool is_used) {
  if (tls == OriginTls{}) return;
  check.require(is_used, "tls", "is set, but no server's url begins with https");
  check.require(tls.verify || tls.ca_file.empty(), "tls.ca",
                "is set, but tls.verify is false: leave one of them out");
  check.require(
      tls.server_name.empty() || is_host_name(tls.server_name) || is_ip_literal(tls.server_name),
      "tls.server_name", std::format("is '{}': use a lower-case host", tls.server_name));
  check.require(tls.certificate_file.empty() == tls.key_file.empty(),
                tls.key_file.empty() ? "tls.certificate" : "tls.key",
                tls.key_file.empty() ? "is set without tls.key" : "is set without tls.certificate");
  check.require(tls.pins.size() <= kMaximumPins, "tls.pins", "has more than 16 entries");
  for (std::size_t i = 0; i < tls.pins.size(); ++i) {
    const auto pin = tls::ClientSettings::parse_pin(tls.pins[i]);
    if (!pin.has_value()) check.require(false, std::format("tls.pins[{}]", i), pin.error().message);
  }
  check.require(tls.minimum_version == "1.2" || tls.minimum_version == "1.3", "tls.minimum_version",
                std::format("is '{}': use 1.2 or 1.3", tls.minimum_version));
}

}  // namespace

std::string OriginServer::name() const {
  return host.find(':') == std::string::npos ? std::format("{}:{}", host, port)
                                             : std::format("[{}]:{}", host, port);
}

std::string OriginServer::url() const {
  return std::format("{}://{}", scheme == Scheme::https ? "https" : "http", name());
}

Result<OriginServer> parse_origin_url(std::string_view url) {
  const auto bad = [&](std::string_view what) {
    return failure(
        std::format("origin '{}' {}: write it like http://origin.example:8080", url, what));
  };
  const std::string all = lower(url);
  std::string_view rest = all;
  OriginServer server;
  if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else if (rest.starts_with("https://")) {
    rest.remove_prefix(8);
    server.scheme = Scheme::https;
  } else {
    return bad("does not begin with http:// or https://");
  }
  if (rest.find('@') != std::string_view::npos) return bad("has a user name");
  if (const auto end = rest.find_first_of("/?#"); end != std::string_view::npos) {
    if (rest.substr(end) != "/") return bad("has a path (path.add puts one in front)");
    rest = rest.substr(0, end);
  }
  std::string_view host;
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == std::string_view::npos) return bad("has a '[' without a ']'");
    host = rest.substr(1, end - 1);
    port = rest.substr(end + 1);
    if (host.find(':') == std::string_view::npos || !is_ip_literal(host)) {
      return bad("has no IPv6 address between its brackets");
    }
  } else {
    const auto colon = rest.find(':');
    host = rest.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon);
    if (!is_host_name(host)) return bad("has no usable host");
  }
  const auto number = parse_port(port, server.scheme == Scheme::https ? kHttpsPort : kHttpPort);
  if (!number.has_value()) return bad("has a bad port (1 to 65535)");
  server.host = host;
  server.port = *number;
  return server;
}

bool OriginGroup::speaks_tls() const {
  return std::ranges::any_of(
      servers, [](const OriginServer& server) { return server.scheme == Scheme::https; });
}

bool speaks_tls(const std::vector<OriginGroup>& groups) {
  return std::ranges::any_of(groups, &OriginGroup::speaks_tls);
}

Result<void> OriginGroup::validate() const {
  Check check(name);
  check.require(!name.empty() && name.size() <= 64, "name", "is empty or longer than 64 bytes");
  check.require(!hosts.empty(), "hosts", "is empty: name hosts, or use \"*\" for all");
  check.require(hosts.size() <= kMaximumHosts, "hosts", "has more than 4096 entries");
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    check.require(is_host_pattern(hosts[i]), std::format("hosts[{}]", i),
                  std::format("is '{}': use a lower-case host, *.host or *", hosts[i]));
  }
  check.require(!servers.empty(), "servers", "is empty: name at least one");
  check.require(servers.size() <= kMaximumServers, "servers", "has more than 64 entries");
  for (std::size_t i = 0; i < servers.size(); ++i) {
    check_server(check, servers[i], i);
    for (std::size_t j = 0; j < i; ++j) {
      check.require(servers[i].name() != servers[j].name(), std::format("servers[{}]", i),
                    std::format("is the same as servers[{}] ({})", j, servers[j].name()));
    }
  }
  check.require(host_header.empty() || (is_host_pattern(host_header) && host_header[0] != '*'),
                "host_header", std::format("is '{}': use host or host:port", host_header));
  check_prefix(check, path.strip, "path.strip");
  check_prefix(check, path.add, "path.add");
  check.require_duration(timeouts.wait, "timeouts.wait");
  check.require_duration(timeouts.connect, "timeouts.connect");
  check.require_duration(timeouts.first_byte, "timeouts.first_byte");
  check.require_duration(timeouts.idle, "timeouts.idle");
  if (timeouts.whole.has_value()) check.require_duration(*timeouts.whole, "timeouts.whole");
  check.require_range(pool.connections, 1, 65536, "pool.connections");
  check.require_range(pool.idle_connections, 0, 65536, "pool.idle_connections");
  check.require_duration(pool.keep_idle, "pool.keep_idle");
  check.require_range(pool.waiting_calls, 1, 1 << 20, "pool.waiting_calls");
  check.require_range(retries, 0, 16, "retries");
  check_health(check, health);
  check_tls(check, tls, speaks_tls());
  return check.result();
}

Result<void> validate(const std::vector<OriginGroup>& groups) {
  std::set<std::string_view> names;
  std::set<std::string_view> patterns;
  for (const OriginGroup& group : groups) {
    if (auto good = group.validate(); !good.has_value()) return good;
    if (!names.insert(group.name).second) {
      return failure(std::format("origin group '{}' is there twice: rename one", group.name));
    }
    for (const std::string& host : group.hosts) {
      if (!patterns.insert(host).second) {
        return failure(std::format(
            "origin group '{}': hosts has '{}', which is already served: keep one of them",
            group.name, host));
      }
    }
  }
  return {};
}

Result<OriginGroup> group_of_one(std::string_view url) {
  auto server = parse_origin_url(url);
  if (!server.has_value()) return std::unexpected(server.error());
  OriginGroup group;
  group.name = "origin";
  group.hosts = {"*"};
  group.servers = {*std::move(server)};
  return group;
}

}  // namespace nearfield::origin
