#include "dataplane/http/range.h"

#include <algorithm>

#include "dataplane/http/text.h"

namespace nearfield::http {
namespace {

constexpr std::uint64_t kMaxPosition = INT64_MAX;
constexpr std::string_view kPartType = "\r\nContent-Type: ";
constexpr std::string_view kPartRange = "\r\nContent-Range: ";

std::optional<std::uint64_t> parse_position(std::string_view digits) {
  const auto number = parse_decimal(digits);
  return number && *number <= kMaxPosition ? number : std::nullopt;
}

// Of a request: beyond what can be counted is beyond every end (RFC 9110 14.1.1 warns of overflow).
std::optional<std::uint64_t> parse_asked_position(std::string_view digits) {
  if (digits.empty() || !std::ranges::all_of(digits, is_digit)) return std::nullopt;
  return parse_position(digits).value_or(kMaxPosition);
}

std::optional<RangeSpec> parse_spec(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::string_view before = text.substr(0, dash);
  const std::string_view after = text.substr(dash + 1);
  const auto first = parse_asked_position(before);
  const auto last = parse_asked_position(after);
  if (before.empty()) {
    if (!last) return std::nullopt;
    return RangeSpec{RangeSpec::Kind::kSuffix, *last, 0};
  }
  if (!first) return std::nullopt;
  if (after.empty()) return RangeSpec{RangeSpec::Kind::kFrom, *first, 0};
  if (!last || *last < *first) return std::nullopt;
  return RangeSpec{RangeSpec::Kind::kBetween, *first, *last};
}

// Cuts a spec to the representation; nullopt when nothing of it is there.
std::optional<ByteRange> resolve(const RangeSpec& spec, std::uint64_t complete_size) {
  if (complete_size == 0) return std::nullopt;
  const std::uint64_t end = complete_size - 1;
  switch (spec.kind) {
    case RangeSpec::Kind::kSuffix:
      if (spec.first == 0) return std::nullopt;
      return ByteRange{complete_size - std::min(spec.first, complete_size), end};
    case RangeSpec::Kind::kFrom:
      if (spec.first > end) return std::nullopt;
      return ByteRange{spec.first, end};
    case RangeSpec::Kind::kBetween:
      if (spec.first > end) return std::nullopt;
      return ByteRange{spec.first, std::min(spec.last, end)};
  }
  return std::nullopt;
}

bool overlap(const ByteRange& a, const ByteRange& b) {
  return a.first <= b.last && b.first <= a.last;
}

// Joins neighbours of the array that overlap or touch.
void join_neighbours(RangeSet& set) {
  std::uint8_t kept = 0;
  for (std::uint8_t i = 1; i < set.count; ++i) {
    ByteRange& previous = set.ranges[kept];
    const ByteRange& next = set.ranges[i];
    if (overlap(previous, next) || next.first == previous.last + 1) {
      previous.first = std::min(previous.first, next.first);
      previous.last = std::max(previous.last, next.last);
    } else {
      set.ranges[++kept] = next;
    }
  }
  if (set.count > 0) set.count = static_cast<std::uint8_t>(kept + 1);
}

}  // namespace

std::optional<RangeRequest> parse_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes";
  value = trim_ows(value);
  if (!equals_ignoring_case(value.substr(0, kUnit.size()), kUnit)) return std::nullopt;
  value.remove_prefix(kUnit.size());
  if (!value.starts_with('=')) return std::nullopt;
  value.remove_prefix(1);

  RangeRequest request;
  ListReader list(value);
  while (const auto member = list.next()) {
    const auto spec = parse_spec(*member);
    if (!spec || request.count == kMaxRanges) return std::nullopt;
    request.specs[request.count++] = *spec;
  }
  if (request.count == 0) return std::nullopt;
  return request;
}

RangeSet resolve_ranges(const RangeRequest& request, std::uint64_t complete_size) {
  RangeSet set;
  bool any_overlap = false;
  for (std::uint8_t i = 0; i < request.count; ++i) {
    const auto range = resolve(request.specs[i], complete_size);
    if (!range) continue;
    for (std::uint8_t j = 0; j < set.count; ++j) {
      any_overlap = any_overlap || overlap(set.ranges[j], *range);
    }
    set.ranges[set.count++] = *range;
  }
  if (any_overlap) {
    std::ranges::sort(set.ranges.begin(), set.ranges.begin() + set.count, {}, &ByteRange::first);
  }
  join_neighbours(set);
  return set;
}

std::optional<ContentRange> parse_content_range(std::string_view value) {
  constexpr std::string_view kUnit = "bytes ";
  value = trim_ows(value);
  if (!equals_ignoring_case(value.substr(0, kUnit.size()), kUnit)) return std::nullopt;
  value.remove_prefix(kUnit.size());
  const std::size_t slash = value.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::string_view range = value.substr(0, slash);
  const std::string_view size = value.substr(slash + 1);

  ContentRange parsed;
  if (size != "*") {
    parsed.complete_size = parse_position(size);
    if (!parsed.complete_size) return std::nullopt;
  }
  if (range == "*") return parsed.complete_size ? std::optional(parsed) : std::nullopt;
  const std::size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_position(range.substr(0, dash));
  const auto last = parse_position(range.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  if (parsed.complete_size && *last >= *parsed.complete_size) return std::nullopt;
  parsed.range = ByteRange{*first, *last};
  return parsed;
}

void append_content_range(std::string& out, const ByteRange& range,
                          std::optional<std::uint64_t> complete_size) {
  out += "bytes ";
  append_number(out, range.first);
  out += '-';
  append_number(out, range.last);
  out += '/';
  if (complete_size) {
    append_number(out, *complete_size);
  } else {
    out += '*';
  }
}

void append_unsatisfied_content_range(std::string& out, std::uint64_t complete_size) {
  out += "bytes */";
  append_number(out, complete_size);
}

std::string MultipartRanges::media_type() const {
  return "multipart/byteranges; boundary=" + boundary_;
}

void MultipartRanges::append_part_head(std::string& out, const ByteRange& range) const {
  out += "\r\n--";
  out += boundary_;
  if (!content_type_.empty()) {
    out += kPartType;
    out += content_type_;
  }
  out += kPartRange;
  append_content_range(out, range, complete_size_);
  out += "\r\n\r\n";
}

void MultipartRanges::append_end(std::string& out) const {
  out += "\r\n--";
  out += boundary_;
  out += "--\r\n";
}

std::uint64_t MultipartRanges::total_size(std::span<const ByteRange> ranges) const {
  std::string text;
  std::uint64_t total = 0;
  for (const ByteRange& range : ranges) {
    append_part_head(text, range);
    total += range.size();
  }
  append_end(text);
  return total + text.size();
}

}  // namespace nearfield::http
