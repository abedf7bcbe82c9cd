#include "dataplane/http/cache_control.h"

#include <algorithm>

#include "dataplane/http/structured_dictionary.h"

namespace nearfield::http {
namespace {

using std::chrono::seconds;

// More names in no-cache="..." or private="..." mean the whole response.
constexpr std::size_t kMaxFieldNames = 32;

// What may stand after the '=' of a directive.
struct Argument {
  bool present = false;
  // The member as a number, nullopt when it is none; saturated at kMaxSeconds.
  std::optional<seconds> number;
  // As text, quotes removed; for field lists.
  std::string text;
  // Blanks around the '=' make a directive invalid, but it is still clear which one was meant.
  bool valid = true;
};

std::optional<seconds> parse_seconds(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  std::int64_t number = 0;
  for (char c : digits) {
    if (!is_digit(c)) return std::nullopt;
    if (number < kMaxSeconds.count()) number = number * 10 + (c - '0');
  }
  return std::min(seconds(number), kMaxSeconds);
}

// The content of a quoted-string, or nullopt when it is not exactly one.
std::optional<std::string> unquote(std::string_view text) {
  if (text.size() < 2 || text.front() != '"') return std::nullopt;
  std::string content;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      if (i + 1 != text.size()) return std::nullopt;
      return content;
    }
    if (text[i] == '\\' && ++i == text.size()) return std::nullopt;
    content += text[i];
  }
  return std::nullopt;
}

// "a, B" -> "a,b" after what is there already; members that are no tokens are left out. False when
// that gives too many.
bool append_field_names(std::string& out, std::string_view list) {
  ListReader reader(list);
  while (const auto name = reader.next()) {
    if (!is_token(*name)) continue;
    if (!out.empty()) out += ',';
    append_lower(out, *name);
  }
  return static_cast<std::size_t>(std::ranges::count(out, ',')) < kMaxFieldNames;
}

// A freshness lifetime that does not parse makes the response stale (RFC 9111 4.2.1); the first one
// counts.
void take_lifetime(std::optional<seconds>& out, const Argument& argument) {
  if (out) return;
  out = argument.valid && argument.number ? *argument.number : seconds(0);
}
// A permission that does not parse is no permission.
void take_allowance(std::optional<seconds>& out, const Argument& argument) {
  if (!out && argument.valid) out = argument.number;
}
// A restriction counts wherever it stands and whatever its argument; with field names it is limited
// to them.
void take_restriction(bool& whole, std::string& fields, const Argument& argument) {
  const std::size_t before = fields.size();
  if (argument.present && !append_field_names(fields, argument.text)) {
    fields.clear();
    whole = true;
  } else if (fields.size() == before) {
    whole = true;
  }
}

void take_directive(std::string_view name, const Argument& argument, CacheDirectives& out) {
  const auto is = [name](std::string_view known) { return equals_ignoring_case(name, known); };
  if (is("max-age")) {
    take_lifetime(out.max_age, argument);
  } else if (is("s-maxage")) {
    take_lifetime(out.s_maxage, argument);
  } else if (is("no-cache")) {
    take_restriction(out.no_cache, out.no_cache_fields, argument);
  } else if (is("private")) {
    take_restriction(out.is_private, out.private_fields, argument);
  } else if (is("no-store")) {
    out.no_store = true;
  } else if (is("public")) {
    out.is_public = true;
  } else if (is("must-revalidate")) {
    out.must_revalidate = true;
  } else if (is("proxy-revalidate")) {
    out.proxy_revalidate = true;
  } else if (is("must-understand")) {
    out.must_understand = true;
  } else if (is("no-transform")) {
    out.no_transform = true;
  } else if (is("immutable")) {
    out.immutable = true;
  } else if (is("only-if-cached")) {
    out.only_if_cached = true;
  } else if (is("stale-while-revalidate")) {
    take_allowance(out.stale_while_revalidate, argument);
  } else if (is("stale-if-error")) {
    take_allowance(out.stale_if_error, argument);
  } else if (is("min-fresh")) {
    take_allowance(out.min_fresh, argument);
  } else if (is("max-stale")) {
    if (!argument.present && argument.valid) out.max_stale_any = true;
    take_allowance(out.max_stale, argument);
  }
}

Argument text_argument(std::string_view element, std::size_t equals) {
  Argument argument;
  argument.present = true;
  const std::string_view raw = element.substr(equals + 1);
  argument.valid =
      !(equals > 0 && is_ows(element[equals - 1])) && !(!raw.empty() && is_ows(raw.front()));
  if (auto content = unquote(trim_ows(raw))) {
    argument.text = *std::move(content);
  } else {
    argument.text = trim_ows(raw);
  }
  argument.number = parse_seconds(argument.text);
  return argument;
}

}  // namespace

void parse_cache_control(std::string_view value, CacheDirectives& out) {
  ListReader list(value);
  while (const auto element = list.next()) {
    const std::size_t equals = element->find('=');
    const std::string_view name = trim_ows(element->substr(0, equals));
    if (!is_token(name)) continue;
    out.present = true;
    take_directive(
        name, equals == std::string_view::npos ? Argument{} : text_argument(*element, equals), out);
  }
}

bool parse_targeted_cache_control(std::string_view value, CacheDirectives& out) {
  const auto dictionary = parse_dictionary(value);
  if (!dictionary || dictionary->empty()) return false;
  out.present = out.targeted = true;
  for (const DictionaryMember& member : *dictionary) {
    using Type = DictionaryMember::Type;
    if (member.type == Type::kBoolean && !member.boolean) continue;
    Argument argument;
    argument.present = member.type != Type::kBoolean;
    if (member.type == Type::kInteger && member.integer >= 0) {
      argument.number = std::min(seconds(member.integer), kMaxSeconds);
    }
    if (member.type == Type::kString || member.type == Type::kToken) argument.text = member.text;
    take_directive(member.key, argument, out);
  }
  return true;
}

CacheDirectives parse_response_directives(const Fields& response) {
  CacheDirectives directives;
  if (const auto targeted = response.combined("CDN-Cache-Control")) {
    if (parse_targeted_cache_control(*targeted, directives)) return directives;
  }
  response.each_value("Cache-Control",
                      [&](std::string_view value) { parse_cache_control(value, directives); });
  return directives;
}

CacheDirectives parse_request_directives(const Fields& request) {
  CacheDirectives directives;
  bool has_cache_control = false;
  request.each_value("Cache-Control", [&](std::string_view value) {
    has_cache_control = true;
    parse_cache_control(value, directives);
  });
  if (!has_cache_control && request.list_contains("Pragma", "no-cache")) {
    directives.present = directives.no_cache = true;
  }
  return directives;
}

}  // namespace nearfield::http
