// Wide: products of two 64-bit numbers, and their division where it usually is one of 64 bits: the
// processor divides those at once, 128 bits are a library call.
#pragma once

#include <cstdint>

namespace nearfield::net::tcp {

__extension__ using Wide = unsigned __int128;

struct Quotient {
  std::uint64_t quotient;  // at most UINT64_MAX
  std::uint64_t remainder;
};

// `divisor`: not 0.
inline Quotient divide(Wide dividend, std::uint64_t divisor) {
  if (dividend <= UINT64_MAX) [[likely]] {
    const auto narrow = static_cast<std::uint64_t>(dividend);
    return {narrow / divisor, narrow % divisor};
  }
  const Wide quotient = dividend / divisor;
  return {quotient > UINT64_MAX ? UINT64_MAX : static_cast<std::uint64_t>(quotient),
          static_cast<std::uint64_t>(dividend % divisor)};
}

}  // namespace nearfield::net::tcp
