// Units: sizes, durations and shares as people write them in a configuration ("512M", "250ms",
// "10%").
//
// Sizes are powers of 1024 whether written K, KB or KiB: memory is bought that way, and a node that
// takes 1 GB for something else than 1G has surprised someone. A duration must name its unit; a
// bare number has been read as seconds, milliseconds and minutes by different programs. Pure
// functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/clock.h"
#include "cache/base/error.h"

namespace nearfield::control {

// "65536", "64K", "512M", "1G", "2T", with "B" or "iB" after the letter if one likes; whole numbers
// only.
Result<std::uint64_t> parse_size(std::string_view text);
// The shortest exact form parse_size() reads back: 1073741824 is "1G", 1000 is "1000".
std::string format_size(std::uint64_t bytes);

// "10s", "250ms", "50us", "5m" (minutes), "2h", "1d", "0s"; whole numbers only, up to 3650 days.
Result<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration duration);

// "10%", 0 to 100, whole numbers only.
Result<std::uint32_t> parse_percent(std::string_view text);

}  // namespace nearfield::control
