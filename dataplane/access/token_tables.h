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
#include <unordered_set>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/access/digest.h"
#include "dataplane/access/reason.h"
#include "dataplane/access/token.h"

namespace nearfield::access {

// The token that renewed another last; made again when it has aged.
struct MadeRenewal {
  std::string text;  // "" when none could be made
  WallTime made_at{};
  Digest key{};        // fingerprint of the key that signed it
  std::string issuer;  // Rule::renewal_issuer
};

struct GoodToken {
  Digest digest{};    // SHA-256 of the token as it was transported first
  Digest identity{};  // Envelope::identity()
  Token token;
  std::optional<MadeRenewal> renewal;
};

class GoodTokens {
 public:
  GoodTokens(std::size_t maximum_tokens, std::size_t maximum_bytes);

  // Null when it is not there. Valid until the next call of what is not const here.
  GoodToken* find(const Digest& digest);
  // The same token, however it was spelled.
  GoodToken* find_identity(const Digest& identity);
  // One entry a token: one of the same digest, or of the same identity, leaves.
  GoodToken& add(const Digest& digest, const Digest& identity, Token token);
  void remove(const Digest& digest);
  // Drops what other keys verified or opened.
  void retain(const std::unordered_set<Digest, DigestHash>& keys);
  std::size_t size() const { return index_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  using Place = std::list<GoodToken>::iterator;
  static std::size_t cost(const Token& token);
  GoodToken* touch(Place place);
  void drop(Place place);

  std::size_t maximum_tokens_;
  std::size_t maximum_bytes_;
  std::size_t bytes_ = 0;
  std::list<GoodToken> tokens_;  // the last used first
  std::unordered_map<Digest, Place, DigestHash> index_;
  std::unordered_map<Digest, Place, DigestHash> by_identity_;
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
