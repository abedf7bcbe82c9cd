#include "dataplane/http/cors.h"

#include <algorithm>

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

bool allows_everyone(const CorsConfig& config) {
  return std::ranges::find(config.allowed_origins, "*") != config.allowed_origins.end();
}

// What Access-Control-Allow-Origin says to this request; "" for an origin that is not allowed.
std::string_view allowed_origin(const RequestHead& request, const CorsConfig& config) {
  if (allows_everyone(config)) return "*";
  const auto origin = request.fields.find("Origin");
  if (!origin || request.fields.count("Origin") != 1) return "";
  const auto known = std::ranges::find(config.allowed_origins, *origin);
  return known == config.allowed_origins.end() ? std::string_view() : std::string_view(*known);
}

void add_names(std::string& list, std::span<const std::string> names) {
  for (const std::string& name : names) {
    if (list_contains(list, name)) continue;
    list += list.empty() ? "" : ", ";
    list += name;
  }
}

}  // namespace

void allow_and_expose(CorsConfig& config, std::span<const std::string> names) {
  add_names(config.allowed_fields, names);
  add_names(config.exposed_fields, names);
}

bool is_preflight(const RequestHead& request) {
  return request.method == Method::kOptions && request.fields.contains("Origin") &&
         request.fields.contains("Access-Control-Request-Method");
}

void append_preflight_fields(Fields& response, const RequestHead& request,
                             const CorsConfig& config) {
  if (!config.enabled) return;
  const std::string_view origin = allowed_origin(request, config);
  // Also where nothing is allowed: the answer would differ for another origin.
  if (!allows_everyone(config)) response.add("Vary", "Origin");
  if (origin.empty()) return;
  response.add("Access-Control-Allow-Origin", origin);
  response.add("Access-Control-Allow-Methods", config.allowed_methods);
  response.add("Access-Control-Allow-Headers", config.allowed_fields);
  if (config.allow_credentials && origin != "*") {
    response.add("Access-Control-Allow-Credentials", "true");
  }
  std::string seconds;
  append_number(seconds,
                static_cast<std::uint64_t>(std::max<std::int64_t>(config.max_age.count(), 0)));
  response.add("Access-Control-Max-Age", seconds);
}

Fields cors_fields(const Fields* present, const RequestHead& request, const CorsConfig& config) {
  Fields added;
  if (!config.enabled) return added;
  const auto add_if_absent = [&](std::string_view name, std::string_view value) {
    const bool is_there = present != nullptr && present->contains(name);
    if (!value.empty() && !is_there) added.add(name, value);
  };
  add_if_absent("Timing-Allow-Origin", config.timing_allow_origin);
  // An origin that speaks CORS itself is not half-overruled.
  if (present != nullptr && present->contains("Access-Control-Allow-Origin")) return added;
  const std::string_view origin = allowed_origin(request, config);
  const bool varies = present != nullptr && (present->list_contains("Vary", "Origin") ||
                                             present->list_contains("Vary", "*"));
  if (!allows_everyone(config) && !varies) added.add("Vary", "Origin");
  if (origin.empty()) return added;
  added.add("Access-Control-Allow-Origin", origin);
  add_if_absent("Access-Control-Expose-Headers", config.exposed_fields);
  if (config.allow_credentials && origin != "*") {
    add_if_absent("Access-Control-Allow-Credentials", "true");
  }
  return added;
}

}  // namespace nearfield::http
