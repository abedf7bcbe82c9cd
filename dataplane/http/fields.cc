#include "dataplane/http/fields.h"

#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::http {
namespace {

void append_clean_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  out += ": ";
  out += value;
  out += "\r\n";
}

// Appends "Name: value\r\n" to `out`, cleaning the value on the way.
void append_line(std::string& out, std::string_view name, std::string_view value) {
  value = trim_ows(value);
  const std::size_t start = out.size() + name.size() + 2;
  append_clean_line(out, name, value);
  if (is_field_value(value)) return;
  for (std::size_t i = start; i < start + value.size(); ++i) {
    if (out[i] == '\r' || out[i] == '\n' || out[i] == '\0') out[i] = ' ';
  }
}

}  // namespace

void Fields::Iterator::read() {
  if (rest_.empty()) return;
  const std::size_t colon = rest_.find(':');
  const std::size_t newline = rest_.find('\n', colon);
  line_size_ = newline + 1;
  field_.name = rest_.substr(0, colon);
  // Between ": " and "\r\n"; cleaning may have left spaces at the ends where a CR or LF stood.
  field_.value = trim_ows(rest_.substr(colon + 2, newline - 1 - (colon + 2)));
}

void Fields::add(std::string_view name, std::string_view value) {
  NEARFIELD_ASSERT(is_token(name));
  append_line(text_, name, value);
  ++count_;
  filter_ |= filter_bit(name);
}

void Fields::set(std::string_view name, std::string_view value) {
  if (!maybe(name)) {
    add(name, value);
    return;
  }
  std::string line;
  append_line(line, name, value);
  bool placed = false;
  std::size_t position = 0;
  while (position < text_.size()) {
    const Iterator at(std::string_view(text_).substr(position));
    const std::size_t line_size = text_.find('\n', position) + 1 - position;
    if (!equals_ignoring_case(at->name, name)) {
      position += line_size;
    } else if (!placed) {
      text_.replace(position, line_size, line);
      position += line.size();
      placed = true;
    } else {
      text_.erase(position, line_size);
      --count_;
    }
  }
  if (!placed) {
    text_ += line;
    ++count_;
  }
}

std::size_t Fields::remove(std::string_view name) {
  if (!maybe(name)) return 0;
  return remove_if([name](const Field& field) { return equals_ignoring_case(field.name, name); });
}

bool Fields::add_received(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  append_clean_line(text_, name, trim_ows(value));
  ++count_;
  filter_ |= filter_bit(name);
  return true;
}

std::size_t Fields::find_line(std::string_view name, std::size_t from) const {
  // Only the lines' ends and a candidate's colon are looked at.
  const char* const begin = text_.data();
  const char* const end = begin + text_.size();
  const char* position = begin;
  if (from > 0) position += text_.find('\n', from) + 1;
  while (position < end) {
    const auto left = static_cast<std::size_t>(end - position);
    if (left > name.size() && position[name.size()] == ':' &&
        equals_ignoring_case({position, name.size()}, name)) {
      return static_cast<std::size_t>(position - begin);
    }
    position = static_cast<const char*>(std::memchr(position, '\n', left)) + 1;
  }
  return text_.size();
}

std::optional<std::string_view> Fields::find(std::string_view name) const {
  if (!maybe(name)) return std::nullopt;
  const std::size_t line = find_line(name, 0);
  if (line == text_.size()) return std::nullopt;
  return Iterator(std::string_view(text_).substr(line))->value;
}

std::size_t Fields::count(std::string_view name) const {
  std::size_t found = 0;
  each_value(name, [&found](std::string_view) { ++found; });
  return found;
}

std::optional<std::string> Fields::combined(std::string_view name) const {
  std::optional<std::string> joined;
  each_value(name, [&joined](std::string_view value) {
    if (joined) {
      *joined += ", ";
      *joined += value;
    } else {
      joined.emplace(value);
    }
  });
  return joined;
}

bool Fields::list_contains(std::string_view name, std::string_view token) const {
  bool found = false;
  each_value(name,
             [&](std::string_view value) { found = found || http::list_contains(value, token); });
  return found;
}

void Fields::clear() {
  text_.clear();
  count_ = 0;
  filter_ = 0;
}

}  // namespace nearfield::http
