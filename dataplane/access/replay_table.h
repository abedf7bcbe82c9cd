// What the workers of a node tell each other about tokens.
//
// ReplayTable: which tokens for one use were used (jti of RFC 9246, catreplay of CTA-5007), for all
// workers of a node. Bounded: what is full of tokens that have not expired refuses further ones
// rather than forget, since forgetting is what a replay needs. It must outlive reloads, so the node
// makes one at its start. What it cannot know is another node's use, nor its own before a restart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "dataplane/access/digest.h"

namespace nearfield::access {

// RenewedTokens: the tokens that this node signed itself, so that a listener who comes back with
// one, at whichever worker, waits behind no stranger for a verification. Full, it forgets those
// that expire first: they are verified like others then. Thread-safe.
class RenewedTokens {
 public:
  // At most this many, 72 bytes each; nothing is allocated before the first is added.
  explicit RenewedTokens(std::size_t maximum_tokens = 32768);

  // `name`: SHA-256 of the token's text. `key`: fingerprint of the key that signed it.
  void add(const Digest& name, const Digest& key, WallTime expires);
  // The key that this node signed it with. What it is worth is for the caller to judge.
  std::optional<Digest> find(const Digest& name) const;

 private:
  static constexpr std::size_t kWays = 4;
  struct Entry {
    Digest name{};
    Digest key{};
    WallTime expires = WallTime::min();  // of those that are free
  };
  std::size_t place_of(const Digest& name) const;

  const std::size_t maximum_;
  mutable std::mutex mutex_;
  std::vector<Entry> entries_;
};

class ReplayTable {
 public:
  // At most this many unexpired tokens, about 80 bytes each.
  explicit ReplayTable(std::size_t maximum_tokens = 65536);

  enum class Use : std::uint8_t { kFirst, kAgain, kFull };
  // `identity`: single_use_identity(). `until`: when it need not be remembered any
  // more. Thread-safe.
  Use use(const Digest& identity, WallTime now, WallTime until);
  // What use() would say, without using it.
  Use look(const Digest& identity, WallTime now) const;
  std::size_t size() const;

  RenewedTokens& renewed() { return renewed_; }

 private:
  void drop_expired(WallTime now);

  const std::size_t maximum_;
  mutable std::mutex mutex_;
  std::unordered_map<Digest, WallTime, DigestHash> used_;
  WallTime next_sweep_{};
  RenewedTokens renewed_;
};

}  // namespace nearfield::access
