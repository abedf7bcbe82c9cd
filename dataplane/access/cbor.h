// CBOR (RFC 8949) as a bounded tree: what COSE and CWT need, definite lengths only. Views are into
// the bytes that were parsed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/access/digest.h"

namespace nearfield::access {

inline constexpr int kMaximumCborDepth = 8;
inline constexpr std::size_t kMaximumCborItems = 512;
// Entries of one map or array: strangers' bytes are parsed before any signature is looked at, and
// keys are compared with each other.
inline constexpr std::size_t kMaximumCborEntries = 64;

struct CborItem {
  enum class Type : std::uint8_t {
    kInteger,
    kBytes,
    kText,
    kArray,
    kMap,     // children: key, value, key, value...; keys are integers or text, and differ
    kTag,     // `integer` is the tag, the one child what it is on
    kNumber,  // a floating-point number
    kSimple,  // false, true, null: `integer` is 20, 21, 22...
  };
  Type type = Type::kSimple;
  std::int64_t integer = 0;
  double number = 0;
  Bytes bytes;  // kBytes and kText
  std::vector<CborItem> children;

  bool is(Type wanted) const { return type == wanted; }
  std::string_view text() const { return text_of(bytes); }
};

// nullopt for what is not one whole well-formed item, is deeper, longer or has more items than the
// limits, has an indefinite length, a text that is not closed, or a key twice in a map.
std::optional<CborItem> parse_cbor(Bytes bytes);

// Shortest forms; numbers as doubles.
void append_cbor(std::string& out, const CborItem& item);
// The head of an item: major type 0-7 and its argument (RFC 8949 3).
void append_cbor_head(std::string& out, int major, std::uint64_t argument);
void append_cbor_integer(std::string& out, std::int64_t number);
void append_cbor_bytes(std::string& out, Bytes bytes);
void append_cbor_text(std::string& out, std::string_view text);

}  // namespace nearfield::access
