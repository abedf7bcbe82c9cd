// The TLS record on the wire: sizes, limits, content types and alerts that sealer, opener and the
// streams above them share. RFC 8446 5 (TLS 1.3), RFC 5246 6.2 with RFC 5288 and RFC 7905 (1.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

inline constexpr std::size_t kRecordHeaderBytes = 5;
// Largest plaintext of a record (both versions).
inline constexpr std::size_t kMaximumPlaintext = 16384;
// TLS 1.2 with AES-GCM: the part of the nonce that every record carries (RFC 5288 3).
inline constexpr std::size_t kExplicitNonceBytes = 8;

enum class ContentType : std::uint8_t {
  change_cipher_spec = 20,
  alert = 21,
  handshake = 22,
  application_data = 23,
};

enum class AlertLevel : std::uint8_t { warning = 1, fatal = 2 };

// RFC 8446 6 and RFC 5246 7.2; the peer may send numbers that are not here.
enum class AlertDescription : std::uint8_t {
  close_notify = 0,
  unexpected_message = 10,
  bad_record_mac = 20,
  record_overflow = 22,
  handshake_failure = 40,
  bad_certificate = 42,
  unsupported_certificate = 43,
  certificate_revoked = 44,
  certificate_expired = 45,
  certificate_unknown = 46,
  illegal_parameter = 47,
  unknown_ca = 48,
  access_denied = 49,
  decode_error = 50,
  decrypt_error = 51,
  protocol_version = 70,
  insufficient_security = 71,
  internal_error = 80,
  inappropriate_fallback = 86,
  user_canceled = 90,
  no_renegotiation = 100,  // TLS 1.2 only
  missing_extension = 109,
  unsupported_extension = 110,
  unrecognized_name = 112,
  bad_certificate_status_response = 113,
  unknown_psk_identity = 115,
  certificate_required = 116,
  no_application_protocol = 120,
};

// As in the RFC ("bad_record_mac"); "an unknown alert" for a number that is not above.
std::string_view name(AlertDescription description);

// Bytes on the wire, header included, of a record with `plaintext_bytes` (at most
// kMaximumPlaintext) in it, without padding.
constexpr std::size_t sealed_bytes(Version version, Aead aead, std::size_t plaintext_bytes) {
  if (version == Version::tls13) {
    // The byte behind the plaintext is the content type (RFC 8446 5.2).
    return kRecordHeaderBytes + plaintext_bytes + 1 + kTagBytes;
  }
  const std::size_t explicit_nonce = aead == Aead::chacha20_poly1305 ? 0 : kExplicitNonceBytes;
  return kRecordHeaderBytes + explicit_nonce + plaintext_bytes + kTagBytes;
}

// How many records a sender protects with one key. AES-GCM: 2^24.5 full records keep an attacker's
// advantage under 2^-57 (RFC 8446 5.5), we stop at 2^24. ChaCha20-Poly1305 has no such bound below
// the sequence number's own; 2^48 is far from it and out of reach. Before that TLS 1.3 sends a
// KeyUpdate, TLS 1.2 closes the connection.
constexpr std::uint64_t records_per_key(Aead aead) {
  return aead == Aead::chacha20_poly1305 ? std::uint64_t{1} << 48 : std::uint64_t{1} << 24;
}

}  // namespace nearfield::tls
