// Header, nonce and additional data of a record, then the engine.
#include "dataplane/tls/record_sealer.h"

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/tls/record_aad.h"

namespace nearfield::tls {

Nonce record_nonce(Version version, Aead aead, const std::array<std::byte, kNonceBytes>& iv,
                   std::uint64_t sequence) {
  Nonce nonce = iv;
  const bool explicit_nonce = version == Version::tls12 && aead != Aead::chacha20_poly1305;
  std::byte* tail = nonce.data() + nonce.size() - sizeof sequence;
  std::array<std::byte, sizeof sequence> number;
  net::write_64(number.data(), sequence);
  for (std::size_t i = 0; i < number.size(); ++i) {
    tail[i] = explicit_nonce ? number[i] : tail[i] ^ number[i];
  }
  return nonce;
}

std::size_t seal_record(const AeadEngine& engine, Version version, Aead aead,
                        const ExpandedKey& key, const std::array<std::byte, kNonceBytes>& iv,
                        std::uint64_t sequence, ContentType type, std::span<const iovec> plaintext,
                        std::byte* out) {
  std::size_t length = 0;
  for (const iovec& piece : plaintext) length += piece.iov_len;
  NEARFIELD_ASSERT(length <= kMaximumPlaintext);

  const std::size_t total = sealed_bytes(version, aead, length);
  const bool inner_type = version == Version::tls13;
  write_header(inner_type ? ContentType::application_data : type, total - kRecordHeaderBytes, out);
  std::byte* body = out + kRecordHeaderBytes;
  if (explicit_nonce_bytes(version, aead) != 0) {
    net::write_64(body, sequence);
    body += kExplicitNonceBytes;
  }
  const RecordAad aad(version, sequence, out, length);
  const std::byte trailer{static_cast<std::uint8_t>(type)};
  const Nonce nonce = record_nonce(version, aead, iv, sequence);
  engine.seal(aead, key, nonce, aad.bytes(), plaintext, {&trailer, inner_type ? 1u : 0u}, body,
              out + total - kTagBytes);
  return total;
}

}  // namespace nearfield::tls
