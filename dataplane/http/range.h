// Byte ranges (RFC 9110 14): the Range request field, Content-Range, and the layout of
// multipart/byteranges. No allocation: a request carries at most kMaxRanges specs, more (or
// overlapping in the way of an attack, RFC 9110 17.15) and the field is ignored, which gives the
// whole representation.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nearfield::http {

inline constexpr std::size_t kMaxRanges = 16;

// Both ends included, as on the wire.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  constexpr std::uint64_t size() const { return last - first + 1; }
  friend constexpr bool operator==(const ByteRange&, const ByteRange&) = default;
};

// One member of a Range field: "first-", "first-last" or "-suffix".
struct RangeSpec {
  enum class Kind : std::uint8_t { kFrom, kBetween, kSuffix } kind = Kind::kFrom;
  std::uint64_t first = 0;  // or the suffix length
  std::uint64_t last = 0;   // with kBetween
};

struct RangeRequest {
  std::array<RangeSpec, kMaxRanges> specs;
  std::uint8_t count = 0;
};

// nullopt: not a bytes range, not valid (last < first, no digits, numbers above 2^63-1), or too
// many: ignore the field.
std::optional<RangeRequest> parse_range(std::string_view value);

struct RangeSet {
  std::array<ByteRange, kMaxRanges> ranges;
  std::uint8_t count = 0;  // 0: nothing is satisfiable, answer 416
  std::span<const ByteRange> view() const { return {ranges.data(), count}; }
};

// The satisfiable ranges of a representation of this length, in the order asked for; ranges that
// overlap or touch are joined when they stand next to each other in that order, or all of them once
// any two overlap (RFC 9110 15.3.7.2 lets a server coalesce and reorder then). An empty
// representation satisfies only nothing.
RangeSet resolve_ranges(const RangeRequest& request, std::uint64_t complete_size);

// Content-Range of a 206 ("bytes 0-9/100", "bytes 0-9/*") or a 416 ("bytes */100").
struct ContentRange {
  std::optional<ByteRange> range;  // nullopt: unsatisfied form
  std::optional<std::uint64_t> complete_size;
};
// nullopt for another unit, a last below first or beyond the size, or any odd character.
std::optional<ContentRange> parse_content_range(std::string_view value);
void append_content_range(std::string& out, const ByteRange& range,
                          std::optional<std::uint64_t> complete_size);
void append_unsatisfied_content_range(std::string& out, std::uint64_t complete_size);

// The text around the parts of a multipart/byteranges body (RFC 9110 14.6). `boundary` is chosen by
// the caller, 1-70 characters of [0-9A-Za-z], and must not occur in the content.
class MultipartRanges {
 public:
  MultipartRanges(std::string_view boundary, std::string_view content_type,
                  std::uint64_t complete_size)
      : boundary_(boundary), content_type_(content_type), complete_size_(complete_size) {}

  // The value for Content-Type of the whole message.
  std::string media_type() const;
  // What stands before the bytes of this part, its leading CRLF included (also before the first: a
  // preamble is empty then).
  void append_part_head(std::string& out, const ByteRange& range) const;
  // What stands after the last part.
  void append_end(std::string& out) const;
  // Content-Length of the message.
  std::uint64_t total_size(std::span<const ByteRange> ranges) const;

 private:
  std::string boundary_;
  std::string content_type_;
  std::uint64_t complete_size_;
};

}  // namespace nearfield::http
