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

bool may_contain(std::string_view target, std::span<const std::string> names) {
  return std::ranges::any_of(names, [target](const std::string& name) {
    return target.find(name) != std::string_view::npos;
  });
}

void note(std::vector<FoundToken>& found, std::string_view parameter, std::size_t equals,
          bool in_path) {
  if (found.size() >= kMaximumFound) return;
  found.push_back(
      {parameter.substr(0, equals),
       equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1),
       in_path});
}

// One segment with its parameters ("name;a=1;token=x").
bool strip_segment(std::string_view segment, const TokenNames& names, std::string& out,
                   std::vector<FoundToken>& found) {
  bool removed = false;
  std::size_t end = segment.find(';');
  out += segment.substr(0, end);
  while (end != std::string_view::npos) {
    segment.remove_prefix(end + 1);
    end = segment.find(';');
    const std::string_view parameter = segment.substr(0, end);
    const std::size_t equals = parameter.find('=');
    if (is_one_of(parameter.substr(0, equals), names.attributes)) {
      note(found, parameter, equals, true);
      removed = true;
    } else {
      out += ';';
      out += parameter;
    }
  }
  return removed;
}

bool strip_path(std::string_view path, const TokenNames& names, std::string& out,
                std::vector<FoundToken>& found) {
  bool removed = false;
  while (true) {
    const std::size_t end = path.find('/');
    removed |= strip_segment(path.substr(0, end), names, out, found);
    if (end == std::string_view::npos) return removed;
    out += '/';
    path.remove_prefix(end + 1);
  }
}

bool strip_query(std::string_view query, const TokenNames& names, std::string& out,
                 std::vector<FoundToken>& found) {
  bool removed = false;
  bool first = true;
  while (true) {
    const std::size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    const std::size_t equals = parameter.find('=');
    const std::string_view name = parameter.substr(0, equals);
    if (is_one_of(name, names.attributes) || is_one_of(name, names.parameters)) {
      note(found, parameter, equals, false);
      removed = true;
    } else {
      out += first ? '?' : '&';
      out += parameter;
      first = false;
    }
    if (end == std::string_view::npos) return removed;
    query.remove_prefix(end + 1);
  }
}

}  // namespace

bool strip_tokens(std::string_view target, const TokenNames& names, std::string& stripped,
                  std::vector<FoundToken>& found) {
  found.clear();
  if (!may_contain(target, names.attributes) && !may_contain(target, names.parameters))
    return false;
  std::string out;
  out.reserve(target.size());
  const std::size_t mark = target.find('?');
  bool removed = strip_path(target.substr(0, mark), names, out, found);
  if (mark != std::string_view::npos) {
    removed |= strip_query(target.substr(mark + 1), names, out, found);
  }
  if (!removed) return false;
  stripped = std::move(out);
  return true;
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
