// ChallengeAckLimit: how often challenge ACKs are sent, a limit that must not tell anything.
//
// RFC 5961 section 7 asks for a limit, and a limit all connections share is a side channel
// (CVE-2016-5696): an attacker who knows it spoofs a guess into another's connection, then counts
// how many of the allowance are left for his own. So here the allowance of each second is drawn
// anew under a key, and the seconds begin at a secret moment. What it does not do is be tight: set
// it far above what one attacker is worth and let each connection have its own limit
// (kChallengeAckInterval), which no other can see. Not synchronised.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"

namespace nearfield::net::tcp {

// How long a connection waits between its own challenge ACKs.
inline constexpr Duration kChallengeAckInterval = std::chrono::milliseconds(500);

class ChallengeAckLimit {
 public:
  // Between half of `per_second` and one and a half of it in each second.
  ChallengeAckLimit(std::uint32_t per_second, const SipHashKey& secret)
      : per_second_(per_second), key_(secret), phase_(draw(0) % kSecond) {}

  bool allow(MonotonicTime now) {
    const auto moment = static_cast<std::uint64_t>(now.time_since_epoch().count()) + phase_;
    if (const std::uint64_t second = moment / kSecond; second != second_) {
      second_ = second;
      left_ = per_second_ / 2 + draw(second + 1) % (std::uint64_t{per_second_} + 1);
    }
    if (left_ == 0) {
      ++refused_;
      return false;
    }
    --left_;
    return true;
  }

  std::uint64_t refused() const { return refused_; }

 private:
  static constexpr std::uint64_t kSecond = 1'000'000'000;

  std::uint64_t draw(std::uint64_t number) const {
    return siphash(key_, std::as_bytes(std::span(&number, 1)));
  }

  std::uint32_t per_second_;
  SipHashKey key_;
  std::uint64_t phase_;
  std::uint64_t second_ = ~std::uint64_t{0};  // none yet
  std::uint64_t left_ = 0;
  std::uint64_t refused_ = 0;
};

}  // namespace nearfield::net::tcp
