// Header and additional authenticated data of a record: the bytes that sealer and opener must
// agree on to the last one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "dataplane/net/byte_order.h"
#include "dataplane/tls/record.h"

namespace nearfield::tls {

constexpr std::size_t explicit_nonce_bytes(Version version, Aead aead) {
  return version == Version::tls12 && aead != Aead::chacha20_poly1305 ? kExplicitNonceBytes : 0;
}

// Both versions write 3.3 (RFC 8446 5.2: legacy_record_version).
inline void write_header(ContentType type, std::size_t body_bytes, std::byte* out) {
  out[0] = std::byte{static_cast<std::uint8_t>(type)};
  out[1] = std::byte{3};
  out[2] = std::byte{3};
  net::write_16(out + 3, static_cast<unsigned>(body_bytes));
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
    net::write_64(bytes_.data(), sequence);
    std::memcpy(bytes_.data() + 8, header, 3);
    net::write_16(bytes_.data() + 11, static_cast<unsigned>(plaintext_bytes));
    size_ = bytes_.size();
  }

  std::span<const std::byte> bytes() const { return {bytes_.data(), size_}; }

 private:
  std::array<std::byte, 13> bytes_;
  std::size_t size_;
};

}  // namespace nearfield::tls
