// AeadEngine: the three ciphers of our suites (AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305) as two
// operations, seal and open. Two engines make the same bytes: intel-ipsec-mb, which encrypts as
// fast as memory delivers, and mbedTLS for processors without AES instructions.
//
// An engine holds no state of a connection; every call is independent, so all workers share one
// engine without locks. Invariant of every AEAD here, and the caller's duty: under one key a nonce
// belongs to one plaintext for ever (NIST SP 800-38D 8: a second plaintext gives away the
// authentication key). nonce_guard.h is the check of it.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

using Nonce = std::array<std::byte, kNonceBytes>;

// What an engine makes of a key, once per key. Belongs to the engine that expanded it. Holds its
// bytes itself and wipes them when it goes; never moves, since copies of a key are copies to wipe.
struct alignas(64) ExpandedKey {
  // ipsec-mb's tables of AES-GCM are 1264 bytes (gcm_key_data); ChaCha20 and mbedTLS need 32.
  static constexpr std::size_t kBytes = 1280;

  ExpandedKey() = default;
  ~ExpandedKey() { wipe(bytes); }
  ExpandedKey(const ExpandedKey&) = delete;
  ExpandedKey& operator=(const ExpandedKey&) = delete;

  std::array<std::byte, kBytes> bytes;  // not initialised: expand() writes them
};

// What ipsec-mb's code needs of the processor (since 2.0 it has no emulation of AES).
struct ProcessorFeatures {
  bool aes = false;                 // AES-NI
  bool carryless_multiply = false;  // PCLMULQDQ
  bool sse42 = false;

  static ProcessorFeatures detect();
  bool all() const { return aes && carryless_multiply && sse42; }
};

class AeadEngine {
 public:
  virtual ~AeadEngine() = default;

  // "ipsec-mb (AVX512)" or "mbedtls": for the log and the statistics.
  virtual std::string_view name() const = 0;

  // `key` is key_bytes(aead) long; the caller wipes it. Writes every byte that seal() and open()
  // will look at, whatever was there before.
  virtual void expand(Aead aead, std::span<const std::byte> key, ExpandedKey& expanded) const = 0;

  // Encrypts the pieces of `plaintext` in their order, then `trailer` (TLS 1.3: the content type;
  // may be empty), into the contiguous `out` (as many bytes as these together), and writes
  // kTagBytes to `tag_out`. `aad` is authenticated only. Empty pieces are allowed. `out` overlaps
  // no piece, except that it may be exactly the one and only piece. Allocates nothing with
  // ipsec-mb (mbedTLS allocates its cipher's state for the time of a call).
  virtual void seal(Aead aead, const ExpandedKey& key, const Nonce& nonce,
                    std::span<const std::byte> aad, std::span<const iovec> plaintext,
                    std::span<const std::byte> trailer, std::byte* out,
                    std::byte* tag_out) const = 0;

  // Decrypts `ciphertext` to `out` (as long; may be exactly `ciphertext`, overlaps it no other way)
  // and returns whether the kTagBytes at `tag` are those of the ciphertext and `aad`, compared in
  // constant time. On false all of `out` was wiped.
  [[nodiscard]] virtual bool open(Aead aead, const ExpandedKey& key, const Nonce& nonce,
                                  std::span<const std::byte> aad,
                                  std::span<const std::byte> ciphertext, const std::byte* tag,
                                  std::byte* out) const = 0;

  // The fastest engine this machine can run: one object for the whole process, made on the first
  // call (any thread). When that is not ipsec-mb, `*warning` (may be null) is a text for the log
  // that says what the processor lacks and what it costs; otherwise it is left alone.
  static const AeadEngine& choose(std::string* warning);
  // The same for a given processor: what choose() would do elsewhere.
  static const AeadEngine& choose(const ProcessorFeatures& features, std::string* warning);

  // Null when the processor lacks something or the library's own self-test failed.
  static const AeadEngine* ipsec_mb();
  static const AeadEngine& mbedtls();
};

}  // namespace nearfield::tls
