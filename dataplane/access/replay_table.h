// ReplayTable: which tokens for one use were used (jti of RFC 9246, catreplay of CTA-5007), for all
// workers of a node. Bounded: what is full of tokens that have not expired refuses further ones
// rather than forget, since forgetting is what a replay needs. It must outlive reloads, so the node
// makes one at its start. What it cannot know is another node's use, nor its own before a restart.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "cache/base/clock.h"

namespace nearfield::access {

class ReplayTable {
 public:
  // At most this many unexpired tokens, about 80 bytes each.
  explicit ReplayTable(std::size_t maximum_tokens = 65536);

  enum class Use : std::uint8_t { kFirst, kAgain, kFull };
  // `identity`: SHA-256 over token id and content. `until`: when it need not be remembered any
  // more. Thread-safe.
  Use use(const std::array<std::uint8_t, 32>& identity, WallTime now, WallTime until);
  // What use() would say, without using it.
  Use look(const std::array<std::uint8_t, 32>& identity, WallTime now) const;
  std::size_t size() const;

 private:
  struct Hash {
    std::size_t operator()(const std::array<std::uint8_t, 32>& identity) const;
  };
  void drop_expired(WallTime now);

  const std::size_t maximum_;
  mutable std::mutex mutex_;
  std::unordered_map<std::array<std::uint8_t, 32>, WallTime, Hash> used_;
  WallTime next_sweep_{};
};

}  // namespace nearfield::access
