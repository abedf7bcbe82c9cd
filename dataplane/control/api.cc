// One table of paths; what a path does stands below it.
#include "dataplane/control/api.h"

#include <array>
#include <boost/json.hpp>
#include <format>

#include "dataplane/access/check.h"
#include "dataplane/control/metrics.h"
#include "dataplane/control/purge_name.h"
#include "dataplane/control/tls_json.h"

namespace nearfield::control {
namespace {

namespace json = boost::json;

ApiResponse reply(unsigned status, const json::object& body) {
  return {.status = status,
          .content_type = "application/json",
          .body = json::serialize(body),
          .allow = ""};
}

ApiResponse error(unsigned status, std::string_view message) {
  return reply(status, {{"error", message}});
}

// The one text member of a JSON object with exactly that member.
struct Member {
  std::string name;
  std::string value;
};
Result<Member> only_member(std::string_view body) {
  boost::system::error_code code;
  const json::value value = json::parse(body, code);
  if (code) return failure("the body is not JSON: " + code.message());
  const json::object* object = value.if_object();
  if (object == nullptr || object->size() != 1) {
    return failure("the body is not a JSON object with one member");
  }
  const auto& [name, content] = *object->begin();
  if (!content.is_string()) return failure(std::format("'{}' is not a text", std::string(name)));
  return Member{std::string(name), std::string(content.get_string())};
}

ApiResponse get_metrics(const ApiRequest&, NodeControl& node) {
  return {.status = 200,
          .content_type = std::string(kMetricsContentType),
          .body = metrics_text(node.snapshot(), read_process_info()),
          .allow = ""};
}

ApiResponse get_status(const ApiRequest&, NodeControl& node) {
  ApiResponse response;
  response.body = status_json(node.snapshot());
  return response;
}

ApiResponse get_counters(const ApiRequest&, NodeControl& node) {
  ApiResponse response;
  response.body = counters_json(node.snapshot());
  return response;
}

ApiResponse get_tls(const ApiRequest&, NodeControl& node) {
  const NodeSnapshot snapshot = node.snapshot();
  ApiResponse response;
  response.body =
      tls_json(snapshot.tls, WallTime(std::chrono::floor<std::chrono::seconds>(snapshot.now_ms)));
  return response;
}

ApiResponse get_config(const ApiRequest&, NodeControl& node) {
  ApiResponse response;
  response.body = node.effective_config_json();
  return response;
}

ApiResponse get_connections(const ApiRequest& request, NodeControl& node) {
  const std::size_t mark = request.target.find('?');
  const auto question = parse_connection_question(
      mark == std::string_view::npos ? std::string_view() : request.target.substr(mark + 1));
  if (!question) return error(400, question.error().message);
  const ConnectionList list = node.connections(*question);
  if (!list.is_available) {
    return error(501, "this transport's connections are the kernel's: ask it with ss -ti");
  }
  if (question->peer && list.connections.empty() && list.silent_workers == 0) {
    return error(404, "there is no connection of " + question->peer->text());
  }
  ApiResponse response;
  response.body = connections_json(list);
  return response;
}

ApiResponse post_purge(const ApiRequest& request, NodeControl& node) {
  const auto member = only_member(request.body);
  if (!member || (member->name != "name" && member->name != "prefix")) {
    return error(400, std::format("{}: send {{\"name\": URL}} or {{\"prefix\": URL}}",
                                  member ? std::format("'{}' is not known", member->name)
                                         : member.error().message));
  }
  const bool whole = member->name == "name";
  const access::AccessPolicy& access = node.access_policy();
  const auto key = whole ? purge_name(member->value, node.query_rules(), access)
                         : purge_prefix(member->value, access);
  if (!key) return error(400, key.error().message);
  const std::uint64_t purged = whole ? node.purge(*key) : node.purge_prefix(*key);
  std::string cleaned;
  log(LogLevel::info, "purged {} of {} {}", purged, whole ? "name" : "prefix",
      access::loggable(access, *key, cleaned));
  return reply(200, {{"schema", 1}, {"purged", purged}, {member->name, *key}});
}

// A question with a secret in it: in the body, not in the target.
ApiResponse post_access_why(const ApiRequest& request, NodeControl& node) {
  const auto question = parse_why_question(request.body);
  if (!question) return error(400, question.error().message);
  ApiResponse response;
  response.body = node.access_why(*question);
  return response;
}

ApiResponse post_drain(const ApiRequest&, NodeControl& node) {
  node.drain();
  return reply(202, {{"schema", 1}, {"state", "draining"}});
}

ApiResponse post_reload(const ApiRequest&, NodeControl& node) {
  const ReloadOutcome outcome = node.reload();
  if (outcome.reloaded) {
    return reply(200, {{"schema", 1},
                       {"reloaded", true},
                       {"restart_required", json::value_from(outcome.restart_required)}});
  }
  if (!outcome.has_file) {
    return error(409, "this node was started without a file: start it with --config to reload");
  }
  json::array problems;
  for (const ConfigError& one : outcome.errors.errors) {
    problems.push_back(json::object{
        {"file", one.file}, {"line", one.line}, {"key", one.key}, {"reason", one.reason}});
  }
  json::object body{{"error", "the configuration is refused, the old one stays in force"}};
  body.emplace("problems", std::move(problems));
  body.emplace("problems_left_out", outcome.errors.left_out);
  return reply(422, body);
}

ApiResponse get_log_level(const ApiRequest&, NodeControl&) {
  return reply(200, {{"schema", 1}, {"level", log_level_text(log_level())}});
}

ApiResponse put_log_level(const ApiRequest& request, NodeControl&) {
  const auto member = only_member(request.body);
  if (!member || member->name != "level") {
    return error(400, "send {\"level\": \"debug\"}, or info, warn, error, off");
  }
  const auto level = parse_log_level(member->value);
  if (!level) return error(400, level.error().message);
  set_log_level(*level);
  return reply(200, {{"schema", 1}, {"level", log_level_text(*level)}});
}

struct Route {
  std::string_view method;
  std::string_view path;
  bool read_only;
  ApiResponse (*handle)(const ApiRequest&, NodeControl&);
};

constexpr std::array kRoutes = {
    Route{"GET", "/metrics", true, get_metrics},
    Route{"GET", "/v1/status", true, get_status},
    Route{"GET", "/v1/counters", false, get_counters},
    Route{"GET", "/v1/config", false, get_config},
    Route{"GET", "/v1/tls", false, get_tls},
    Route{"GET", "/v1/connections", false, get_connections},
    Route{"POST", "/v1/access/why", false, post_access_why},
    Route{"POST", "/v1/purge", false, post_purge},
    Route{"POST", "/v1/drain", false, post_drain},
    Route{"POST", "/v1/reload", false, post_reload},
    Route{"GET", "/v1/log-level", false, get_log_level},
    Route{"PUT", "/v1/log-level", false, put_log_level},
};

}  // namespace

ApiResponse answer(const ApiRequest& request, ApiSurface surface, NodeControl& node) {
  // Where a path takes no parameters, a scraper may still add some.
  const std::string_view path = request.target.substr(0, request.target.find('?'));
  // RFC 9110 9.3.2; who sends the response leaves its body out.
  const std::string_view method = request.method == "HEAD" ? "GET" : request.method;
  std::string allow;
  for (const Route& route : kRoutes) {
    if (route.path != path || (surface == ApiSurface::read_only && !route.read_only)) continue;
    if (route.method == method) return route.handle(request, node);
    allow += std::format("{}{}", allow.empty() ? "" : ", ",
                         route.method == "GET" ? "GET, HEAD" : route.method);
  }
  if (allow.empty()) {
    std::string known;
    for (const Route& route : kRoutes) {
      if (surface == ApiSurface::read_only && !route.read_only) continue;
      known += std::format("{}{} {}", known.empty() ? "" : ", ", route.method, route.path);
    }
    return error(404, "there is no such path: use " + known);
  }
  ApiResponse response = error(405, "this path takes " + allow);
  response.allow = allow;
  return response;
}

}  // namespace nearfield::control
