// Cache sizes as people write them: "64G", "750M", "12345", or a part of all a trace asks for,
// "10%".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/base/error.h"

namespace nearfield::cache::sim {

struct SizeOption {
  std::string text;
  bool is_percent = false;
  double percent = 0;       // of the footprint, above 0, at most 100
  std::uint64_t bytes = 0;  // at least 1

  std::uint64_t bytes_of(std::uint64_t footprint_bytes) const;
};

// K, M, G and T are powers of 1,024.
Result<SizeOption> parse_size(std::string_view text);

}  // namespace nearfield::cache::sim
