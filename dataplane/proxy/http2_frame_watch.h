// Http2FrameWatch: sees the heads of the frames that come, before nghttp2 does: it drops some
// without a word that RFC 9113 wants answered (DATA for a stream that is over, PRIORITY on stream 0
// or on itself) or a bound counted (frames of types nobody knows). Only looks; survives any cut.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield::proxy {

class Http2FrameWatch {
 public:
  struct Head {
    std::uint8_t type;
    std::uint8_t flags;
    std::int32_t stream;
    std::int32_t depends_on;  // of PRIORITY; -1: not known
  };

  // Moves on by at least a byte of the not empty `bytes`, at most behind the next head; `*head` is
  // set and true returned when there is one. Returns in `*taken` how far.
  bool next(std::span<const std::byte> bytes, std::size_t* taken, Head* head) {
    *taken = 0;
    if (left_ > 0) {
      const std::size_t skipped = std::min<std::size_t>(left_, bytes.size());
      left_ -= static_cast<std::uint32_t>(skipped);
      *taken = skipped;
      return false;
    }
    while (*taken < bytes.size()) {
      bytes_[have_++] = static_cast<std::uint8_t>(bytes[(*taken)++]);
      const std::size_t whole = is_priority() ? kHeadBytes + 4 : kHeadBytes;
      if (have_ < kHeadBytes || have_ < whole) continue;
      const std::uint32_t length = std::uint32_t{bytes_[0]} << 16 | bytes_[1] << 8 | bytes_[2];
      left_ = length - static_cast<std::uint32_t>(have_ - kHeadBytes);
      *head = {bytes_[3], bytes_[4], number(5), is_priority() ? number(kHeadBytes) : -1};
      have_ = 0;
      return true;
    }
    return false;
  }

  // Between two frames.
  bool is_between() const { return left_ == 0 && have_ == 0; }

 private:
  static constexpr std::size_t kHeadBytes = 9;
  static constexpr std::uint32_t kPrefaceBytes = 24;

  bool is_priority() const {
    return have_ >= kHeadBytes && bytes_[3] == 2 && bytes_[0] == 0 && bytes_[1] == 0 &&
           bytes_[2] == 5;
  }
  std::int32_t number(std::size_t at) const {
    return static_cast<std::int32_t>((std::uint32_t{bytes_[at]} << 24 | bytes_[at + 1] << 16 |
                                      bytes_[at + 2] << 8 | bytes_[at + 3]) &
                                     0x7fffffffu);
  }

  std::uint32_t left_ = kPrefaceBytes;  // of the payload, or of the preface
  std::uint8_t have_ = 0;
  std::array<std::uint8_t, kHeadBytes + 4> bytes_{};
};

}  // namespace nearfield::proxy
