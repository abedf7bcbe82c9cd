// The keys of [node], [cache], [query], [cors], [limits] and [access_log].
#include "dataplane/control/config_keys.h"

#include <algorithm>
#include <format>
#include <limits>
#include <ranges>

#include "cache/policy/policy.h"

namespace nearfield::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kMiB = 1024 * kKiB;
constexpr std::uint64_t kGiB = 1024 * kMiB;
constexpr std::uint64_t kTiB = 1024 * kGiB;
constexpr std::uint64_t kManyConnections = 16'000'000;
// sun_path has 108 bytes, of which the handover socket's ending and a temporary name take some.
constexpr std::size_t kMaximumSocketPath = 80;

// Goes into a response field as it stands: visible ASCII and spaces.
Result<void> is_field_value(std::string_view text) {
  const bool good =
      text.size() <= 4096 && std::ranges::all_of(text, [](char c) { return c >= ' ' && c < 0x7f; });
  if (good) return {};
  return failure("has bytes that cannot stand in a response field: use printable ASCII");
}

// RFC 9110 5.6.2
Result<void> is_token(std::string_view text) {
  constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  const bool good = !text.empty() && text.size() <= 64 && std::ranges::all_of(text, [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.contains(c);
  });
  if (good) return {};
  return failure(std::format(
      "'{}' cannot be a node's name in Via: use 1 to 64 letters, digits, '-', '.' or '_'", text));
}

Result<void> is_policy(std::string_view text) {
  const auto names = cache::policy_names();
  if (text.empty() || std::ranges::find(names, text) != names.end()) return {};
  std::string known;
  for (const std::string_view name : names)
    known += std::format("{}{}", known.empty() ? "" : ", ", name);
  return failure(std::format("there is no policy '{}': use one of {}", text, known));
}

// "*" or scheme://host[:port], as browsers send it (RFC 6454 6.1).
Result<void> is_web_origin(std::string_view text) {
  if (text == "*" || text == "null") return {};
  const bool scheme = text.starts_with("http://") || text.starts_with("https://");
  const std::string_view host = scheme ? text.substr(text.find("://") + 3) : std::string_view();
  if (!host.empty() && host.find_first_of("/?#@ ") == std::string_view::npos &&
      is_field_value(text)) {
    return {};
  }
  return failure(std::format(
      "'{}' is not a web origin: write https://player.example (no closing '/'), or *", text));
}

// "" is none.
Result<std::optional<net::Endpoint>> parse_admin(std::string_view text) {
  if (text.empty()) return std::nullopt;
  return net::Endpoint::parse(text);
}

void visit_node(ConfigVisitor& visitor, Config& config) {
  visitor.text("name", config.settings.node_name, is_token);
  visit_endpoints(visitor, "listen", config.listen);
  visit_parsed(visitor, "transport", transport_choice_text(config.transport),
               parse_transport_choice, config.transport);
  visitor.integer("workers", config.workers, 0, 1024);
  visitor.boolean("pin_workers", config.pin_workers);
  visitor.text("control", config.control_path, is_socket_path);
  visit_parsed(visitor, "admin", config.admin ? config.admin->text() : "", parse_admin,
               config.admin);
  visitor.duration("drain_timeout", config.drain_timeout, Duration::zero(), hours(24));
  visit_parsed(visitor, "log_level", log_level_text(config.level), parse_log_level, config.level);
}

void visit_cache(ConfigVisitor& visitor, Config& config) {
  cache::StoreOptions& store = config.store;
  visitor.size("ram", store.arena.bytes, 8 * kMiB, 64 * kTiB);
  visitor.boolean("hugepages", store.arena.want_hugepages);
  visitor.size("index", store.index_bytes, 0, kTiB);
  visitor.text("policy", store.policy, is_policy);
  visitor.size("maximum_object", store.maximum_object_bytes, 0, kTiB);
  visitor.size("streaming_window", store.streaming_window_bytes, 128 * kKiB, kGiB);

  proxy::Settings& settings = config.settings;
  visitor.percent("heuristic_share", settings.cache.heuristic_percent);
  visitor.duration("heuristic_maximum", settings.cache.heuristic_max, Duration::zero(),
                   hours(24 * 365));
  visitor.duration("default_stale_if_error", settings.cache.default_stale_if_error,
                   Duration::zero(), hours(24 * 365));
  visitor.boolean("honour_request_directives", settings.cache.honour_request_directives);
  visitor.duration("unshareable_memory", settings.unshareable_memory, Duration::zero(), hours(1));
  visitor.size("range_fetch_threshold", settings.range_fetch_threshold_bytes, 0, kTiB);
  visitor.boolean("send_cache_status", settings.send_cache_status);
}

void visit_query(ConfigVisitor& visitor, Config& config) {
  visitor.texts("drop", config.query_drop, 64, parses([](std::string_view text) {
                  const std::string pattern(text);
                  return http::QueryRules::make(std::span(&pattern, 1), true);
                }));
  visitor.boolean("forward_dropped", config.query_forward_dropped);
}

void visit_cors(ConfigVisitor& visitor, http::CorsConfig& cors) {
  visitor.boolean("enabled", cors.enabled);
  visitor.texts("allowed_origins", cors.allowed_origins, 256, is_web_origin);
  visitor.boolean("allow_credentials", cors.allow_credentials);
  visitor.text("allowed_methods", cors.allowed_methods, is_field_value);
  visitor.text("allowed_fields", cors.allowed_fields, is_field_value);
  visitor.text("exposed_fields", cors.exposed_fields, is_field_value);
  visitor.duration("max_age", cors.max_age, Duration::zero(), hours(24 * 7));
  visitor.text("timing_allow_origin", cors.timing_allow_origin, is_field_value);
}

void visit_limits(ConfigVisitor& visitor, proxy::Limits& limits) {
  visitor.integer("connections", limits.connections, 0, kManyConnections);
  visitor.integer("connections_per_prefix", limits.connections_per_prefix, 0, kManyConnections);
  visitor.integer("prefix_v4_bits", limits.prefix_v4_bits, 8, 32);
  visitor.integer("prefix_v6_bits", limits.prefix_v6_bits, 16, 128);
  visitor.size("header_bytes", limits.header_bytes, kKiB, kMiB);
  visitor.integer("header_count", limits.header_count, 8, 1000);
  visitor.size("target_bytes", limits.target_bytes, 64, kMiB);
  visitor.size("request_body_bytes", limits.request_body_bytes, 0, 256 * kMiB);
  visitor.size("held_request_bytes", limits.held_request_bytes, 64 * kKiB, kTiB);
  visitor.integer("requests_per_connection", limits.requests_per_connection, 0, 1'000'000'000);
  visitor.integer("http2_streams", limits.http2_streams, 1, 10'000);
  visitor.size("http2_body_bytes", limits.http2_body_bytes, 64 * kKiB, kGiB);
  visitor.integer("http2_resets_burst", limits.http2_resets_burst, 1, 1'000'000);
  visitor.integer("http2_resets_per_second", limits.http2_resets_per_second, 0, 1'000'000);
  visitor.integer("http2_frames_burst", limits.http2_frames_burst, 10, 1'000'000);
  visitor.integer("http2_frames_per_second", limits.http2_frames_per_second, 1, 1'000'000);
  visitor.integer("http2_continuations", limits.http2_continuations, 1, 1000);
  visitor.integer("http2_settings", limits.http2_settings, 10, 1000);
  visitor.integer("http2_acknowledgments", limits.http2_acknowledgments, 1, 1'000'000);
  visitor.duration("header_timeout", limits.header_timeout, milliseconds(10), hours(1));
  visitor.duration("body_timeout", limits.body_timeout, milliseconds(10), hours(1));
  visitor.duration("idle_timeout", limits.idle_timeout, milliseconds(10), hours(24));
  visitor.duration("send_timeout", limits.send_timeout, milliseconds(10), hours(1));
  visitor.size("minimum_send_bytes_per_second", limits.minimum_send_bytes_per_second, 0, kGiB);
  visitor.duration("response_timeout", limits.response_timeout, milliseconds(10), hours(24));
  visitor.integer("fetches", limits.fetches, 1, 1'000'000);
  visitor.integer("waiting_per_fetch", limits.waiting_per_fetch, 1, kManyConnections);
  visitor.integer("parts_per_fetch", limits.parts_per_fetch, 1, 64);
  visitor.size("seek_ahead_bytes", limits.seek_ahead_bytes, 0, kGiB);
  visitor.integer("ranges_per_request", limits.ranges_per_request, 1, 256);
  visitor.integer("resumes_per_fetch", limits.resumes_per_fetch, 0, 100);
}

void visit_access_log(ConfigVisitor& visitor, AccessLogConfig& access_log) {
  visitor.text("path", access_log.path, is_file_path);
  visitor.size("buffer", access_log.buffer_bytes, 64 * kKiB, kGiB);
}

}  // namespace

Result<void> is_file_path(std::string_view text) {
  if (text.size() <= 4000 && !text.contains('\0')) return {};
  return failure("is not a usable path: too long, or a NUL in it");
}

void visit_endpoints(ConfigVisitor& visitor, std::string_view key,
                     std::vector<net::Endpoint>& endpoints) {
  auto texts = endpoints | std::views::transform(&net::Endpoint::text) |
               std::ranges::to<std::vector<std::string>>();
  std::vector<net::Endpoint> parsed;
  visitor.texts(key, texts, 64, [&](std::string_view text) -> Result<void> {
    const auto endpoint = net::Endpoint::parse(text);
    if (!endpoint) return std::unexpected(endpoint.error());
    if (std::ranges::find(parsed, *endpoint) != parsed.end()) {
      return failure(std::format("'{}' is there twice: remove one", text));
    }
    parsed.push_back(*endpoint);
    return {};
  });
  if (!parsed.empty() || texts.empty()) endpoints = std::move(parsed);
}

Result<void> is_socket_path(std::string_view text) {
  if (text.empty() || (text.size() <= kMaximumSocketPath && !text.contains('\0'))) return {};
  return failure(std::format("is {} bytes long: a socket's path has at most {}", text.size(),
                             kMaximumSocketPath));
}

void visit_config(ConfigVisitor& visitor, Config& config) {
  visitor.table("node", [&] { visit_node(visitor, config); });
  visitor.table("cache", [&] { visit_cache(visitor, config); });
  visitor.tables<origin::OriginGroup>(
      "origin", config.origins, 1024, "",
      [&](origin::OriginGroup& group) { visit_origin(visitor, group); });
  visitor.table("query", [&] { visit_query(visitor, config); });
  visitor.table("cors", [&] { visit_cors(visitor, config.settings.cors); });
  visitor.table("limits", [&] { visit_limits(visitor, config.settings.limits); });
  visitor.table("tls", [&] { visit_tls(visitor, config.tls); });
  visitor.table("https", [&] { visit_https(visitor, config.settings.https); });
  visitor.table("access",
                [&] { visit_access(visitor, config.access, config.settings.access_check); });
  visitor.table("dpdk", [&] { visit_dpdk(visitor, config.dpdk); });
  visitor.table("access_log", [&] { visit_access_log(visitor, config.access_log); });
}

}  // namespace nearfield::control
