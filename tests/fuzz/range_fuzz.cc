// Range and Content-Range. The first eight bytes are the size of the representation, the rest is
// the field. What must hold: every range lies inside, coalescing leaves no overlap, the layout has
// the length it says, what is written reads the same.
#include <cstring>
#include <string>

#include "dataplane/http/range.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < sizeof(std::uint64_t)) return 0;
  std::uint64_t complete_size = 0;
  std::memcpy(&complete_size, data, sizeof(complete_size));
  complete_size >>= 1 + (complete_size & 63) % 63;  // all magnitudes, at most 2^63-1
  const std::string_view value =
      nearfield::fuzz::text_of(data + sizeof(complete_size), size - sizeof(complete_size));

  if (const auto request = parse_range(value)) {
    FUZZ_CHECK(request->count >= 1 && request->count <= kMaxRanges);
    const RangeSet set = resolve_ranges(*request, complete_size);
    FUZZ_CHECK(set.count <= request->count);
    FUZZ_CHECK(complete_size > 0 || set.count == 0);
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < set.count; ++i) {
      const ByteRange& range = set.ranges[i];
      FUZZ_CHECK(range.first <= range.last && range.last < complete_size);
      total += range.size();
      for (std::size_t j = 0; j < i; ++j) {
        FUZZ_CHECK(set.ranges[j].last < range.first || range.last < set.ranges[j].first);
      }
      std::string written;
      append_content_range(written, range, complete_size);
      const auto reread = parse_content_range(written);
      FUZZ_CHECK(reread && reread->range == range && reread->complete_size == complete_size);
    }
    FUZZ_CHECK(total <= complete_size);
    const MultipartRanges parts("boundary", "audio/mp4", complete_size);
    if (set.count > 0) FUZZ_CHECK(parts.total_size(set.view()) > total);
  }
  if (const auto range = parse_content_range(value)) {
    FUZZ_CHECK(range->range || range->complete_size);
    if (range->range) {
      std::string written;
      append_content_range(written, *range->range, range->complete_size);
      const auto reread = parse_content_range(written);
      FUZZ_CHECK(reread && reread->range == range->range &&
                 reread->complete_size == range->complete_size);
    }
  }
  return 0;
}
