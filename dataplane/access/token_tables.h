// What a worker remembers of tokens. Good ones with all they say, the least recently used leaving
// first; bad ones in a table of its own with fixed places, so that a flood of them costs neither
// memory nor good ones.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/access/digest.h"
#include "dataplane/access/reason.h"
#include "dataplane/access/token.h"

namespace nearfield::access {

struct GoodToken {
  Digest digest{};  // SHA-256 of the token as it was transported
  Token token;
  // The token that renewed it last; made again when that has aged.
  std::string renewal;
  WallTime renewed_at{};
};

class GoodTokens {
 public:
  GoodTokens(std::size_t maximum_tokens, std::size_t maximum_bytes);

  // Null when it is not there. Valid until the next add() or remove().
  GoodToken* find(const Digest& digest);
  GoodToken& add(const Digest& digest, Token token);
  void remove(const Digest& digest);
  std::size_t size() const { return index_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  static std::size_t cost(const Token& token);
  void drop_oldest();

  std::size_t maximum_tokens_;
  std::size_t maximum_bytes_;
  std::size_t bytes_ = 0;
  std::list<GoodToken> tokens_;  // the last used first
  std::unordered_map<Digest, std::list<GoodToken>::iterator, DigestHash> index_;
};

class BadTokens {
 public:
  BadTokens(std::size_t maximum_tokens, std::chrono::seconds lifetime, SipHashKey key);

  // `ring`: under which keys it was found bad.
  std::optional<Reason> find(const Digest& digest, const Digest& ring, MonotonicTime now) const;
  void add(const Digest& digest, const Digest& ring, Reason reason, MonotonicTime now);

 private:
  static constexpr std::size_t kWays = 4;
  struct Entry {
    Digest digest{};
    std::uint64_t ring = 0;
    MonotonicTime until{};
    Reason reason = Reason::kNoRules;  // kNoRules: free
  };
  std::size_t place_of(const Digest& digest, std::uint64_t ring) const;

  std::chrono::seconds lifetime_;
  SipHashKey key_;
  std::vector<Entry> entries_;
};

}  // namespace nearfield::access
