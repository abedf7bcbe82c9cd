// The two derivations of TLS, both over HMAC. Every array that held something secret is wiped.
#include "dataplane/tls/key_schedule.h"

#include <nettle/hmac.h>

#include <algorithm>
#include <array>
#include <cstdint>

#include "cache/base/assert.h"

namespace nearfield::tls {

namespace {

using HashBytes = std::array<std::byte, kMaximumSecretBytes>;

const std::uint8_t* octets(std::span<const std::byte> bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}

// HMAC with one key over any number of messages.
class Hmac {
 public:
  Hmac(Hash hash, std::span<const std::byte> key) : hash_(hash) {
    if (hash_ == Hash::sha256) {
      hmac_sha256_set_key(&context_.sha256, key.size(), octets(key));
    } else {
      hmac_sha384_set_key(&context_.sha384, key.size(), octets(key));
    }
  }
  ~Hmac() { wipe(std::as_writable_bytes(std::span(&context_, 1))); }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  void add(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (hash_ == Hash::sha256) {
      hmac_sha256_update(&context_.sha256, bytes.size(), octets(bytes));
    } else {
      hmac_sha384_update(&context_.sha384, bytes.size(), octets(bytes));
    }
  }

  // Ends the message; the next add() begins another.
  void finish(std::span<std::byte> out) {
    auto* digest = reinterpret_cast<std::uint8_t*>(out.data());
    if (hash_ == Hash::sha256) {
      hmac_sha256_digest(&context_.sha256, out.size(), digest);
    } else {
      hmac_sha384_digest(&context_.sha384, out.size(), digest);
    }
  }

 private:
  Hash hash_;
  union {
    hmac_sha256_ctx sha256;
    hmac_sha384_ctx sha384;
  } context_;
};

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace

void hmac(Hash hash, std::span<const std::byte> key, std::span<const std::byte> message,
          std::span<std::byte> out) {
  NEARFIELD_ASSERT(out.size() <= hash_bytes(hash));
  Hmac mac(hash, key);
  mac.add(message);
  mac.finish(out);
}

void hkdf_expand_label(Hash hash, std::span<const std::byte> secret, std::string_view label,
                       std::span<const std::byte> context, std::span<std::byte> out) {
  static constexpr std::string_view kPrefix = "tls13 ";
  const std::size_t label_bytes = kPrefix.size() + label.size();
  NEARFIELD_ASSERT(label_bytes <= 255 && context.size() <= 255);
  NEARFIELD_ASSERT(out.size() <= 255 * hash_bytes(hash));

  const std::array<std::byte, 3> head{static_cast<std::byte>(out.size() >> 8),
                                      static_cast<std::byte>(out.size() & 0xff),
                                      static_cast<std::byte>(label_bytes)};
  const std::array<std::byte, 1> context_length{static_cast<std::byte>(context.size())};
  Hmac mac(hash, secret);
  HashBytes block{};
  std::size_t block_bytes = 0;  // of the block before; the first has none
  std::byte counter{1};
  for (std::size_t done = 0; done < out.size();) {
    mac.add(std::span(block).first(block_bytes));
    mac.add(head);
    mac.add(bytes_of(kPrefix));
    mac.add(bytes_of(label));
    mac.add(context_length);
    mac.add(context);
    mac.add({&counter, 1});
    block_bytes = hash_bytes(hash);
    mac.finish(std::span(block).first(block_bytes));
    const std::size_t taken = std::min(block_bytes, out.size() - done);
    std::ranges::copy(std::span(block).first(taken), out.begin() + done);
    done += taken;
    counter = static_cast<std::byte>(std::to_integer<unsigned>(counter) + 1);
  }
  wipe(block);
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

void tls12_prf(Hash hash, std::span<const std::byte> secret, std::string_view label,
               std::span<const std::byte> first_seed, std::span<const std::byte> second_seed,
               std::span<std::byte> out) {
  const std::size_t size = hash_bytes(hash);
  Hmac mac(hash, secret);
  const auto add_seed = [&] {
    mac.add(bytes_of(label));
    mac.add(first_seed);
    mac.add(second_seed);
  };
  HashBytes chain{};  // A(i) of RFC 5246 5
  HashBytes block{};
  const auto a = std::span(chain).first(size);
  add_seed();
  mac.finish(a);
  for (std::size_t done = 0; done < out.size();) {
    mac.add(a);
    add_seed();
    mac.finish(std::span(block).first(size));
    const std::size_t taken = std::min(size, out.size() - done);
    std::ranges::copy(std::span(block).first(taken), out.begin() + done);
    done += taken;
    mac.add(a);
    mac.finish(a);
  }
  wipe(chain);
  wipe(block);
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
  tls12_prf(hash, master_secret, "key expansion", server_random, client_random,
            std::span(key_block).first(2 * (key_size + iv_size)));

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
