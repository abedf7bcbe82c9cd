#include "dataplane/http/forward.h"

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "dataplane/http/conditional.h"
#include "dataplane/http/date.h"

namespace nearfield::http {
namespace {

constexpr std::array<std::string_view, 10> kHopByHop = {"Connection",
                                                        "Keep-Alive",
                                                        "Proxy-Connection",
                                                        "Proxy-Authenticate",
                                                        "Proxy-Authorization",
                                                        "Proxy-Authentication-Info",
                                                        "TE",
                                                        "Transfer-Encoding",
                                                        "Upgrade",
                                                        "HTTP2-Settings"};

// What a message is nothing without; a Connection that lists these is an attack or a mistake.
constexpr std::array<std::string_view, 14> kEndToEnd = {
    "Host", "Cache-Control", "CDN-Cache-Control", "Age",    "Date",       "Expires", "ETag",
    "Vary", "Last-Modified", "Authorization",     "Cookie", "Set-Cookie", "Range",   "Pragma"};

template <std::size_t kCount>
bool is_one_of(const std::array<std::string_view, kCount>& names, std::string_view name) {
  return std::ranges::any_of(
      names, [name](std::string_view known) { return equals_ignoring_case(known, name); });
}

bool is_protected(std::string_view name) {
  constexpr std::string_view kContent = "content-";
  return is_one_of(kEndToEnd, name) ||
         (name.size() >= kContent.size() &&
          equals_ignoring_case(name.substr(0, kContent.size()), kContent));
}

// True when `names`, "a,b" in lower case, has `name`.
bool names_contain(std::string_view names, std::string_view name) {
  return !names.empty() && list_contains(names, name);
}

}  // namespace

void remove_hop_by_hop(Fields& fields, bool keep_trailer) {
  // (fields x listed names) comparisons: without a bound a head full of names costs milliseconds.
  constexpr std::size_t kMaxListed = 256;
  const std::string connection = fields.combined("Connection").value_or(std::string());
  std::vector<std::string_view> listed;
  ListReader list(connection);
  while (const auto name = list.next()) {
    if (listed.size() == kMaxListed) break;
    if (!is_protected(*name)) listed.push_back(*name);
  }
  fields.remove_if([&](const Field& field) {
    if (is_one_of(kHopByHop, field.name)) return true;
    if (equals_ignoring_case(field.name, "Trailer")) return !keep_trailer;
    return std::ranges::any_of(
        listed, [&field](std::string_view name) { return equals_ignoring_case(name, field.name); });
  });
}

void prepare_for_storage(Fields& response, const CacheDirectives& directives,
                         const CachePolicy& policy) {
  remove_hop_by_hop(response);
  const bool strip_cookies = policy.set_cookie == SetCookie::kStrip;
  if (directives.no_cache_fields.empty() && directives.private_fields.empty() && !strip_cookies)
    return;
  response.remove_if([&](const Field& field) {
    return names_contain(directives.no_cache_fields, field.name) ||
           names_contain(directives.private_fields, field.name) ||
           (strip_cookies && equals_ignoring_case(field.name, "Set-Cookie"));
  });
}

void ensure_date(Fields& response, WallTime received) {
  if (response.count("Date") == 1 && parse_http_date(*response.find("Date"), received)) return;
  response.set("Date", format_http_date(received));
}

void append_via(Fields& fields, std::uint8_t received_minor, std::string_view pseudonym) {
  std::string member = received_minor == 0 ? "1.0 " : "1.1 ";
  member += pseudonym;
  fields.add("Via", member);
}

void append_via(Fields& fields, const RequestHead& received, std::string_view pseudonym) {
  if (received.version_major < 2) {
    append_via(fields, received.version_minor, pseudonym);
    return;
  }
  std::string member = "2 ";
  member += pseudonym;
  fields.add("Via", member);
}

bool via_contains(const Fields& request, std::string_view pseudonym) {
  bool found = false;
  request.each_value("Via", [&](std::string_view value) {
    ListReader list(value);
    while (const auto member = list.next()) {
      // received-protocol RWS received-by [ RWS comment ]
      const std::size_t gap = member->find_first_of(" \t");
      if (gap == std::string_view::npos) continue;
      const std::string_view rest = trim_ows(member->substr(gap));
      found = found || equals_ignoring_case(rest.substr(0, rest.find_first_of(" \t")), pseudonym);
    }
  });
  return found;
}

MaxForwards update_max_forwards(RequestHead& request) {
  if (request.method != Method::kOptions && request.method != Method::kTrace) {
    return MaxForwards::kForward;
  }
  const auto value = request.fields.find("Max-Forwards");
  if (!value) return MaxForwards::kForward;
  const auto left = parse_decimal(*value);
  if (!left) return MaxForwards::kForward;
  if (*left == 0) return MaxForwards::kAnswerHere;
  std::string text;
  append_number(text, *left - 1);
  request.fields.set("Max-Forwards", text);
  return MaxForwards::kForward;
}

void remove_conditions(Fields& request) {
  for (std::string_view name : {"If-None-Match", "If-Modified-Since", "If-Match",
                                "If-Unmodified-Since", "If-Range", "Range"}) {
    request.remove(name);
  }
}

bool add_validators(Fields& request, const Fields& stored) {
  // As received, well-formed or not: the origin knows its own.
  const auto tag = stored.find("ETag");
  const auto modified = stored.find("Last-Modified");
  if (tag && !tag->empty()) request.set("If-None-Match", *tag);
  if (modified && !modified->empty()) request.set("If-Modified-Since", *modified);
  return (tag && !tag->empty()) || (modified && !modified->empty());
}

bool add_range(Fields& request, std::uint64_t first, std::optional<std::uint64_t> last,
               const Fields& stored, WallTime response_time) {
  std::string range = "bytes=";
  append_number(range, first);
  range += '-';
  if (last) append_number(range, *last);
  request.set("Range", range);
  const Validators validators = Validators::of(stored, response_time);
  if (validators.tag && !validators.tag->weak) {
    request.set("If-Range", validators.tag_text);
    return true;
  }
  if (!validators.tag && validators.last_modified_is_strong()) {
    request.set("If-Range", *stored.find("Last-Modified"));
    return true;
  }
  request.remove("If-Range");
  return false;
}

}  // namespace nearfield::http
