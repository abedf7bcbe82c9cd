#include "dataplane/access/key.h"

#include <nettle/bignum.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecc.h>
#include <nettle/ecdsa.h>
#include <nettle/gcm.h>

#include <algorithm>
#include <span>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::access {
namespace {

constexpr std::size_t kScalarBytes = 32;

class Number {
 public:
  explicit Number(Bytes bytes) {
    nettle_mpz_init_set_str_256_u(value_, bytes.size(), bytes.data());
  }
  ~Number() {
    // It may be a secret.
    wipe({reinterpret_cast<std::uint8_t*>(value_->_mp_d),
          static_cast<std::size_t>(value_->_mp_alloc) * sizeof(mp_limb_t)});
    mpz_clear(value_);
  }
  Number(const Number&) = delete;
  Number& operator=(const Number&) = delete;
  mpz_srcptr get() const { return value_; }

 private:
  mpz_t value_;
};

class Signature {
 public:
  Signature() { dsa_signature_init(&value_); }
  ~Signature() { dsa_signature_clear(&value_); }
  Signature(const Signature&) = delete;
  Signature& operator=(const Signature&) = delete;
  dsa_signature* get() { return &value_; }

 private:
  dsa_signature value_;
};

// The nonce of RFC 6979 3.2 as the "random" source that nettle's signer asks: 32 bytes a candidate.
class DeterministicNonce {
 public:
  DeterministicNonce(Bytes secret, const Digest& digest) {
    value_.fill(1);
    key_.fill(0);
    // bits2octets: the digest modulo the order. It is below 2^256 < 2 * order, one subtraction.
    Digest reduced = digest;
    if (std::ranges::lexicographical_compare(reduced, kOrder) == false) subtract_order(reduced);
    for (const std::uint8_t separator : std::array<std::uint8_t, 2>{0, 1}) {
      std::vector<std::uint8_t> input;
      input.reserve(value_.size() + 1 + secret.size() + reduced.size());  // no copies in old places
      input.insert(input.end(), value_.begin(), value_.end());
      input.push_back(separator);
      input.insert(input.end(), secret.begin(), secret.end());
      input.insert(input.end(), reduced.begin(), reduced.end());
      key_ = hmac_sha256(key_, input);
      value_ = hmac_sha256(key_, value_);
      wipe(input);
    }
  }
  ~DeterministicNonce() {
    wipe(key_);
    wipe(value_);
  }
  DeterministicNonce(const DeterministicNonce&) = delete;
  DeterministicNonce& operator=(const DeterministicNonce&) = delete;

  static void generate(void* context, std::size_t size, std::uint8_t* out) {
    static_cast<DeterministicNonce*>(context)->next({out, size});
  }

 private:
  static constexpr Digest kOrder = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
                                    0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

  static void subtract_order(Digest& number) {
    int borrow = 0;
    for (std::size_t i = number.size(); i-- > 0;) {
      const int difference = number[i] - kOrder[i] - borrow;
      borrow = difference < 0 ? 1 : 0;
      number[i] = static_cast<std::uint8_t>(difference + 256 * borrow);
    }
  }

  void next(std::span<std::uint8_t> out) {
    if (started_) {
      std::array<std::uint8_t, 33> input{};
      std::ranges::copy(value_, input.begin());
      key_ = hmac_sha256(key_, input);
      value_ = hmac_sha256(key_, value_);
      wipe(input);
    }
    started_ = true;
    for (std::size_t done = 0; done < out.size(); done += value_.size()) {
      value_ = hmac_sha256(key_, value_);
      std::copy_n(value_.begin(), std::min(value_.size(), out.size() - done),
                  out.begin() + static_cast<std::ptrdiff_t>(done));
    }
  }

  Digest key_;
  Digest value_;
  bool started_ = false;
};

Digest fingerprint_of(Algorithm algorithm, std::string_view id,
                      std::initializer_list<Bytes> parts) {
  std::vector<std::uint8_t> all;
  std::size_t size = 1 + id.size();
  for (const Bytes part : parts) size += part.size();
  all.reserve(size);  // a vector that grows leaves copies of secrets behind
  all.push_back(static_cast<std::uint8_t>(algorithm));
  for (const Bytes part : parts) all.insert(all.end(), part.begin(), part.end());
  all.insert(all.end(), id.begin(), id.end());
  const Digest digest = sha256(all);
  wipe(all);
  return digest;
}

}  // namespace

struct Key::Curve {
  Curve() {
    ecc_point_init(&point, nettle_get_secp_256r1());
    ecc_scalar_init(&scalar, nettle_get_secp_256r1());
  }
  ~Curve() {
    ecc_point_clear(&point);
    wipe({reinterpret_cast<std::uint8_t*>(scalar.p),
          static_cast<std::size_t>(ecc_size(scalar.ecc)) * sizeof(mp_limb_t)});
    ecc_scalar_clear(&scalar);
  }
  Curve(const Curve&) = delete;
  Curve& operator=(const Curve&) = delete;

  ecc_point point;
  ecc_scalar scalar;
  bool has_scalar = false;
};

std::string_view algorithm_name(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kEs256:
      return "ES256";
    case Algorithm::kHs256:
      return "HS256";
    case Algorithm::kA128Gcm:
      return "A128GCM";
    case Algorithm::kA256Gcm:
      return "A256GCM";
  }
  return "?";
}

Key::Key(Algorithm algorithm, std::string id) : algorithm_(algorithm), id_(std::move(id)) {}

Key::~Key() { wipe(secret_); }

std::shared_ptr<const Key> Key::es256(std::string id, Bytes x, Bytes y, Bytes secret) {
  if (x.size() != kScalarBytes || y.size() != kScalarBytes) return nullptr;
  std::shared_ptr<Key> key(new Key(Algorithm::kEs256, std::move(id)));
  key->curve_ = std::make_unique<Curve>();
  if (ecc_point_set(&key->curve_->point, Number(x).get(), Number(y).get()) == 0) return nullptr;
  if (!secret.empty()) {
    if (secret.size() != kScalarBytes) return nullptr;
    if (ecc_scalar_set(&key->curve_->scalar, Number(secret).get()) == 0) return nullptr;
    Curve derived;
    ecc_point_mul_g(&derived.point, &key->curve_->scalar);
    mpz_t ours[2];
    mpz_t theirs[2];
    for (int i = 0; i < 2; ++i) mpz_inits(ours[i], theirs[i], nullptr);
    ecc_point_get(&derived.point, ours[0], ours[1]);
    ecc_point_get(&key->curve_->point, theirs[0], theirs[1]);
    const bool same = mpz_cmp(ours[0], theirs[0]) == 0 && mpz_cmp(ours[1], theirs[1]) == 0;
    for (int i = 0; i < 2; ++i) mpz_clears(ours[i], theirs[i], nullptr);
    if (!same) return nullptr;
    key->curve_->has_scalar = true;
    key->secret_.assign(secret.begin(), secret.end());
  }
  key->fingerprint_ = fingerprint_of(Algorithm::kEs256, key->id_, {x, y});
  key->material_ = fingerprint_of(Algorithm::kEs256, {}, {x, y});
  return key;
}

std::shared_ptr<const Key> Key::symmetric(Algorithm algorithm, std::string id, Bytes secret) {
  NEARFIELD_ASSERT(algorithm != Algorithm::kEs256);
  std::shared_ptr<Key> key(new Key(algorithm, std::move(id)));
  key->secret_.assign(secret.begin(), secret.end());
  key->fingerprint_ = fingerprint_of(algorithm, key->id_, {secret});
  key->material_ = fingerprint_of(algorithm, {}, {secret});
  return key;
}

bool Key::can_verify() const {
  return algorithm_ == Algorithm::kEs256 || algorithm_ == Algorithm::kHs256;
}

bool Key::can_sign() const {
  return algorithm_ == Algorithm::kHs256 || (algorithm_ == Algorithm::kEs256 && curve_->has_scalar);
}

bool Key::verify(Bytes message, Bytes signature) const {
  if (algorithm_ == Algorithm::kHs256) {
    return equal_in_constant_time(hmac_sha256(secret_, message), signature);
  }
  if (algorithm_ != Algorithm::kEs256 || signature.size() != 2 * kScalarBytes) return false;
  Signature numbers;
  nettle_mpz_set_str_256_u(numbers.get()->r, kScalarBytes, signature.data());
  nettle_mpz_set_str_256_u(numbers.get()->s, kScalarBytes, signature.data() + kScalarBytes);
  const Digest digest = sha256(message);
  return ecdsa_verify(&curve_->point, digest.size(), digest.data(), numbers.get()) != 0;
}

std::vector<std::uint8_t> Key::sign(Bytes message) const {
  NEARFIELD_ASSERT(can_sign());
  if (algorithm_ == Algorithm::kHs256) {
    const Digest mac = hmac_sha256(secret_, message);
    return {mac.begin(), mac.end()};
  }
  const Digest digest = sha256(message);
  DeterministicNonce nonce(secret_, digest);
  Signature numbers;
  ecdsa_sign(&curve_->scalar, &nonce, DeterministicNonce::generate, digest.size(), digest.data(),
             numbers.get());
  std::vector<std::uint8_t> signature(2 * kScalarBytes);
  nettle_mpz_get_str_256(kScalarBytes, signature.data(), numbers.get()->r);
  nettle_mpz_get_str_256(kScalarBytes, signature.data() + kScalarBytes, numbers.get()->s);
  return signature;
}

std::optional<std::string> Key::decrypt(Bytes nonce, Bytes associated, Bytes ciphertext,
                                        Bytes tag) const {
  if (nonce.size() != GCM_IV_SIZE || tag.size() != GCM_DIGEST_SIZE) return std::nullopt;
  std::string plain(ciphertext.size(), '\0');
  auto* out = reinterpret_cast<std::uint8_t*>(plain.data());
  std::array<std::uint8_t, GCM_DIGEST_SIZE> computed{};
  if (algorithm_ == Algorithm::kA128Gcm) {
    gcm_aes128_ctx context;
    gcm_aes128_set_key(&context, secret_.data());
    gcm_aes128_set_iv(&context, nonce.size(), nonce.data());
    gcm_aes128_update(&context, associated.size(), associated.data());
    gcm_aes128_decrypt(&context, ciphertext.size(), out, ciphertext.data());
    gcm_aes128_digest(&context, computed.size(), computed.data());
    wipe({reinterpret_cast<std::uint8_t*>(&context), sizeof(context)});
  } else if (algorithm_ == Algorithm::kA256Gcm) {
    gcm_aes256_ctx context;
    gcm_aes256_set_key(&context, secret_.data());
    gcm_aes256_set_iv(&context, nonce.size(), nonce.data());
    gcm_aes256_update(&context, associated.size(), associated.data());
    gcm_aes256_decrypt(&context, ciphertext.size(), out, ciphertext.data());
    gcm_aes256_digest(&context, computed.size(), computed.data());
    wipe({reinterpret_cast<std::uint8_t*>(&context), sizeof(context)});
  } else {
    return std::nullopt;
  }
  if (!equal_in_constant_time(computed, tag)) return std::nullopt;
  return plain;
}

}  // namespace nearfield::access
