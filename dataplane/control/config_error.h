// ConfigError: one thing wrong with a configuration, where it stands and what to do; ConfigErrors:
// all that were found at once, so that nobody mends a file one line a restart. Bounded: what
// exceeds kMaximumErrors is only counted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace nearfield::control {

struct ConfigError {
  std::string file;
  std::uint32_t line =
      0;  // 1 for the first; 0 when it is about no line (a missing file, a missing table)
  std::string
      key;  // "limits.header_timeout", "origin[1].servers[0].url"; empty when about the file
  std::string reason;  // what is wrong and what to write instead

  std::string text() const;  // "node.toml:12: limits.header_timeout: reason"
};

struct ConfigErrors {
  static constexpr std::size_t kMaximumErrors = 20;

  std::vector<ConfigError> errors;
  std::size_t left_out = 0;

  void add(ConfigError error);
  std::string text() const;  // a line each, without a final newline
};

// Takes what is wrong with the key of that path; where it stands in a file is the callee's
// knowledge.
using ComplainOfKey = std::function<void(std::string_view key, std::string reason)>;

}  // namespace nearfield::control
