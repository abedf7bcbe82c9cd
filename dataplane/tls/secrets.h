// Secrets: what a finished handshake leaves behind, everything that the record layer needs to
// protect one connection, and nothing of the library that made it.
//
// The bytes are secret: keys wipe themselves when they end, temporaries too; whoever holds other
// copies wipes them (wipe()). Sources: RFC 8446 7
// (TLS 1.3), RFC 5246 6.3 with RFC 5288 and RFC 7905 (TLS 1.2, AEAD suites only).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace nearfield::tls {

enum class Version : std::uint8_t { tls12, tls13 };
enum class Aead : std::uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };
// Of the key schedule; KeyUpdate needs it.
enum class Hash : std::uint8_t { sha256, sha384 };

inline constexpr std::size_t kNonceBytes = 12;
inline constexpr std::size_t kTagBytes = 16;
inline constexpr std::size_t kMaximumKeyBytes = 32;
inline constexpr std::size_t kMaximumSecretBytes = 48;

constexpr std::size_t key_bytes(Aead aead) { return aead == Aead::aes_128_gcm ? 16 : 32; }
constexpr std::size_t hash_bytes(Hash hash) { return hash == Hash::sha256 ? 32 : 48; }

// Overwrites in a way that compilers do not leave out.
void wipe(std::span<std::byte> bytes);

// One direction.
struct TrafficKeys {
  std::array<std::byte, kMaximumKeyBytes> key{};  // the first key_bytes(aead)
  // TLS 1.3 and ChaCha20-Poly1305: XORed with the sequence number (RFC 8446 5.3, RFC 7905 2).
  // AES-GCM of TLS 1.2: the first four are the salt (RFC 5288 3).
  std::array<std::byte, kNonceBytes> iv{};
  // TLS 1.3: what the next generation is derived from (RFC 8446 7.2); the first hash_bytes(hash).
  std::array<std::byte, kMaximumSecretBytes> secret{};
  std::uint64_t next_sequence = 0;  // of the next record

  ~TrafficKeys();  // wipes
};

struct ConnectionSecrets {
  Version version = Version::tls13;
  Aead aead = Aead::aes_128_gcm;
  Hash hash = Hash::sha256;
  TrafficKeys send;
  TrafficKeys receive;
};

}  // namespace nearfield::tls
