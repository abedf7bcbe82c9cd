// NonceGuard: asserts that one nonce never protects two plaintexts. The owner of a sending key's
// sequence numbers keeps one guard per key (a new one after every KeyUpdate; the old one lives as
// long as the old key's records may be sealed again) and reports every seal and every release.
//
// Always asserted, for the price of two comparisons: a record that was released (acknowledged, its
// plaintext perhaps gone) is never sealed again; and the key's limit of records is kept. Numbers
// may be left out for a while, or for good: a transport that counts a segment as lost before it
// asked for its bytes, because there was nowhere to send it. Debug builds and builds with a
// sanitizer also remember a keyed fingerprint of type, length and every byte of the plaintext of
// the last kRememberedRecords unreleased records, and abort when a record is sealed again as
// another one: whatever let content change under a pin is found where it happens.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <type_traits>

#include "cache/base/siphash.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

// Not NDEBUG: what ships keeps its assertions, and fingerprints cost more than sealing.
#if !defined(__OPTIMIZE__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool kNonceGuardRemembers = true;
#else
inline constexpr bool kNonceGuardRemembers = false;
#endif

class NonceGuard {
 public:
  // 64 MiB in full records; older ones are checked by number only.
  static constexpr std::size_t kRememberedRecords = 4096;

  // `first_sequence` is the number of the first record sealed here (TrafficKeys::next_sequence).
  explicit NonceGuard(Aead aead, std::uint64_t first_sequence = 0)
      : limit_(records_per_key(aead)), released_(first_sequence), next_(first_sequence) {}

  // Before a record is sealed, for the first time or again. Aborts when the invariant is broken.
  void seal(std::uint64_t sequence, ContentType type, std::span<const iovec> plaintext);

  // Records below `sequence` will never be sealed again.
  void release_below(std::uint64_t sequence);

 private:
  template <typename Fingerprints>
  void remember(Fingerprints& fingerprints, std::uint64_t sequence, ContentType type,
                std::span<const iovec> plaintext) const;
  template <typename Fingerprints>
  void forget(Fingerprints& fingerprints) const;

  std::uint64_t limit_;
  std::uint64_t released_;  // all below are released
  std::uint64_t next_;      // neither this nor any above was sealed yet
  struct Nothing {};
  // The last belongs to next_ - 1; 0: left out so far.
  [[no_unique_address]] std::conditional_t<kNonceGuardRemembers, std::deque<std::uint64_t>, Nothing>
      fingerprints_;
};

}  // namespace nearfield::tls
