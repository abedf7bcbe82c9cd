// SequenceNumber: a position in a TCP stream as the wire has it, 32 bits that wrap (RFC 9293 3.4);
// and StreamPosition: the same without the wrap, which is what everything inside computes with.
//
// Invariant: two sequence numbers are only ever compared when less than 2^31 apart, which the
// largest window (2^30, RFC 7323 2.3) guarantees for whatever passed the window check. The awkward
// part is what did not: distance() of a stranger's number is any 32-bit value, so it is compared as
// a signed distance and never used as an index.
#pragma once

#include <cstdint>

namespace nearfield::net::tcp {

struct SequenceNumber {
  std::uint32_t value = 0;

  friend constexpr bool operator==(SequenceNumber, SequenceNumber) = default;
  friend constexpr SequenceNumber operator+(SequenceNumber a, std::uint32_t bytes) {
    return {a.value + bytes};
  }
  friend constexpr SequenceNumber operator-(SequenceNumber a, std::uint32_t bytes) {
    return {a.value - bytes};
  }
};

// How far `to` is ahead of `from`; negative when it is behind.
constexpr std::int32_t distance(SequenceNumber from, SequenceNumber to) {
  return static_cast<std::int32_t>(to.value - from.value);
}
constexpr bool before(SequenceNumber a, SequenceNumber b) { return distance(a, b) > 0; }

// Octets since the initial sequence number, whose own position is kInitialPosition: the SYN. The
// first byte of the stream is at kInitialPosition + 1. The initial position is not 0, so that a
// number shortly before it (an old duplicate, a keep-alive probe) still has a position.
using StreamPosition = std::uint64_t;
inline constexpr StreamPosition kInitialPosition = std::uint64_t{1} << 32;
inline constexpr StreamPosition kFirstBytePosition = kInitialPosition + 1;

// Translates for one direction of one connection.
class SequenceSpace {
 public:
  constexpr SequenceSpace() = default;
  constexpr explicit SequenceSpace(SequenceNumber initial) : initial_(initial) {}

  constexpr SequenceNumber initial() const { return initial_; }
  constexpr SequenceNumber number_of(StreamPosition position) const {
    return initial_ + static_cast<std::uint32_t>(position - kInitialPosition);
  }
  // The position nearest to `near` that has this number.
  constexpr StreamPosition position_of(SequenceNumber number, StreamPosition near) const {
    return near + static_cast<std::int64_t>(distance(number_of(near), number));
  }

 private:
  SequenceNumber initial_;
};

}  // namespace nearfield::net::tcp
