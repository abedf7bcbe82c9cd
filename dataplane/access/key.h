// Key: one key with the one thing it may be used for. What a token says of its algorithm is only
// compared with the key's, never followed, so that an attacker cannot have a public key taken for a
// shared secret. Secret bytes are wiped when the key goes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/access/digest.h"

namespace nearfield::access {

enum class Algorithm : std::uint8_t { kEs256, kHs256, kA128Gcm, kA256Gcm };
std::string_view algorithm_name(Algorithm algorithm);  // as in JOSE: "ES256"

class Key {
 public:
  // P-256, coordinates of 32 bytes each; `secret` is empty for a key that only verifies. Null when
  // the point is not on the curve, or the secret is no scalar or not that of the point.
  static std::shared_ptr<const Key> es256(std::string id, Bytes x, Bytes y, Bytes secret);
  static std::shared_ptr<const Key> symmetric(Algorithm algorithm, std::string id, Bytes secret);

  ~Key();
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;

  Algorithm algorithm() const { return algorithm_; }
  const std::string& id() const { return id_; }  // "" when it has none
  // The same in every policy that has this key under this id: SHA-256 over all of it.
  const Digest& fingerprint() const { return fingerprint_; }
  // The same for the same key under whatever id.
  const Digest& material() const { return material_; }
  bool can_verify() const;
  bool can_sign() const;

  // ES256: 64 bytes r and s (RFC 7518 3.4, RFC 9053 2.1); HS256: the 32 bytes of the MAC.
  bool verify(Bytes message, Bytes signature) const;
  // Deterministic (RFC 6979), so that no source of randomness can betray the key.
  std::vector<std::uint8_t> sign(Bytes message) const;
  // AES-GCM with a tag of 16 bytes; nullopt when it was not made with this key.
  std::optional<std::string> decrypt(Bytes nonce, Bytes associated, Bytes ciphertext,
                                     Bytes tag) const;

 private:
  struct Curve;  // nettle's forms of the key
  Key(Algorithm algorithm, std::string id);

  Algorithm algorithm_;
  std::string id_;
  Digest fingerprint_{};
  Digest material_{};
  std::vector<std::uint8_t> secret_;
  std::unique_ptr<Curve> curve_;
};

}  // namespace nearfield::access
