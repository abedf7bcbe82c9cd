// seal_record: one plaintext becomes one TLS record. Stateless on purpose: the same arguments make
// the same bytes, so a record that the network lost is sealed again from the cache instead of being
// kept for it.
//
// The invariant this leans on: key and sequence number make the nonce, and a nonce belongs to one
// plaintext for ever. Until its last byte is acknowledged a record's type, length and bytes must
// neither change nor move to another sequence number; two plaintexts under one nonce give away
// GCM's authentication key (NIST SP 800-38D 8). Content is therefore pinned and immutable until
// then, and the owner of the sequence numbers asks its NonceGuard (nonce_guard.h) on every seal.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/tls/aead.h"
#include "dataplane/tls/record.h"
#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

// Seals the pieces of `plaintext` (together at most kMaximumPlaintext bytes; empty pieces allowed)
// as record number `sequence`, and returns how many bytes it wrote to `out`: always
// sealed_bytes(version, aead, length). `out` overlaps no piece. `iv` is TrafficKeys::iv, `key` the
// engine's expansion of TrafficKeys::key. The explicit nonce of TLS 1.2 with AES-GCM is the
// sequence number. Any thread; allocates nothing with ipsec-mb.
std::size_t seal_record(const AeadEngine& engine, Version version, Aead aead,
                        const ExpandedKey& key, const std::array<std::byte, kNonceBytes>& iv,
                        std::uint64_t sequence, ContentType type, std::span<const iovec> plaintext,
                        std::byte* out);

// The nonce of record `sequence` (RFC 8446 5.3, RFC 5288 3, RFC 7905 2).
Nonce record_nonce(Version version, Aead aead, const std::array<std::byte, kNonceBytes>& iv,
                   std::uint64_t sequence);

}  // namespace nearfield::tls
