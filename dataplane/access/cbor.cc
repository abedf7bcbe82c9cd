#include "dataplane/access/cbor.h"

#include <tinycbor/cbor.h>

#include <bit>
#include <limits>

namespace nearfield::access {
namespace {

class Walk {
 public:
  // The item at `it`, which then stands behind it.
  bool read(CborValue& it, CborItem& out, int depth) {
    if (depth > kMaximumCborDepth || ++items_ > kMaximumCborItems) return false;
    switch (cbor_value_get_type(&it)) {
      case CborIntegerType:
        out.type = CborItem::Type::kInteger;
        if (cbor_value_get_int64_checked(&it, &out.integer) != CborNoError) return false;
        return cbor_value_advance_fixed(&it) == CborNoError;
      case CborByteStringType:
      case CborTextStringType:
        return read_string(it, out);
      case CborArrayType:
      case CborMapType:
        return read_container(it, out, depth);
      case CborTagType:
        return read_tag(it, out, depth);
      case CborSimpleType:
      case CborBooleanType:
      case CborNullType:
      case CborUndefinedType:
        return read_simple(it, out);
      case CborHalfFloatType:
      case CborFloatType:
      case CborDoubleType:
        return read_number(it, out);
      case CborInvalidType:
        return false;
    }
    return false;
  }

 private:
  static bool read_string(CborValue& it, CborItem& out) {
    if (!cbor_value_is_length_known(&it)) return false;
    // A string of known length is one chunk.
    CborValue chunks = it;
    CborValue next;
    std::size_t size = 0;
    if (cbor_value_begin_string_iteration(&chunks) != CborNoError) return false;
    if (cbor_value_is_text_string(&it)) {
      const char* text = nullptr;
      out.type = CborItem::Type::kText;
      if (cbor_value_get_text_string_chunk(&chunks, &text, &size, &next) != CborNoError) {
        return false;
      }
      out.bytes = bytes_of({text, size});
    } else {
      const std::uint8_t* bytes = nullptr;
      out.type = CborItem::Type::kBytes;
      if (cbor_value_get_byte_string_chunk(&chunks, &bytes, &size, &next) != CborNoError) {
        return false;
      }
      out.bytes = {bytes, size};
    }
    return cbor_value_advance(&it) == CborNoError;
  }

  bool read_container(CborValue& it, CborItem& out, int depth) {
    if (!cbor_value_is_length_known(&it)) return false;
    const bool is_map = cbor_value_is_map(&it);
    out.type = is_map ? CborItem::Type::kMap : CborItem::Type::kArray;
    std::size_t entries = 0;
    const CborError counted = is_map ? cbor_value_get_map_length(&it, &entries)
                                     : cbor_value_get_array_length(&it, &entries);
    if (counted != CborNoError || entries > kMaximumCborEntries) return false;
    out.children.reserve(is_map ? 2 * entries : entries);
    CborValue inside;
    if (cbor_value_enter_container(&it, &inside) != CborNoError) return false;
    while (!cbor_value_at_end(&inside)) {
      if (!read(inside, out.children.emplace_back(), depth + 1)) return false;
    }
    if (cbor_value_leave_container(&it, &inside) != CborNoError) return false;
    return !is_map || has_good_keys(out);
  }

  static bool has_good_keys(const CborItem& map) {
    const std::vector<CborItem>& all = map.children;
    if (all.size() % 2 != 0) return false;
    for (std::size_t i = 0; i < all.size(); i += 2) {
      if (!all[i].is(CborItem::Type::kInteger) && !all[i].is(CborItem::Type::kText)) return false;
      for (std::size_t j = 0; j < i; j += 2) {
        if (all[i].type != all[j].type) continue;
        const bool same = all[i].is(CborItem::Type::kInteger) ? all[i].integer == all[j].integer
                                                              : all[i].text() == all[j].text();
        if (same) return false;
      }
    }
    return true;
  }

  bool read_tag(CborValue& it, CborItem& out, int depth) {
    CborTag tag = 0;
    out.type = CborItem::Type::kTag;
    if (cbor_value_get_tag(&it, &tag) != CborNoError) return false;
    if (tag > static_cast<CborTag>(std::numeric_limits<std::int64_t>::max())) return false;
    out.integer = static_cast<std::int64_t>(tag);
    if (cbor_value_advance_fixed(&it) != CborNoError || cbor_value_at_end(&it)) return false;
    return read(it, out.children.emplace_back(), depth + 1);
  }

  static bool read_simple(CborValue& it, CborItem& out) {
    out.type = CborItem::Type::kSimple;
    bool truth = false;
    std::uint8_t simple = 0;
    if (cbor_value_is_boolean(&it)) {
      cbor_value_get_boolean(&it, &truth);
      out.integer = truth ? 21 : 20;
    } else if (cbor_value_is_null(&it)) {
      out.integer = 22;
    } else if (cbor_value_is_undefined(&it)) {
      out.integer = 23;
    } else {
      cbor_value_get_simple_type(&it, &simple);
      out.integer = simple;
    }
    return cbor_value_advance_fixed(&it) == CborNoError;
  }

  static bool read_number(CborValue& it, CborItem& out) {
    out.type = CborItem::Type::kNumber;
    float single = 0;
    if (cbor_value_is_double(&it)) {
      cbor_value_get_double(&it, &out.number);
    } else if (cbor_value_is_float(&it)) {
      cbor_value_get_float(&it, &single);
      out.number = static_cast<double>(single);
    } else {
      cbor_value_get_half_float_as_float(&it, &single);
      out.number = static_cast<double>(single);
    }
    return cbor_value_advance_fixed(&it) == CborNoError;
  }

  std::size_t items_ = 0;
};

}  // namespace

std::optional<CborItem> parse_cbor(Bytes bytes) {
  CborParser parser;
  CborValue it;
  if (cbor_parser_init(bytes.data(), bytes.size(), 0, &parser, &it) != CborNoError) {
    return std::nullopt;
  }
  CborItem item;
  if (!Walk().read(it, item, 0)) return std::nullopt;
  if (cbor_value_get_next_byte(&it) != bytes.data() + bytes.size()) return std::nullopt;
  return item;
}

void append_cbor_head(std::string& out, int major, std::uint64_t argument) {
  int bytes = 0;
  int code = 0;
  if (argument < 24) {
    code = static_cast<int>(argument);
  } else if (argument <= 0xff) {
    code = 24;
    bytes = 1;
  } else if (argument <= 0xffff) {
    code = 25;
    bytes = 2;
  } else if (argument <= 0xffffffff) {
    code = 26;
    bytes = 4;
  } else {
    code = 27;
    bytes = 8;
  }
  out += static_cast<char>(static_cast<unsigned char>(major << 5 | code));
  for (int i = bytes; i-- > 0;) out += static_cast<char>(argument >> (8 * i) & 0xff);
}

void append_cbor_integer(std::string& out, std::int64_t number) {
  if (number >= 0) {
    append_cbor_head(out, 0, static_cast<std::uint64_t>(number));
  } else {
    append_cbor_head(out, 1, static_cast<std::uint64_t>(-1 - number));
  }
}

void append_cbor_bytes(std::string& out, Bytes bytes) {
  append_cbor_head(out, 2, bytes.size());
  out += text_of(bytes);
}

void append_cbor_text(std::string& out, std::string_view text) {
  append_cbor_head(out, 3, text.size());
  out += text;
}

void append_cbor(std::string& out, const CborItem& item) {
  switch (item.type) {
    case CborItem::Type::kInteger:
      append_cbor_integer(out, item.integer);
      return;
    case CborItem::Type::kBytes:
      append_cbor_bytes(out, item.bytes);
      return;
    case CborItem::Type::kText:
      append_cbor_text(out, item.text());
      return;
    case CborItem::Type::kArray:
      append_cbor_head(out, 4, item.children.size());
      break;
    case CborItem::Type::kMap:
      append_cbor_head(out, 5, item.children.size() / 2);
      break;
    case CborItem::Type::kTag:
      append_cbor_head(out, 6, static_cast<std::uint64_t>(item.integer));
      break;
    case CborItem::Type::kNumber: {
      const auto bits = std::bit_cast<std::uint64_t>(item.number);
      out += static_cast<char>(0xfb);
      for (int i = 8; i-- > 0;) out += static_cast<char>(bits >> (8 * i) & 0xff);
      return;
    }
    case CborItem::Type::kSimple:
      append_cbor_head(out, 7, static_cast<std::uint64_t>(item.integer));
      return;
  }
  for (const CborItem& child : item.children) append_cbor(out, child);
}

}  // namespace nearfield::access
