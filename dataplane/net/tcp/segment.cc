// Options are written the way Linux writes them, padded so that timestamps and SACK blocks lie on
// words: middleboxes have seen that order more often than any other. What is read may have any
// order; of an option that comes twice the last one counts.
#include "dataplane/net/tcp/segment.h"

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"

namespace nearfield::net::tcp {
namespace {

// Option kinds and their whole lengths (RFC 9293 3.2, RFC 7323 2.2 and 3.2, RFC 2018 2 and 3).
enum OptionKind : std::uint8_t {
  kEnd = 0,
  kNoOperation = 1,
  kMaximumSegment = 2,
  kWindowScale = 3,
  kSackPermitted = 4,
  kSack = 5,
  kTimestamps = 8,
};
constexpr std::size_t kMaximumSegmentBytes = 4;
constexpr std::size_t kWindowScaleBytes = 3;
constexpr std::size_t kSackPermittedBytes = 2;
constexpr std::size_t kSackHeadBytes = 2;
constexpr std::size_t kSackBlockBytes = 8;
constexpr std::size_t kTimestampsBytes = 10;
constexpr std::size_t kMaximumOptionBytes = kMaximumHeaderBytes - kMinimumHeaderBytes;

// Bits of the 14th byte of the header.
constexpr unsigned kFin = 0x01;
constexpr unsigned kSyn = 0x02;
constexpr unsigned kRst = 0x04;
constexpr unsigned kPsh = 0x08;
constexpr unsigned kAck = 0x10;
constexpr unsigned kUrg = 0x20;
constexpr unsigned kEce = 0x40;
constexpr unsigned kCwr = 0x80;

// Writes on within a span that was measured before.
class Writer {
 public:
  explicit Writer(std::byte* to) : to_(to) {}
  void put_8(unsigned value) { write_8(advance(1), value); }
  void put_16(unsigned value) { write_16(advance(2), value); }
  void put_32(std::uint32_t value) { write_32(advance(4), value); }

 private:
  std::byte* advance(std::size_t bytes) { return std::exchange(to_, to_ + bytes); }

  std::byte* to_;
};

// `option` is whole: kind, length and what the length promises.
void parse_option(std::span<const std::byte> option, bool is_syn, Options& options) {
  const std::byte* value = option.data() + 2;
  switch (read_8(option.data())) {
    case kMaximumSegment:
      if (is_syn && option.size() == kMaximumSegmentBytes) {
        options.maximum_segment_bytes = read_16(value);
      }
      break;
    case kWindowScale:
      if (is_syn && option.size() == kWindowScaleBytes) options.window_shift = read_8(value);
      break;
    case kSackPermitted:
      if (is_syn && option.size() == kSackPermittedBytes) options.sack_permitted = true;
      break;
    case kSack:
      if (option.size() > kSackHeadBytes &&
          (option.size() - kSackHeadBytes) % kSackBlockBytes == 0) {
        options.sack.count = 0;
        for (std::size_t at = kSackHeadBytes; at < option.size(); at += kSackBlockBytes) {
          options.sack.add(
              {.begin = {read_32(option.data() + at)}, .end = {read_32(option.data() + at + 4)}});
        }
      }
      break;
    case kTimestamps:
      if (option.size() == kTimestampsBytes) {
        options.timestamps = Timestamps{.value = read_32(value), .echo = read_32(value + 4)};
      }
      break;
    default:
      break;
  }
}

void parse_options(std::span<const std::byte> bytes, bool is_syn, Options& options) {
  while (!bytes.empty()) {
    const std::uint8_t kind = read_8(bytes.data());
    if (kind == kEnd) return;
    if (kind == kNoOperation) {
      bytes = bytes.subspan(1);
      continue;
    }
    if (bytes.size() < 2) return;
    const std::size_t length = read_8(bytes.data() + 1);
    if (length < 2 || length > bytes.size()) return;
    parse_option(bytes.first(length), is_syn, options);
    bytes = bytes.subspan(length);
  }
}

// Everything but SACK blocks, each padded to words; with timestamps, SACK-permitted takes the place
// of their padding.
std::size_t fixed_option_bytes(const Options& options) {
  std::size_t bytes = 0;
  if (options.maximum_segment_bytes) bytes += kMaximumSegmentBytes;
  if (options.timestamps) {
    bytes += 2 + kTimestampsBytes;
  } else if (options.sack_permitted) {
    bytes += 2 + kSackPermittedBytes;
  }
  if (options.window_shift) bytes += 1 + kWindowScaleBytes;
  return bytes;
}

std::size_t sack_blocks_that_fit(const Options& options) {
  const std::size_t left = kMaximumOptionBytes - fixed_option_bytes(options);
  constexpr std::size_t kHead = 2 + kSackHeadBytes;
  if (left < kHead) return 0;
  return std::min<std::size_t>(options.sack.count, (left - kHead) / kSackBlockBytes);
}

unsigned bits_of(const Flags& flags) {
  return (flags.fin ? kFin : 0) | (flags.syn ? kSyn : 0) | (flags.rst ? kRst : 0) |
         (flags.psh ? kPsh : 0) | (flags.ack ? kAck : 0) | (flags.urg ? kUrg : 0) |
         (flags.ece ? kEce : 0) | (flags.cwr ? kCwr : 0);
}

Flags flags_of(unsigned bits) {
  return {.fin = (bits & kFin) != 0,
          .syn = (bits & kSyn) != 0,
          .rst = (bits & kRst) != 0,
          .psh = (bits & kPsh) != 0,
          .ack = (bits & kAck) != 0,
          .urg = (bits & kUrg) != 0,
          .ece = (bits & kEce) != 0,
          .cwr = (bits & kCwr) != 0};
}

}  // namespace

std::optional<Segment> parse_segment(std::span<const std::byte> bytes) {
  if (bytes.size() < kMinimumHeaderBytes) return std::nullopt;
  const std::byte* from = bytes.data();
  const std::size_t length = std::size_t{4} * (read_8(from + 12) >> 4);
  if (length < kMinimumHeaderBytes || length > bytes.size()) return std::nullopt;
  Segment segment;
  Header& header = segment.header;
  header.source_port = read_16(from);
  header.destination_port = read_16(from + 2);
  header.sequence = {read_32(from + 4)};
  header.acknowledgment = {read_32(from + 8)};
  header.flags = flags_of(read_8(from + 13));
  header.window = read_16(from + 14);
  parse_options(bytes.first(length).subspan(kMinimumHeaderBytes), header.flags.syn, header.options);
  segment.payload = bytes.subspan(length);
  return segment;
}

std::size_t header_bytes(const Options& options) {
  const std::size_t blocks = sack_blocks_that_fit(options);
  return kMinimumHeaderBytes + fixed_option_bytes(options) +
         (blocks == 0 ? 0 : 2 + kSackHeadBytes + blocks * kSackBlockBytes);
}

std::size_t write_header(const Header& header, std::span<std::byte> out) {
  const Options& options = header.options;
  const std::size_t length = header_bytes(options);
  NEARFIELD_ASSERT(out.size() >= length);
  Writer to(out.data());
  to.put_16(header.source_port);
  to.put_16(header.destination_port);
  to.put_32(header.sequence.value);
  to.put_32(header.acknowledgment.value);
  to.put_8(static_cast<unsigned>(length / 4) << 4);
  to.put_8(bits_of(header.flags));
  to.put_16(header.window);
  to.put_32(0);  // checksum, urgent pointer

  if (options.maximum_segment_bytes) {
    to.put_16(kMaximumSegment << 8 | kMaximumSegmentBytes);
    to.put_16(*options.maximum_segment_bytes);
  }
  if (options.timestamps || options.sack_permitted) {
    if (!options.timestamps) to.put_16(kNoOperation << 8 | kNoOperation);
    to.put_16(options.sack_permitted ? kSackPermitted << 8 | kSackPermittedBytes
                                     : kNoOperation << 8 | kNoOperation);
  }
  if (options.timestamps) {
    to.put_16(kTimestamps << 8 | kTimestampsBytes);
    to.put_32(options.timestamps->value);
    to.put_32(options.timestamps->echo);
  }
  if (options.window_shift) {
    to.put_16(kNoOperation << 8 | kWindowScale);
    to.put_16(static_cast<unsigned>(kWindowScaleBytes << 8 | *options.window_shift));
  }
  if (const std::size_t blocks = sack_blocks_that_fit(options); blocks > 0) {
    to.put_16(kNoOperation << 8 | kNoOperation);
    to.put_16(static_cast<unsigned>(kSack << 8 | (kSackHeadBytes + blocks * kSackBlockBytes)));
    for (const SackBlock& block : options.sack.span().first(blocks)) {
      to.put_32(block.begin.value);
      to.put_32(block.end.value);
    }
  }
  return length;
}

}  // namespace nearfield::net::tcp
