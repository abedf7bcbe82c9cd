#include "dataplane/http/cache_status.h"

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

std::string_view forwarded_token(Forwarded forwarded) {
  switch (forwarded) {
    case Forwarded::kNo:
      return "";
    case Forwarded::kBypass:
      return "bypass";
    case Forwarded::kMethod:
      return "method";
    case Forwarded::kUriMiss:
      return "uri-miss";
    case Forwarded::kVaryMiss:
      return "vary-miss";
    case Forwarded::kMiss:
      return "miss";
    case Forwarded::kRequest:
      return "request";
    case Forwarded::kStale:
      return "stale";
    case Forwarded::kPartial:
      return "partial";
  }
  return "miss";
}

// A Structured Fields token, else a string (RFC 9651 3.3.3-4).
void append_detail(std::string& out, std::string_view detail) {
  const char first = to_lower(detail.front());
  if (is_token(detail) && ((first >= 'a' && first <= 'z') || first == '*')) {
    out += detail;
    return;
  }
  out += '"';
  for (char c : detail) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) continue;
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

void append_cache_status(std::string& out, std::string_view name, const CacheStatus& status) {
  out += name;
  if (status.forwarded == Forwarded::kNo) {
    if (!status.made_here) out += "; hit";
  } else {
    out += "; fwd=";
    out += forwarded_token(status.forwarded);
    if (status.forward_status) {
      out += "; fwd-status=";
      append_number(out, *status.forward_status);
    }
    if (status.stored) out += "; stored";
    if (status.collapsed) out += "; collapsed";
  }
  if (status.ttl) {
    out += "; ttl=";
    const std::int64_t ttl = status.ttl->count();
    if (ttl < 0) out += '-';
    append_number(out, static_cast<std::uint64_t>(ttl < 0 ? -ttl : ttl));
  }
  if (!status.detail.empty()) {
    out += "; detail=";
    append_detail(out, status.detail);
  }
}

void add_cache_status(Fields& response, std::string_view name, const CacheStatus& status) {
  // A new field line after the others continues the list (RFC 9110 5.3).
  std::string member;
  append_cache_status(member, name, status);
  response.add("Cache-Status", member);
}

}  // namespace nearfield::http
