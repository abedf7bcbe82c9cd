// From toml++'s tree to ours. toml++ throws on bad input and bounds nesting by itself
// (TOML_MAX_NESTED_VALUES, 256), which bounds the recursion here.
#include "dataplane/control/config_tree.h"

#include <toml++/toml.hpp>

namespace nearfield::control {
namespace {

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
