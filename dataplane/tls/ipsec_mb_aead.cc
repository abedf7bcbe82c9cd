// The AEADs by intel-ipsec-mb's direct API: init, update for every piece, finalize.
//
// One manager serves all threads: the functions behind it get key and context from the caller and
// only read the manager, which after its start is a table of function pointers. The library's one
// process-wide variable is its error number; it is written when it changes, and it does not change
// as long as no call passes a null pointer, which is why empty pieces never reach the library.
// Pieces may have any length (the tests split at every place).
#include <intel-ipsec-mb.h>
#include <nettle/memops.h>

#include <algorithm>
#include <cstdint>

#include "cache/base/assert.h"
#include "dataplane/tls/aead.h"

namespace nearfield::tls {

namespace {

static_assert(sizeof(gcm_key_data) <= ExpandedKey::kBytes);
static_assert(alignof(gcm_key_data) <= alignof(ExpandedKey));

const std::uint8_t* octets(const void* bytes) { return static_cast<const std::uint8_t*>(bytes); }
std::uint8_t* octets(void* bytes) { return static_cast<std::uint8_t*>(bytes); }

// A context of the library, wiped at the end: it holds key stream and hash keys.
template <typename Context>
struct WipedContext {
  WipedContext() = default;
  ~WipedContext() { wipe(std::as_writable_bytes(std::span(&context, 1))); }
  WipedContext(const WipedContext&) = delete;
  WipedContext& operator=(const WipedContext&) = delete;
  Context context;  // not initialised: init writes it
};

// Calls `update(out, in, length)` for every piece that has bytes, and for the trailer.
template <typename Update>
void for_each_piece(std::span<const iovec> plaintext, std::span<const std::byte> trailer,
                    std::byte* out, const Update& update) {
  for (const iovec& piece : plaintext) {
    if (piece.iov_len == 0) continue;
    update(octets(out), octets(piece.iov_base), piece.iov_len);
    out += piece.iov_len;
  }
  if (!trailer.empty()) update(octets(out), octets(trailer.data()), trailer.size());
}

class IpsecMbEngine final : public AeadEngine {
 public:
  // The manager lives as long as the process.
  IpsecMbEngine(const IMB_MGR* manager, IMB_ARCH architecture)
      : manager_(manager),
        architecture_(architecture),
        gcm_{{manager->gcm128_pre, manager->gcm128_dec, manager->gcm128_init,
              manager->gcm128_enc_update, manager->gcm128_enc_finalize},
             {manager->gcm256_pre, manager->gcm256_dec, manager->gcm256_init,
              manager->gcm256_enc_update, manager->gcm256_enc_finalize}} {}

  std::string_view name() const override {
    switch (architecture_) {
      case IMB_ARCH_AVX512:
        return "ipsec-mb (AVX512)";
      case IMB_ARCH_AVX2:
        return "ipsec-mb (AVX2)";
      default:
        return "ipsec-mb (SSE)";
    }
  }

  void expand(Aead aead, std::span<const std::byte> key, ExpandedKey& expanded) const override {
    NEARFIELD_ASSERT(key.size() == key_bytes(aead));
    if (aead == Aead::chacha20_poly1305) {
      std::ranges::copy(key, expanded.bytes.begin());
    } else {
      gcm(aead).pre(key.data(), tables(expanded));
    }
  }

  void seal(Aead aead, const ExpandedKey& key, const Nonce& nonce, std::span<const std::byte> aad,
            std::span<const iovec> plaintext, std::span<const std::byte> trailer, std::byte* out,
            std::byte* tag_out) const override {
    if (aead == Aead::chacha20_poly1305) {
      WipedContext<chacha20_poly1305_context_data> chacha;
      auto* context = &chacha.context;
      const void* raw = key.bytes.data();
      manager_->chacha20_poly1305_init(raw, context, nonce.data(), aad.data(), aad.size());
      for_each_piece(plaintext, trailer, out, [&](auto* to, const auto* from, std::size_t length) {
        manager_->chacha20_poly1305_enc_update(raw, context, to, from, length);
      });
      manager_->chacha20_poly1305_finalize(context, tag_out, kTagBytes);
      return;
    }
    const Gcm& functions = gcm(aead);
    WipedContext<gcm_context_data> gcm_context;
    auto* context = &gcm_context.context;
    functions.init(tables(key), context, octets(nonce.data()), octets(aad.data()), aad.size());
    for_each_piece(plaintext, trailer, out, [&](auto* to, const auto* from, std::size_t length) {
      functions.encrypt_update(tables(key), context, to, from, length);
    });
    functions.encrypt_finalize(tables(key), context, octets(tag_out), kTagBytes);
  }

  bool open(Aead aead, const ExpandedKey& key, const Nonce& nonce, std::span<const std::byte> aad,
            std::span<const std::byte> ciphertext, const std::byte* tag,
            std::byte* out) const override {
    std::array<std::byte, kTagBytes> computed;
    if (aead == Aead::chacha20_poly1305) {
      WipedContext<chacha20_poly1305_context_data> chacha;
      auto* context = &chacha.context;
      const void* raw = key.bytes.data();
      manager_->chacha20_poly1305_init(raw, context, nonce.data(), aad.data(), aad.size());
      if (!ciphertext.empty()) {
        manager_->chacha20_poly1305_dec_update(raw, context, out, ciphertext.data(),
                                               ciphertext.size());
      }
      manager_->chacha20_poly1305_finalize(context, computed.data(), kTagBytes);
    } else {
      WipedContext<gcm_context_data> gcm_context;
      // The text of an empty message is read nowhere, but must not be a null pointer.
      const void* text = ciphertext.empty() ? static_cast<const void*>(tag) : ciphertext.data();
      void* target = ciphertext.empty() ? static_cast<void*>(computed.data()) : out;
      gcm(aead).decrypt(tables(key), &gcm_context.context, octets(target), octets(text),
                        ciphertext.size(), octets(nonce.data()), octets(aad.data()), aad.size(),
                        octets(computed.data()), kTagBytes);
    }
    if (memeql_sec(computed.data(), tag, kTagBytes) != 0) return true;
    wipe({out, ciphertext.size()});
    return false;
  }

 private:
  struct Gcm {
    aes_gcm_pre_t pre;
    aes_gcm_enc_dec_t decrypt;
    aes_gcm_init_t init;
    aes_gcm_enc_dec_update_t encrypt_update;
    aes_gcm_enc_dec_finalize_t encrypt_finalize;
  };

  const Gcm& gcm(Aead aead) const { return gcm_[aead == Aead::aes_128_gcm ? 0 : 1]; }
  static const gcm_key_data* tables(const ExpandedKey& key) {
    return reinterpret_cast<const gcm_key_data*>(key.bytes.data());
  }
  static gcm_key_data* tables(ExpandedKey& key) {
    return reinterpret_cast<gcm_key_data*>(key.bytes.data());
  }

  const IMB_MGR* manager_;
  IMB_ARCH architecture_;
  Gcm gcm_[2];
};

// Null when the library cannot run here.
const AeadEngine* start() {
  if (!ProcessorFeatures::detect().all()) return nullptr;
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return nullptr;
  IMB_ARCH architecture = IMB_ARCH_NONE;
  init_mb_mgr_auto(manager, &architecture);  // runs the library's known-answer tests
  const bool tested = (manager->features & IMB_FEATURE_SELF_TEST) == 0 ||
                      (manager->features & IMB_FEATURE_SELF_TEST_PASS) != 0;
  if (architecture == IMB_ARCH_NONE || imb_get_errno(manager) != 0 || !tested) {
    free_mb_mgr(manager);
    return nullptr;
  }
  static const IpsecMbEngine engine(manager, architecture);
  return &engine;
}

}  // namespace

const AeadEngine* AeadEngine::ipsec_mb() {
  static const AeadEngine* const engine = start();
  return engine;
}

}  // namespace nearfield::tls
