// spdlog writes; this chooses form and level, and loses a line rather than wait. A pipe, terminal
// or socket that poll() calls writable takes PIPE_BUF bytes (4096) without blocking, so lines are
// cut to less, and a lock keeps two threads from using one answer of poll().
#include "dataplane/control/log.h"

#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <limits>
#include <mutex>

namespace nearfield::control {
namespace {

constexpr std::array<std::string_view, 5> kNames = {"debug", "info", "warn", "error", "off"};

std::atomic<LogLevel> current_level{LogLevel::info};

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto made = std::make_shared<spdlog::logger>("nearfield",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    // RFC 3339 in UTC, as logs of many nodes are read side by side.
    made->set_formatter(std::make_unique<spdlog::pattern_formatter>(
        "%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
    made->set_level(spdlog::level::trace);
    made->flush_on(spdlog::level::trace);
    made->set_error_handler([](const std::string&) {});  // stderr is gone: there is nobody to tell
    return made;
  }();
  return *instance;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
    case LogLevel::off:
      break;
  }
  return spdlog::level::err;
}

constexpr std::size_t kLongestMessage = 3800;

// When stderr is closed or broken the write fails at once, which is no reason to hold back.
bool would_block() {
  pollfd look{.fd = STDERR_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&look, 1, 0) == 0;
}

std::mutex writing;
std::uint64_t lost = 0;  // under `writing`

void write(LogLevel level, std::string_view line) {
  const std::lock_guard lock(writing);
  if (would_block()) {
    ++lost;
    return;
  }
  if (lost != 0) {
    logger().warn("{} lines of this log were lost: nobody read standard error", lost);
    lost = 0;
    if (would_block()) {
      ++lost;
      return;
    }
  }
  logger().log(spdlog_level(level), spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace

std::string_view log_level_text(LogLevel level) { return kNames[static_cast<std::size_t>(level)]; }

Result<LogLevel> parse_log_level(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == text) return static_cast<LogLevel>(i);
  }
  return failure(std::format("'{}' is not a log level: use debug, info, warn, error or off", text));
}

void set_log_level(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }
LogLevel log_level() { return current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view message) {
  if (level < log_level() || level == LogLevel::off) return;
  std::string line(message.substr(0, kLongestMessage));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  write(level, line);
}

LogThrottle::Permit LogThrottle::ask(MonotonicTime now) {
  const std::int64_t now_ns = now.time_since_epoch().count();
  std::int64_t next_ns = next_ns_.load(std::memory_order_relaxed);
  if (now_ns >= next_ns && next_ns_.compare_exchange_strong(next_ns, now_ns + interval_.count(),
                                                            std::memory_order_relaxed)) {
    return {.allowed = true, .suppressed = suppressed_.exchange(0, std::memory_order_relaxed)};
  }
  suppressed_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

}  // namespace nearfield::control
