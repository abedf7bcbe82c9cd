#include "dataplane/access/target.h"

#include <algorithm>

#include "dataplane/http/authority.h"
#include "dataplane/http/text.h"

namespace nearfield::access {
namespace {

constexpr std::size_t kMaximumFound = 8;

// The byte that an encoding at this place stands for, or -1 when it is broken.
int decoded_at(std::string_view text, std::size_t i) {
  if (i + 2 >= text.size()) return -1;
  const int high = http::hex_value(text[i + 1]);
  const int low = http::hex_value(text[i + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_unreserved(int c) {
  const char lower = http::to_lower(static_cast<char>(c));
  return c < 0x80 && ((lower >= 'a' && lower <= 'z') || http::is_digit(static_cast<char>(c)) ||
                      c == '-' || c == '.' || c == '_' || c == '~');
}

bool is_one_of(std::string_view name, std::span<const std::string> names) {
  return std::ranges::any_of(names, [name](const std::string& each) { return each == name; });
}

// --- names in any spelling ---

struct Character {
  char byte;
  std::size_t size;  // of its spelling
};

// What stands at `at`, decoded; encodings of encodings ("%25253B") as encoders make them: the '%'
// only, however often.
Character character_at(std::string_view text, std::size_t at) {
  if (text[at] != '%') return {text[at], 1};
  std::size_t last = at;
  while (text.substr(last + 1, 2) == "25" && last + 4 < text.size() &&
         http::hex_value(text[last + 3]) >= 0 && http::hex_value(text[last + 4]) >= 0) {
    last += 2;
  }
  const int high = last + 1 < text.size() ? http::hex_value(text[last + 1]) : -1;
  const int low = last + 2 < text.size() ? http::hex_value(text[last + 2]) : -1;
  if (high < 0 || low < 0) return {'%', 1};
  return {static_cast<char>(high * 16 + low), last + 3 - at};
}

std::size_t after_blanks(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const Character each = character_at(text, at);
    if (static_cast<unsigned char>(each.byte) > 0x20) break;
    at += each.size;
  }
  return at;
}

enum class Case { exact, any };

// Where the name that stands at `at` ends; npos when another one does.
std::size_t after_name(std::string_view text, std::size_t at, std::string_view name, Case which) {
  for (const char wanted : name) {
    if (at >= text.size()) return std::string_view::npos;
    const Character each = character_at(text, at);
    const bool is_same = which == Case::exact ? each.byte == wanted
                                              : http::to_lower(each.byte) == http::to_lower(wanted);
    if (!is_same) return std::string_view::npos;
    at += each.size;
  }
  return after_blanks(text, at);
}

bool bears_name(std::string_view parameter, std::span<const std::string> names, Case which) {
  const std::size_t begin = after_blanks(parameter, 0);
  return std::ranges::any_of(names, [parameter, begin, which](const std::string& name) {
    const std::size_t end = after_name(parameter, begin, name, which);
    return end != std::string_view::npos &&
           (end == parameter.size() || character_at(parameter, end).byte == '=');
  });
}

// --- parameters taken out ---

// Where the text goes; without it only whether any parameter would be taken out is asked.
struct Output {
  std::string* text;
  std::vector<FoundToken>* found;

  void keep(std::string_view piece) {
    if (text != nullptr) *text += piece;
  }
  // Only in the spelling of the rules it counts as a token.
  void note(std::string_view parameter, const TokenNames& names, bool in_path) {
    if (found == nullptr || found->size() >= kMaximumFound) return;
    const std::size_t equals = parameter.find('=');
    const std::string_view name = parameter.substr(0, equals);
    if (!is_one_of(name, names.attributes) && (in_path || !is_one_of(name, names.parameters))) {
      return;
    }
    found->push_back(
        {name, equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1),
         in_path});
  }
};

// A semicolon, encoded or not.
struct Delimiter {
  std::size_t begin = std::string_view::npos;
  std::size_t end = std::string_view::npos;
};

Delimiter next_delimiter(std::string_view segment, std::size_t from) {
  while (true) {
    const std::size_t at = segment.find_first_of(";%", from);
    if (at == std::string_view::npos) return {};
    const Character each = character_at(segment, at);
    if (each.byte == ';') return {at, at + each.size};
    from = at + each.size;
  }
}

// One segment with its parameters ("name;a=1;token=x").
bool strip_segment(std::string_view segment, const TokenNames& names, Output& out) {
  bool removed = false;
  Delimiter before = next_delimiter(segment, 0);
  out.keep(segment.substr(0, before.begin));
  while (before.begin != std::string_view::npos) {
    Delimiter after = next_delimiter(segment, before.end);
    if (bears_name(segment.substr(before.end, after.begin - before.end), names.attributes,
                   Case::any)) {
      // An encoded delimiter would be of the token.
      while (after.begin != std::string_view::npos && segment[after.begin] != ';') {
        after = next_delimiter(segment, after.end);
      }
      if (segment[before.begin] == ';') {
        out.note(segment.substr(before.end, after.begin - before.end), names, true);
      }
      removed = true;
    } else {
      out.keep(segment.substr(before.begin, after.begin - before.begin));
    }
    before = after;
  }
  return removed;
}

bool strip_path(std::string_view path, const TokenNames& names, Output& out) {
  if (!path.contains(';') && !path.contains('%')) {  // nearly every path, at memchr's speed
    out.keep(path);
    return false;
  }
  bool removed = false;
  while (true) {
    const std::size_t end = path.find('/');
    removed |= strip_segment(path.substr(0, end), names, out);
    if (end == std::string_view::npos) return removed;
    out.keep("/");
    path.remove_prefix(end + 1);
  }
}

bool strip_query(std::string_view query, const TokenNames& names, Output& out) {
  bool removed = false;
  bool first = true;
  while (true) {
    const std::size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    // "CAT" is the token's; "cat" may be any word, and name another object.
    if (bears_name(parameter, names.attributes, Case::any) ||
        bears_name(parameter, names.parameters, Case::exact)) {
      out.note(parameter, names, false);
      removed = true;
    } else {
      out.keep(first ? "?" : "&");
      out.keep(parameter);
      first = false;
    }
    if (end == std::string_view::npos) return removed;
    query.remove_prefix(end + 1);
  }
}

bool strip_target(std::string_view target, const TokenNames& names, Output out) {
  const std::size_t mark = target.find('?');
  bool removed = strip_path(target.substr(0, mark), names, out);
  if (mark != std::string_view::npos) {
    removed |= strip_query(target.substr(mark + 1), names, out);
  }
  return removed;
}

// --- what may be logged ---

bool is_word(char c) {
  const char lower = http::to_lower(c);
  return (lower >= 'a' && lower <= 'z') || http::is_digit(c) || c == '_' || c == '-';
}

// Whether "name=" stands at `at`, in any spelling.
bool assigns(std::string_view text, std::size_t at, std::span<const std::string> names) {
  return std::ranges::any_of(names, [text, at](const std::string& name) {
    const std::size_t end = after_name(text, at, name, Case::any);
    return end < text.size() && character_at(text, end).byte == '=';
  });
}

}  // namespace

bool strip_tokens(std::string_view target, const TokenNames& names, std::string& stripped,
                  std::vector<FoundToken>& found) {
  found.clear();
  if (names.attributes.empty() && names.parameters.empty()) return false;
  if (!strip_target(target, names, {nullptr, nullptr})) return false;
  std::string out;
  out.reserve(target.size());
  strip_target(target, names, {&out, &found});
  stripped = std::move(out);
  return true;
}

std::string_view without_names(std::string_view text, std::span<const std::string> names,
                               std::string& cleaned) {
  if (!text.contains('=') && !text.contains('%')) return text;
  cleaned.clear();
  const std::size_t mark = std::min(text.find('?'), text.size());
  std::size_t kept = 0;  // what stands before it is in `cleaned`, or is left out
  std::size_t before = 0;
  Character last{'/', 1};
  for (std::size_t at = 0; at < text.size();) {
    if (!is_word(last.byte) && assigns(text, at, names)) {
      const std::size_t end =
          std::min(text.find_first_of(at > mark ? "&" : "/;?", at), text.size());
      // The delimiter before it goes as well, or, after "?", the one behind it.
      const bool is_first = before == mark && mark < at;
      const bool takes_next = is_first && end < text.size();
      const bool takes_last = std::string_view(";&?").contains(last.byte) && !takes_next;
      const std::size_t begin = std::max(kept, takes_last ? before : at);
      cleaned += text.substr(kept, begin - kept);
      if (takes_last && before < kept) cleaned.pop_back();  // a "?" that others stood behind
      kept = at = end + (takes_next ? 1 : 0);
      if (takes_next) continue;  // `before` and `last` are still those of "?"
      if (at == text.size()) break;
    }
    last = character_at(text, at);
    before = at;
    at += last.size;
  }
  if (kept == 0) return text;
  cleaned += text.substr(kept);
  return cleaned;
}

void append_normal_path(std::string& out, std::string_view path) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t i = 0; i < path.size(); ++i) {
    const int decoded = path[i] == '%' ? decoded_at(path, i) : -1;
    if (decoded < 0) {
      out += path[i];
      continue;
    }
    if (is_unreserved(decoded)) {
      out += static_cast<char>(decoded);
    } else {
      out += '%';
      out += kHex[static_cast<std::size_t>(decoded) >> 4];
      out += kHex[static_cast<std::size_t>(decoded) & 15];
    }
    i += 2;
  }
}

bool is_ambiguous_path(std::string_view path) {
  if (!path.starts_with('/')) return true;
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i] == '\\') return true;
    if (path[i] != '%') continue;
    const int decoded = decoded_at(path, i);
    if (decoded < 0 || decoded == '/' || decoded == '\\' || decoded == 0) return true;
  }
  std::string normal;
  if (path.contains('%')) {
    append_normal_path(normal, path);
    path = normal;
  }
  if (path.contains("//")) return true;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    const std::string_view name = segment.substr(0, segment.find(';'));
    // "%3B" may be read as the start of a parameter too.
    const std::string_view bare = name.substr(0, name.find("%3B"));
    if (bare == "." || bare == "..") return true;
    path.remove_prefix(end);
    // Without its parameters it would be a doubled slash.
    if (bare.empty() && !segment.empty() && !path.empty()) return true;
  }
  return false;
}

std::string without_path_parameters(std::string_view path) {
  std::string bare;
  bare.reserve(path.size());
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/', 1), path.size());
    const std::string_view segment = path.substr(0, end);
    bare += segment.substr(0, std::min(segment.find(';'), segment.find("%3B")));
    path.remove_prefix(end);
  }
  return bare;
}

HostPort split_authority(std::string_view authority, http::Scheme scheme) {
  const std::string_view default_port = scheme == http::Scheme::kHttps ? "443" : "80";
  auto [host, port] = http::split_authority(authority);
  // The root's label changes nothing (RFC 1034 3.1), and origins are found without it.
  if (host.ends_with('.')) host.remove_suffix(1);
  if (port.empty()) port = default_port;
  return {.host = host, .port = port, .is_default_port = port == default_port};
}

std::string normal_uri(http::Scheme scheme, std::string_view authority, std::string_view target) {
  std::string uri;
  uri.reserve(16 + authority.size() + target.size());
  uri += http::scheme_text(scheme);
  uri += "://";
  const HostPort parts = split_authority(authority, scheme);
  http::append_lower(uri, parts.host);
  if (!parts.is_default_port) {
    uri += ':';
    uri += parts.port;
  }
  append_normal_path(uri, target);
  return uri;
}

}  // namespace nearfield::access
