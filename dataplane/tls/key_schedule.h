// Key schedule: from the secrets of a finished handshake to the keys of its records. TLS 1.3:
// HKDF-Expand-Label and the next generation after a KeyUpdate (RFC 8446 7.1 to 7.3). TLS 1.2: the
// PRF and the key block (RFC 5246 5 and 6.3) of AEAD suites (no MAC keys; RFC 5288, RFC 7905).
//
// Pure functions; every intermediate is wiped before they return, and the keys they return wipe
// themselves (secrets.h).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

// HKDF-Expand-Label(secret, label, context, out.size()): RFC 8446 7.1. `secret` is
// hash_bytes(hash) long, `label` comes without "tls13 " and is at most 249 bytes, `context` at most
// 255, `out` at most 255 hashes.
void hkdf_expand_label(Hash hash, std::span<const std::byte> secret, std::string_view label,
                       std::span<const std::byte> context, std::span<std::byte> out);

// Key and IV of an application traffic secret (hash_bytes(hash) long); the sequence starts at 0.
TrafficKeys traffic_keys(Aead aead, Hash hash, std::span<const std::byte> secret);

// To the next generation, after a KeyUpdate was sent (keys of sending) or received (keys of
// receiving): secret, key and IV are replaced, next_sequence is 0 again. TLS 1.3 only.
void update(TrafficKeys& keys, Aead aead, Hash hash);

// Both directions of TLS 1.3. The secrets are application_traffic_secret_0 of either side.
ConnectionSecrets tls13_secrets(Aead aead, Hash hash, std::span<const std::byte> client_secret,
                                std::span<const std::byte> server_secret, bool is_server);

// Both directions of TLS 1.2. `master_secret` is 48 bytes, the randoms 32 each. next_sequence of
// both directions is 1: the Finished of either side was record 0 under these keys (RFC 5246 6.1).
ConnectionSecrets tls12_secrets(Aead aead, Hash hash, std::span<const std::byte> master_secret,
                                std::span<const std::byte> client_random,
                                std::span<const std::byte> server_random, bool is_server);

}  // namespace nearfield::tls
