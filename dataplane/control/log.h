// Log: what the operator reads on stderr, one line an event, with levels that can be changed while
// the node runs. Lines are made for people and journals; counters and the access log carry what
// machines read.
//
// Never blocks: a line that stderr does not take at once is lost, and how many were is said when it
// takes some again. Still not for the data path: a line is a system call. Thread-safe. What a peer
// or a file put into a message is made harmless here (control bytes become '?'), so that nobody
// writes a second line through us.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <format>
#include <string>
#include <string_view>
#include <utility>

#include "cache/base/clock.h"
#include "cache/base/error.h"

namespace nearfield::control {

enum class LogLevel : std::uint8_t { debug, info, warn, error, off };

std::string_view log_level_text(LogLevel level);
Result<LogLevel> parse_log_level(std::string_view text);

void set_log_level(LogLevel level);
LogLevel log_level();

void log_line(LogLevel level, std::string_view message);

template <typename... Arguments>
void log(LogLevel level, std::format_string<Arguments...> format, Arguments&&... arguments) {
  if (level < log_level()) return;
  log_line(level, std::format(format, std::forward<Arguments>(arguments)...));
}

// At most one line an interval of one kind of event; the rest is counted. Thread-safe.
class LogThrottle {
 public:
  explicit LogThrottle(Duration interval) : interval_(interval) {}

  struct Permit {
    bool allowed = false;
    std::uint64_t suppressed = 0;  // since the last allowed one
  };
  Permit ask(MonotonicTime now);

 private:
  Duration interval_;
  std::atomic<std::int64_t> next_ns_{0};
  std::atomic<std::uint64_t> suppressed_{0};
};

}  // namespace nearfield::control
