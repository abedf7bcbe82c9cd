// The libraries' HKDF and PRF with what TLS feeds them. Every array that held something secret is
// wiped.
#include "dataplane/tls/key_schedule.h"

#include <mbedtls/ssl.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/nettle-meta.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "cache/base/assert.h"
#include "dataplane/net/byte_order.h"
#include "dataplane/tls/library.h"

namespace nearfield::tls {

namespace {

using HashBytes = std::array<std::byte, kMaximumSecretBytes>;

}  // namespace

void hkdf_expand_label(Hash hash, std::span<const std::byte> secret, std::string_view label,
                       std::span<const std::byte> context, std::span<std::byte> out) {
  static constexpr std::string_view kPrefix = "tls13 ";
  const std::size_t label_bytes = kPrefix.size() + label.size();
  NEARFIELD_ASSERT(secret.size() == hash_bytes(hash));
  NEARFIELD_ASSERT(label_bytes <= 255 && context.size() <= 255);
  NEARFIELD_ASSERT(out.size() <= 255 * hash_bytes(hash));

  // HkdfLabel of RFC 8446 7.1; nothing secret.
  std::array<std::byte, 2 + 1 + 255 + 1 + 255> info;
  net::write_16(info.data(), static_cast<unsigned>(out.size()));
  std::byte* end = info.data() + 2;
  *end++ = static_cast<std::byte>(label_bytes);
  end = std::ranges::copy(std::as_bytes(std::span(kPrefix)), end).out;
  end = std::ranges::copy(std::as_bytes(std::span(label)), end).out;
  *end++ = static_cast<std::byte>(context.size());
  end = std::ranges::copy(context, end).out;

  union {
    hmac_sha256_ctx sha256;
    hmac_sha384_ctx sha384;
  } state;
  const nettle_mac& mac = hash == Hash::sha256 ? nettle_hmac_sha256 : nettle_hmac_sha384;
  mac.set_key(&state, as_chars(secret.data()));  // of the digest's size
  hkdf_expand(&state, mac.update, mac.digest, mac.digest_size,
              static_cast<std::size_t>(end - info.data()), as_chars(info.data()), out.size(),
              as_chars(out.data()));
  wipe(std::as_writable_bytes(std::span(&state, 1)));
}

TrafficKeys traffic_keys(Aead aead, Hash hash, std::span<const std::byte> secret) {
  NEARFIELD_ASSERT(secret.size() == hash_bytes(hash));
  TrafficKeys keys;
  hkdf_expand_label(hash, secret, "key", {}, std::span(keys.key).first(key_bytes(aead)));
  hkdf_expand_label(hash, secret, "iv", {}, keys.iv);
  std::ranges::copy(secret, keys.secret.begin());
  return keys;
}

void update(TrafficKeys& keys, Aead aead, Hash hash) {
  HashBytes next{};
  const auto secret = std::span(next).first(hash_bytes(hash));
  hkdf_expand_label(hash, std::span(keys.secret).first(hash_bytes(hash)), "traffic upd", {},
                    secret);
  hkdf_expand_label(hash, secret, "key", {}, std::span(keys.key).first(key_bytes(aead)));
  hkdf_expand_label(hash, secret, "iv", {}, keys.iv);
  std::ranges::copy(secret, keys.secret.begin());
  keys.next_sequence = 0;
  wipe(next);
}

ConnectionSecrets tls13_secrets(Aead aead, Hash hash, std::span<const std::byte> client_secret,
                                std::span<const std::byte> server_secret, bool is_server) {
  ConnectionSecrets secrets;
  secrets.version = Version::tls13;
  secrets.aead = aead;
  secrets.hash = hash;
  secrets.send = traffic_keys(aead, hash, is_server ? server_secret : client_secret);
  secrets.receive = traffic_keys(aead, hash, is_server ? client_secret : server_secret);
  return secrets;
}

ConnectionSecrets tls12_secrets(Aead aead, Hash hash, std::span<const std::byte> master_secret,
                                std::span<const std::byte> client_random,
                                std::span<const std::byte> server_random, bool is_server) {
  NEARFIELD_ASSERT(master_secret.size() == 48);
  NEARFIELD_ASSERT(client_random.size() == 32 && server_random.size() == 32);
  const std::size_t key_size = key_bytes(aead);
  // The salt of AES-GCM (RFC 5288 3); ChaCha20-Poly1305 has a whole nonce (RFC 7905 2).
  const std::size_t iv_size = aead == Aead::chacha20_poly1305 ? kNonceBytes : 4;
  std::array<std::byte, 2 * (kMaximumKeyBytes + kNonceBytes)> key_block{};
  std::array<std::byte, 64> seed;
  std::ranges::copy(client_random, std::ranges::copy(server_random, seed.begin()).out);
  const int code = mbedtls_ssl_tls_prf(
      hash == Hash::sha256 ? MBEDTLS_SSL_TLS_PRF_SHA256 : MBEDTLS_SSL_TLS_PRF_SHA384,
      as_chars(master_secret.data()), master_secret.size(), "key expansion", as_chars(seed.data()),
      seed.size(), as_chars(key_block.data()), 2 * (key_size + iv_size));
  NEARFIELD_ASSERT(code == 0);  // wrong arguments, or no memory

  ConnectionSecrets secrets;
  secrets.version = Version::tls12;
  secrets.aead = aead;
  secrets.hash = hash;
  TrafficKeys& client = is_server ? secrets.receive : secrets.send;
  TrafficKeys& server = is_server ? secrets.send : secrets.receive;
  auto left = std::span<const std::byte>(key_block);
  const auto take = [&left](std::span<std::byte> target) {
    std::ranges::copy(left.first(target.size()), target.begin());
    left = left.subspan(target.size());
  };
  take(std::span(client.key).first(key_size));
  take(std::span(server.key).first(key_size));
  take(std::span(client.iv).first(iv_size));
  take(std::span(server.iv).first(iv_size));
  client.next_sequence = 1;
  server.next_sequence = 1;
  wipe(key_block);
  return secrets;
}

}  // namespace nearfield::tls
