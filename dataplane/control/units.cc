// Parsing by from_chars: no locale, no sign, no overflow that goes unnoticed.
#include "dataplane/control/units.h"

#include <array>
#include <charconv>
#include <format>
#include <limits>
#include <optional>

namespace nearfield::control {
namespace {

struct Split {
  std::uint64_t number;
  std::string_view unit;
};

std::optional<Split> split_number(std::string_view text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc()) return std::nullopt;
  return Split{number, text.substr(static_cast<std::size_t>(rest - text.data()))};
}

std::optional<int> size_shift(std::string_view unit) {
  if (unit.empty() || unit == "B") return 0;
  constexpr std::string_view kLetters = "KMGT";
  const std::size_t place = kLetters.find(unit.front());
  if (place == std::string_view::npos) return std::nullopt;
  const std::string_view tail = unit.substr(1);
  if (!tail.empty() && tail != "B" && tail != "iB") return std::nullopt;
  return static_cast<int>(10 * (place + 1));
}

struct TimeUnit {
  std::string_view name;
  std::int64_t nanoseconds;
};

// Largest first: format_duration() takes the first that divides.
constexpr std::array kTimeUnits = {
    TimeUnit{"d", 86'400'000'000'000},
    TimeUnit{"h", 3'600'000'000'000},
    TimeUnit{"m", 60'000'000'000},
    TimeUnit{"s", 1'000'000'000},
    TimeUnit{"ms", 1'000'000},
    TimeUnit{"us", 1'000},
    TimeUnit{"ns", 1},
};
constexpr std::int64_t kLongestDuration = 3650 * kTimeUnits.front().nanoseconds;

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  const auto split = split_number(text);
  const auto shift = split ? size_shift(split->unit) : std::nullopt;
  if (!shift) {
    return failure(std::format("'{}' is not a size: write bytes, or 64K, 512M, 8G, 2T", text));
  }
  if (split->number > (std::numeric_limits<std::uint64_t>::max() >> *shift)) {
    return failure(std::format("'{}' is larger than any memory: use less", text));
  }
  return split->number << *shift;
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::string_view kLetters = "KMGT";
  std::size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit < kLetters.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? std::to_string(bytes) : std::format("{}{}", bytes, kLetters[unit - 1]);
}

Result<Duration> parse_duration(std::string_view text) {
  const auto split = split_number(text);
  if (split) {
    for (const TimeUnit& unit : kTimeUnits) {
      if (split->unit != unit.name) continue;
      if (split->number > static_cast<std::uint64_t>(kLongestDuration / unit.nanoseconds)) {
        return failure(std::format("'{}' is longer than 3650d: use less", text));
      }
      return Duration(static_cast<std::int64_t>(split->number) * unit.nanoseconds);
    }
  }
  return failure(std::format("'{}' is not a duration: write a number and ms, s, m, h or d", text));
}

std::string format_duration(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  for (const TimeUnit& unit : kTimeUnits) {
    if (duration.count() % unit.nanoseconds == 0) {
      return std::format("{}{}", duration.count() / unit.nanoseconds, unit.name);
    }
  }
  return std::format("{}ns", duration.count());
}

Result<std::uint32_t> parse_percent(std::string_view text) {
  const auto split = split_number(text);
  if (!split || split->unit != "%" || split->number > 100) {
    return failure(std::format("'{}' is not a share: write 0% to 100%", text));
  }
  return static_cast<std::uint32_t>(split->number);
}

}  // namespace nearfield::control
