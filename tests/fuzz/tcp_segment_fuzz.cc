// TCP headers and options. What must hold: the payload is the end of the input, what was read is
// written and read back equal (but for SACK blocks that our padding leaves no room for), and from
// the second writing on byte for byte.
#include <algorithm>
#include <array>

#include "dataplane/net/tcp/segment.h"
#include "tests/fuzz/fuzz_support.h"

using namespace nearfield::net::tcp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto first = parse_segment(bytes);
  if (!first) return 0;
  FUZZ_CHECK(first->payload.size() + kMinimumHeaderBytes <= size);
  FUZZ_CHECK(first->payload.data() + first->payload.size() == bytes.data() + size);

  std::array<std::byte, kMaximumHeaderBytes> written{};
  const std::size_t length = write_header(first->header, written);
  FUZZ_CHECK(length == header_bytes(first->header.options) && length % 4 == 0);
  const auto second = parse_segment(std::span(written).first(length));
  FUZZ_CHECK(second && second->payload.empty());
  const Header& a = first->header;
  const Header& b = second->header;
  FUZZ_CHECK(a.source_port == b.source_port && a.destination_port == b.destination_port);
  FUZZ_CHECK(a.sequence == b.sequence && a.acknowledgment == b.acknowledgment);
  FUZZ_CHECK(a.flags == b.flags && a.window == b.window);
  FUZZ_CHECK(a.options.maximum_segment_bytes == b.options.maximum_segment_bytes);
  FUZZ_CHECK(a.options.window_shift == b.options.window_shift);
  FUZZ_CHECK(a.options.sack_permitted == b.options.sack_permitted);
  FUZZ_CHECK(a.options.timestamps == b.options.timestamps);
  const auto kept = b.options.sack.span();
  FUZZ_CHECK(kept.size() <= a.options.sack.count);
  FUZZ_CHECK(kept.size() == a.options.sack.count || length + 8 > kMaximumHeaderBytes);
  FUZZ_CHECK(std::ranges::equal(kept, a.options.sack.span().first(kept.size())));

  std::array<std::byte, kMaximumHeaderBytes> again{};
  FUZZ_CHECK(write_header(b, again) == length && again == written);
  return 0;
}
