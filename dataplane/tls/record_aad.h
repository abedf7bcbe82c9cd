// Header and additional authenticated data of a record: the bytes that sealer and opener must
// agree on to the last one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/tls/record.h"

namespace nearfield::tls {

constexpr std::size_t explicit_nonce_bytes(Version version, Aead aead) {
  return version == Version::tls12 && aead != Aead::chacha20_poly1305 ? kExplicitNonceBytes : 0;
}

inline void write_sequence(std::uint64_t sequence, std::byte* out) {
  for (int shift = 56; shift >= 0; shift -= 8) *out++ = static_cast<std::byte>(sequence >> shift);
}

// Both versions write 3.3 (RFC 8446 5.2: legacy_record_version).
inline void write_header(ContentType type, std::size_t body_bytes, std::byte* out) {
  out[0] = std::byte{static_cast<std::uint8_t>(type)};
  out[1] = std::byte{3};
  out[2] = std::byte{3};
  out[3] = static_cast<std::byte>(body_bytes >> 8);
  out[4] = static_cast<std::byte>(body_bytes & 0xff);
}

class RecordAad {
 public:
  // `header` as on the wire; `plaintext_bytes` counts in TLS 1.2 only.
  RecordAad(Version version, std::uint64_t sequence, const std::byte* header,
            std::size_t plaintext_bytes) {
    if (version == Version::tls13) {  // the header itself: RFC 8446 5.2
      std::memcpy(bytes_.data(), header, kRecordHeaderBytes);
      size_ = kRecordHeaderBytes;
      return;
    }
    // Sequence, type, version, length of the plaintext: RFC 5246 6.2.3.3.
    write_sequence(sequence, bytes_.data());
    std::memcpy(bytes_.data() + 8, header, 3);
    bytes_[11] = static_cast<std::byte>(plaintext_bytes >> 8);
    bytes_[12] = static_cast<std::byte>(plaintext_bytes & 0xff);
    size_ = bytes_.size();
  }

  std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, 13> bytes_;
  std::size_t size_;
};

}  // namespace nearfield::tls
