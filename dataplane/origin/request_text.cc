// Fields are copied one by one, leaving out those that are this connection's own.
#include "dataplane/origin/request_text.h"

#include <algorithm>
#include <array>

#include "dataplane/http/text.h"

namespace nearfield::origin {
namespace {

// Of this connection or this client (RFC 9110 7.6.1, 7.2, 8.6, 10.1.1): a body is sent at once, so
// nobody is asked to expect it.
constexpr std::array<std::string_view, 11> kOwnFields = {
    "Host",       "Connection", "Content-Length", "Transfer-Encoding",
    "Keep-Alive", "TE",         "Trailer",        "Proxy-Connection",
    "Upgrade",    "Expect",     "HTTP2-Settings"};

bool is_own_field(std::string_view name) {
  return std::ranges::any_of(
      kOwnFields, [&](std::string_view own) { return http::equals_ignoring_case(own, name); });
}

}  // namespace

std::string mapped_path(const PathMapping& mapping, std::string_view path_and_query) {
  if (path_and_query == "*") return "*";
  std::string_view rest = path_and_query;
  if (!mapping.strip.empty() && rest.starts_with(mapping.strip)) {
    const std::string_view after = rest.substr(mapping.strip.size());
    if (after.empty() || after.front() == '/' || after.front() == '?') rest = after;
  }
  std::string result = mapping.add;
  if (rest.empty() || rest.front() != '/') result += '/';
  result += rest;
  return result;
}

std::string mapped_host(const OriginGroup& group, const OriginServer& server,
                        std::string_view authority) {
  if (!group.host_header.empty()) return group.host_header;
  if (!authority.empty()) return std::string(authority);
  std::string name = server.name();
  const std::uint16_t usual_port = server.scheme == Scheme::https ? 443 : 80;
  if (server.port == usual_port) name.resize(name.rfind(':'));
  return name;
}

std::string_view request_fault(const OriginRequest& request) {
  if (!http::is_token(request.method)) return "the method is not a token";
  if (request.method == "CONNECT") return "CONNECT is not passed on";
  const auto visible = [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; };
  if (request.path_and_query != "*" && !request.path_and_query.starts_with('/')) {
    return "the path does not begin with '/'";
  }
  if (!std::ranges::all_of(request.path_and_query, visible)) {
    return "the path has a space or control character";
  }
  if (!std::ranges::all_of(request.authority, visible)) {
    return "the host has a space or control character";
  }
  return {};
}

std::string request_head_text(const OriginRequest& request, const OriginGroup& group,
                              const OriginServer& server) {
  std::string text;
  text.reserve(256 + request.path_and_query.size() + request.fields.text().size());
  text += request.method;
  text += ' ';
  text += mapped_path(group.path, request.path_and_query);
  text += " HTTP/1.1\r\nHost: ";
  text += mapped_host(group, server, request.authority);
  text += "\r\n";
  for (const http::Field& field : request.fields) {
    if (is_own_field(field.name)) continue;
    text += field.name;
    text += ": ";
    text += field.value;
    text += "\r\n";
  }
  const bool body_has_meaning =
      request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
  if (!request.body.empty() || body_has_meaning) {
    text += "Content-Length: ";
    http::append_number(text, request.body.size());
    text += "\r\n";
  }
  text += "\r\n";
  return text;
}

}  // namespace nearfield::origin
