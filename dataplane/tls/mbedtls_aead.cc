// The AEADs by mbedTLS, for processors that ipsec-mb does not know: correct, and about fifty times
// slower. The expanded key is the key itself: mbedTLS keeps a cipher's state on the heap, where an
// ExpandedKey would have to own it, so it is set up anew for every record, which is small beside
// the encryption of one.
#include <mbedtls/chachapoly.h>
#include <mbedtls/gcm.h>
#include <nettle/memops.h>

#include <algorithm>
#include <cstdint>

#include "cache/base/assert.h"
#include "dataplane/tls/aead.h"

namespace nearfield::tls {

namespace {

const std::uint8_t* octets(const void* bytes) { return static_cast<const std::uint8_t*>(bytes); }
std::uint8_t* octets(void* bytes) { return static_cast<std::uint8_t*>(bytes); }

// The library's results are about wrong arguments and memory: neither is the peer's doing.
void must(int result) { NEARFIELD_ASSERT(result == 0); }

struct GcmContext {
  GcmContext(Aead aead, const ExpandedKey& key) {
    mbedtls_gcm_init(&context);
    must(mbedtls_gcm_setkey(&context, MBEDTLS_CIPHER_ID_AES, octets(key.bytes.data()),
                            static_cast<unsigned>(key_bytes(aead) * 8)));
  }
  ~GcmContext() { mbedtls_gcm_free(&context); }  // wipes
  GcmContext(const GcmContext&) = delete;
  GcmContext& operator=(const GcmContext&) = delete;
  mbedtls_gcm_context context;
};

struct ChachaContext {
  explicit ChachaContext(const ExpandedKey& key) {
    mbedtls_chachapoly_init(&context);
    must(mbedtls_chachapoly_setkey(&context, octets(key.bytes.data())));
  }
  ~ChachaContext() { mbedtls_chachapoly_free(&context); }  // wipes
  ChachaContext(const ChachaContext&) = delete;
  ChachaContext& operator=(const ChachaContext&) = delete;
  mbedtls_chachapoly_context context;
};

class MbedtlsEngine final : public AeadEngine {
 public:
  std::string_view name() const override { return "mbedtls"; }

  void expand(Aead aead, std::span<const std::byte> key, ExpandedKey& expanded) const override {
    NEARFIELD_ASSERT(key.size() == key_bytes(aead));
    std::ranges::copy(key, expanded.bytes.begin());
  }

  void seal(Aead aead, const ExpandedKey& key, const Nonce& nonce, std::span<const std::byte> aad,
            std::span<const iovec> plaintext, std::span<const std::byte> trailer, std::byte* out,
            std::byte* tag_out) const override {
    const auto each_piece = [&](const auto& update) {
      for (const iovec& piece : plaintext) {
        if (piece.iov_len == 0) continue;
        update(octets(piece.iov_base), piece.iov_len);
        out += piece.iov_len;
      }
      if (!trailer.empty()) update(octets(trailer.data()), trailer.size());
    };
    if (aead == Aead::chacha20_poly1305) {
      ChachaContext chacha(key);
      auto* context = &chacha.context;
      must(mbedtls_chachapoly_starts(context, octets(nonce.data()), MBEDTLS_CHACHAPOLY_ENCRYPT));
      must(mbedtls_chachapoly_update_aad(context, octets(aad.data()), aad.size()));
      each_piece([&](const std::uint8_t* from, std::size_t length) {
        must(mbedtls_chachapoly_update(context, length, from, octets(out)));
      });
      must(mbedtls_chachapoly_finish(context, octets(tag_out)));
      return;
    }
    GcmContext gcm(aead, key);
    auto* context = &gcm.context;
    must(mbedtls_gcm_starts(context, MBEDTLS_GCM_ENCRYPT, octets(nonce.data()), nonce.size()));
    must(mbedtls_gcm_update_ad(context, octets(aad.data()), aad.size()));
    std::size_t written = 0;
    each_piece([&](const std::uint8_t* from, std::size_t length) {
      must(mbedtls_gcm_update(context, from, length, octets(out), length, &written));
      // The interface allows an implementation that holds bytes back; this one never does.
      NEARFIELD_ASSERT(written == length);
    });
    must(mbedtls_gcm_finish(context, nullptr, 0, &written, octets(tag_out), kTagBytes));
  }

  bool open(Aead aead, const ExpandedKey& key, const Nonce& nonce, std::span<const std::byte> aad,
            std::span<const std::byte> ciphertext, const std::byte* tag,
            std::byte* out) const override {
    std::array<std::byte, kTagBytes> computed;
    if (aead == Aead::chacha20_poly1305) {
      ChachaContext chacha(key);
      auto* context = &chacha.context;
      must(mbedtls_chachapoly_starts(context, octets(nonce.data()), MBEDTLS_CHACHAPOLY_DECRYPT));
      must(mbedtls_chachapoly_update_aad(context, octets(aad.data()), aad.size()));
      must(mbedtls_chachapoly_update(context, ciphertext.size(), octets(ciphertext.data()),
                                     octets(out)));
      must(mbedtls_chachapoly_finish(context, octets(computed.data())));
    } else {
      GcmContext gcm(aead, key);
      must(mbedtls_gcm_crypt_and_tag(&gcm.context, MBEDTLS_GCM_DECRYPT, ciphertext.size(),
                                     octets(nonce.data()), nonce.size(), octets(aad.data()),
                                     aad.size(), octets(ciphertext.data()), octets(out), kTagBytes,
                                     octets(computed.data())));
    }
    if (memeql_sec(computed.data(), tag, kTagBytes) != 0) return true;
    wipe({out, ciphertext.size()});
    return false;
  }
};

}  // namespace

const AeadEngine& AeadEngine::mbedtls() {
  static const MbedtlsEngine engine;
  return engine;
}

}  // namespace nearfield::tls
