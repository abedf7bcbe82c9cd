// From toml++'s tree to ours. toml++ throws on bad input. It recurses over the tree, as we do, and
// bounds the nesting of values but not the parts of a dotted key, each of which is a level too: a
// key of 200,000 parts is a stack overflow in its destructors. So those are counted before it sees
// them, and both bounds are small: a configuration of ours is five levels deep.
#include "dataplane/control/config_tree.h"

#include <algorithm>
#include <format>
#include <optional>

#define TOML_MAX_NESTED_VALUES 16
#include <toml++/toml.hpp>

namespace nearfield::control {
namespace {

constexpr std::size_t kMaximumKeyParts = 16;

// Behind the string that begins at `at`. In what is not TOML the end may be a wrong one, but only
// behind the place where the parser gives up.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  const char quote = text[at];
  const bool many_lines = text.substr(at, 3) == std::string(3, quote);
  const std::string closing(many_lines ? 3 : 1, quote);
  for (std::size_t i = at + closing.size(); i < text.size(); ++i) {
    if (text[i] == '\\' && quote == '"') {
      ++i;
    } else if (text[i] == '\n' && !many_lines) {
      return i;
    } else if (text.substr(i, closing.size()) == closing) {
      return i + closing.size();
    }
  }
  return text.size();
}

// The line of the first key that has too many parts.
std::optional<std::uint32_t> line_of_deep_key(std::string_view text) {
  std::size_t parts = 1;
  for (std::size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '"' || c == '\'') {
      i = end_of_string(text, i);
      continue;
    }
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '.' && ++parts > kMaximumKeyParts) {
      const std::string_view before = text.substr(0, i);
      return static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n'));
    }
    if (std::string_view("=,[]{}\n").contains(c)) parts = 1;
    ++i;
  }
  return std::nullopt;
}

ConfigNode convert(const toml::node& node) {
  ConfigNode result;
  result.line = node.source().begin.line;
  switch (node.type()) {
    case toml::node_type::table:
      result.kind = ConfigNode::Kind::table;
      for (const auto& [key, value] : *node.as_table()) {
        ConfigNode member = convert(value);
        member.key = key.str();
        // A key's own line is where the reader looks; a [table] begins at its header.
        if (key.source().begin.line != 0) member.line = key.source().begin.line;
        result.items.push_back(std::move(member));
      }
      break;
    case toml::node_type::array:
      result.kind = ConfigNode::Kind::array;
      for (const toml::node& item : *node.as_array()) result.items.push_back(convert(item));
      break;
    case toml::node_type::string:
      result.kind = ConfigNode::Kind::text;
      result.text = node.as_string()->get();
      break;
    case toml::node_type::integer:
      result.kind = ConfigNode::Kind::integer;
      result.integer = node.as_integer()->get();
      break;
    case toml::node_type::floating_point:
      result.kind = ConfigNode::Kind::real;
      break;
    case toml::node_type::boolean:
      result.kind = ConfigNode::Kind::boolean;
      result.boolean = node.as_boolean()->get();
      break;
    default:
      result.kind = ConfigNode::Kind::time;
      break;
  }
  return result;
}

}  // namespace

const ConfigNode* ConfigNode::find(std::string_view name) const {
  for (const ConfigNode& item : items) {
    if (item.key == name) return &item;
  }
  return nullptr;
}

std::string_view kind_text(ConfigNode::Kind kind) {
  switch (kind) {
    case ConfigNode::Kind::table:
      return "a table";
    case ConfigNode::Kind::array:
      return "a list";
    case ConfigNode::Kind::text:
      return "a text";
    case ConfigNode::Kind::integer:
      return "a whole number";
    case ConfigNode::Kind::real:
      return "a fraction";
    case ConfigNode::Kind::boolean:
      return "true or false";
    case ConfigNode::Kind::time:
      return "a date or time";
  }
  return "something else";
}

std::expected<ConfigNode, ConfigError> parse_config_tree(std::string_view text,
                                                         std::string_view file) {
  if (const auto line = line_of_deep_key(text)) {
    return std::unexpected(ConfigError{
        .file = std::string(file),
        .line = *line,
        .key = "",
        .reason = std::format("has a key of more than {} parts: no key of a node is that deep",
                              kMaximumKeyParts)});
  }
  try {
    return convert(toml::parse(text));
  } catch (const toml::parse_error& error) {
    return std::unexpected(ConfigError{.file = std::string(file),
                                       .line = error.source().begin.line,
                                       .key = "",
                                       .reason = "not TOML: " + std::string(error.description())});
  }
}

}  // namespace nearfield::control
