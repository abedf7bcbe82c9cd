// What the fuzz targets share: an assertion that libFuzzer reports, and a way of cutting input in
// pieces that the input decides.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string_view>

#define FUZZ_CHECK(condition)                                                            \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

namespace nearfield::fuzz {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}
inline std::string_view text_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}
inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A small generator (xorshift) for the sizes of pieces; seed 0 means one piece.
class Cutter {
 public:
  explicit Cutter(std::uint32_t seed) : state_(seed) {}
  std::size_t next(std::size_t left) {
    if (state_ == 0) return left;
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    const std::size_t size = 1 + state_ % ((state_ & 64) != 0 ? 4u : 40u);
    return size < left ? size : left;
  }

 private:
  std::uint32_t state_;
};

}  // namespace nearfield::fuzz
