// ConfigNode: a TOML file as plain values that remember their lines. The only file that knows the
// TOML library is config_tree.cc; everything that reads a configuration works on this.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/config_error.h"

namespace nearfield::control {

struct ConfigNode {
  enum class Kind : std::uint8_t { table, array, text, integer, real, boolean, time };

  Kind kind = Kind::table;
  std::uint32_t line = 0;
  std::string key;   // its name in the table that holds it; empty in arrays and at the top
  std::string text;  // Kind::text
  std::int64_t integer = 0;
  bool boolean = false;
  std::vector<ConfigNode> items;  // of an array in order; of a table in no particular one

  const ConfigNode* find(std::string_view name) const;  // in a table
};

// "a table", "a number", ... for messages.
std::string_view kind_text(ConfigNode::Kind kind);

// A TOML 1.0 document; `file` is only for the message. Nesting and the size of `text` are bounded
// by the parser and the caller.
std::expected<ConfigNode, ConfigError> parse_config_tree(std::string_view text,
                                                         std::string_view file);

}  // namespace nearfield::control
