// The checks, and the fingerprint of what was sealed.
#include "dataplane/tls/nonce_guard.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::tls {

namespace {

// Type, length and every byte. The pieces are joined first: cut another way, the same plaintext
// is the same record.
[[maybe_unused]] std::uint64_t fingerprint(ContentType type, std::span<const iovec> plaintext) {
  static const SipHashKey key = SipHashKey::random();
  std::array<std::byte, 1 + kMaximumPlaintext> joined;
  joined[0] = std::byte{static_cast<std::uint8_t>(type)};
  std::size_t size = 1;
  for (const iovec& piece : plaintext) {
    if (piece.iov_len == 0) continue;
    NEARFIELD_ASSERT(piece.iov_len <= joined.size() - size);
    std::memcpy(joined.data() + size, piece.iov_base, piece.iov_len);
    size += piece.iov_len;
  }
  const std::uint64_t print = siphash(key, std::span(joined).first(size));  // covers the length
  wipe(std::span(joined).first(size));
  return print;
}

}  // namespace

// Both are templates so that they compile also where there is nothing to remember in.
template <typename Fingerprints>
void NonceGuard::remember(Fingerprints& fingerprints, std::uint64_t sequence, ContentType type,
                          std::span<const iovec> plaintext) const {
  if constexpr (kNonceGuardRemembers) {
    const std::uint64_t print = fingerprint(type, plaintext) | 1;
    if (sequence >= next_) {
      const std::uint64_t left_out = std::min<std::uint64_t>(sequence - next_, kRememberedRecords);
      fingerprints.insert(fingerprints.end(), left_out, 0);
      fingerprints.push_back(print);
      while (fingerprints.size() > kRememberedRecords) fingerprints.pop_front();
    } else if (next_ - sequence <= fingerprints.size()) {
      std::uint64_t& before = fingerprints[fingerprints.size() - (next_ - sequence)];
      // Sealed before as something else: the content under it was not held still.
      NEARFIELD_ASSERT(before == 0 || before == print);
      before = print;
    }
  }
}

template <typename Fingerprints>
void NonceGuard::forget(Fingerprints& fingerprints) const {
  if constexpr (kNonceGuardRemembers) {
    while (fingerprints.size() > next_ - released_) fingerprints.pop_front();
  }
}

void NonceGuard::seal(std::uint64_t sequence, ContentType type, std::span<const iovec> plaintext) {
  NEARFIELD_ASSERT(sequence >= released_);  // its plaintext is no longer pinned
  NEARFIELD_ASSERT(sequence < limit_);
  remember(fingerprints_, sequence, type, plaintext);
  next_ = std::max(next_, sequence + 1);
}

void NonceGuard::release_below(std::uint64_t sequence) {
  if (sequence <= released_) return;
  released_ = sequence;
  // A peer may acknowledge what was never sealed, only named.
  next_ = std::max(next_, released_);
  forget(fingerprints_);
}

}  // namespace nearfield::tls
