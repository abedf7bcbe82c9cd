// How a configuration's errors read: the form compilers use, which editors jump to.
#include "dataplane/control/config_error.h"

#include <format>
#include <utility>

namespace nearfield::control {

std::string ConfigError::text() const {
  std::string result = file;
  if (line != 0) result += std::format(":{}", line);
  if (!result.empty()) result += ": ";
  if (!key.empty()) result += key + ": ";
  return result + reason;
}

void ConfigErrors::add(ConfigError error) {
  if (errors.size() < kMaximumErrors) {
    errors.push_back(std::move(error));
  } else {
    ++left_out;
  }
}

std::string ConfigErrors::text() const {
  std::string result;
  for (const ConfigError& error : errors) {
    if (!result.empty()) result += '\n';
    result += error.text();
  }
  if (left_out != 0) result += std::format("\nand {} more", left_out);
  return result;
}

}  // namespace nearfield::control
