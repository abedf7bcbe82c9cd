// Where tokens of a request stand, and which keys may have made them.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/access/rules.h"
#include "dataplane/access/target.h"
#include "dataplane/access/token.h"
#include "dataplane/http/fields.h"

namespace nearfield::access {

enum class Place : std::uint8_t { kPath, kQuery, kCookie, kHeader };

struct Candidate {
  TokenKind kind = TokenKind::kUriSigning;
  Place place = Place::kQuery;
  std::string_view name;
  std::string_view text;
};

// A bounded list without memory of its own.
template <typename T, std::size_t kCapacity>
class ShortList {
 public:
  bool add(const T& item) {
    if (size_ == kCapacity) return false;
    items_[size_++] = item;
    return true;
  }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  const T* begin() const { return items_.data(); }
  const T* end() const { return items_.data() + size_; }

 private:
  std::array<T, kCapacity> items_{};
  std::size_t size_ = 0;
};

inline constexpr std::size_t kMaximumCandidates = 4;
inline constexpr std::size_t kMaximumKeysTried = 4;
using Candidates = ShortList<Candidate, kMaximumCandidates>;
using TriedKeys = ShortList<const TrustedKey*, kMaximumKeysTried>;

// In the order in which they are tried. `fields` may be null.
Candidates find_candidates(const Rule& rule, std::span<const FoundToken> in_target,
                           const http::Fields* fields);
// "query parameter URISigningPackage"
std::string place_text(const Candidate& candidate);

// What a request with several tokens is refused for, when `refused` follows `first` (kNoToken: none
// before): the first, but who should try again must hear so, whatever another token is worth.
constexpr Reason refusal_of(Reason first, Reason refused) {
  return first == Reason::kNoToken || refused == Reason::kBusy ? refused : first;
}

// The keys of the ring that may verify it: of its algorithm, and of its key id when it has one.
// kAlgorithm or kUnknownKey when there is none.
std::expected<TriedKeys, Reason> select_keys(const KeyRing& ring, const Envelope& envelope);

// What an encrypted claim adds to the token, once the signature is known to be good: opens
// `cdniip`. False when it cannot be opened or is no network.
bool open_sealed_claims(const KeyRing& ring, Token& token);

}  // namespace nearfield::access
