// Suites: the cipher suites, groups and signature algorithms this node agrees to, as tables that
// everything about handshakes shares. All are ephemeral Diffie-Hellman with AEAD.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/tls/secrets.h"

namespace nearfield::tls {

enum class SuiteKey : std::uint8_t { any, ecdsa, rsa };

struct Suite {
  std::uint16_t id;
  std::string_view name;  // IANA
  Version version;
  SuiteKey key;
  Aead aead;
  Hash hash;
};

// RFC 8446 B.4, RFC 5289, RFC 7905.
inline constexpr std::array<Suite, 9> kSuites = {{
    {0x1301, "TLS_AES_128_GCM_SHA256", Version::tls13, SuiteKey::any, Aead::aes_128_gcm,
     Hash::sha256},
    {0x1302, "TLS_AES_256_GCM_SHA384", Version::tls13, SuiteKey::any, Aead::aes_256_gcm,
     Hash::sha384},
    {0x1303, "TLS_CHACHA20_POLY1305_SHA256", Version::tls13, SuiteKey::any, Aead::chacha20_poly1305,
     Hash::sha256},
    {0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Version::tls12, SuiteKey::ecdsa,
     Aead::aes_128_gcm, Hash::sha256},
    {0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Version::tls12, SuiteKey::rsa,
     Aead::aes_128_gcm, Hash::sha256},
    {0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Version::tls12, SuiteKey::ecdsa,
     Aead::aes_256_gcm, Hash::sha384},
    {0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Version::tls12, SuiteKey::rsa,
     Aead::aes_256_gcm, Hash::sha384},
    {0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Version::tls12, SuiteKey::ecdsa,
     Aead::chacha20_poly1305, Hash::sha256},
    {0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Version::tls12, SuiteKey::rsa,
     Aead::chacha20_poly1305, Hash::sha256},
}};

constexpr const Suite* find_suite(int id) {
  for (const Suite& suite : kSuites)
    if (suite.id == id) return &suite;
  return nullptr;
}

// RFC 8446 4.2.7: x25519, secp256r1, secp384r1, in our order of preference.
inline constexpr std::array<std::uint16_t, 3> kGroups = {0x001d, 0x0017, 0x0018};

// RFC 8446 4.2.3, in our order of preference. Those with PKCS #1 v1.5 sign in TLS 1.2 and in
// certificates only, those with PSS in TLS 1.3 only: the library refuses them in TLS 1.2, where
// servers (OpenSSL's) take the first that fits their key. So they come last.
inline constexpr std::array<std::uint16_t, 8> kSignatures = {
    0x0403,  // ecdsa_secp256r1_sha256
    0x0503,  // ecdsa_secp384r1_sha384
    0x0401,  // rsa_pkcs1_sha256
    0x0501,  // rsa_pkcs1_sha384
    0x0601,  // rsa_pkcs1_sha512
    0x0804,  // rsa_pss_rsae_sha256
    0x0805,  // rsa_pss_rsae_sha384
    0x0806,  // rsa_pss_rsae_sha512
};

}  // namespace nearfield::tls
