// The engines against published vectors and against each other.
#include "dataplane/tls/aead.h"

#include <cstring>
#include <thread>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/tls/tls_test_support.h"

using namespace nearfield::tls;
using namespace nearfield::tls::test;

namespace {

struct Vector {
  const char* source;
  Aead aead;
  const char* key;
  const char* nonce;
  const char* aad;
  const char* plaintext;
  const char* ciphertext;
  const char* tag;
};

constexpr const char* kMcGrewPlaintext =
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";

// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B (those with nonces of twelve
// bytes); RFC 8439 2.8.2.
constexpr Vector kVectors[] = {
    {"GCM 1", Aead::aes_128_gcm, "00000000000000000000000000000000", "000000000000000000000000", "",
     "", "", "58e2fccefa7e3061367f1d57a4e7455a"},
    {"GCM 2", Aead::aes_128_gcm, "00000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "0388dace60b6a392f328c2b971b2fe78",
     "ab6e47d42cec13bdf53a67b21257bddf"},
    {"GCM 3", Aead::aes_128_gcm, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985",
     "4d5c2af327cd64a62cf35abd2ba6fab4"},
    {"GCM 4", Aead::aes_128_gcm, "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2", kMcGrewPlaintext,
     "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
     "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
     "5bc94fbc3221a5db94fae95ae7121a47"},
    {"GCM 13", Aead::aes_256_gcm,
     "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"GCM 14", Aead::aes_256_gcm,
     "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
     "", "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18",
     "d0d1c8a799996bf0265b98b5d48ab919"},
    {"GCM 16", Aead::aes_256_gcm,
     "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2", kMcGrewPlaintext,
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"RFC 8439", Aead::chacha20_poly1305,
     "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", "070000004041424344454647",
     "50515253c0c1c2c3c4c5c6c7",
     "4c616469657320616e642047656e746c656d656e206f662074686520636c6173"
     "73206f66202739393a204966204920636f756c64206f6666657220796f75206f"
     "6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73"
     "637265656e20776f756c642062652069742e",
     "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
     "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
     "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
     "3ff4def08e4b7a9de576d26586cec64b6116",
     "1ae10b594f09e26a7e902ecbd0600691"},
};

Nonce nonce_of(std::span<const std::byte> bytes) {
  Nonce nonce;
  std::ranges::copy(bytes.first(nonce.size()), nonce.begin());
  return nonce;
}

struct Sealed {
  Bytes ciphertext;
  Bytes tag;
};

Sealed seal(const AeadEngine& with, Aead aead, const ExpandedKey& key, const Nonce& nonce,
            std::span<const std::byte> aad, std::span<const iovec> plaintext,
            std::span<const std::byte> trailer = {}) {
  std::size_t size = trailer.size();
  for (const iovec& one : plaintext) size += one.iov_len;
  Sealed sealed{Bytes(size), Bytes(kTagBytes)};
  with.seal(aead, key, nonce, aad, plaintext, trailer, sealed.ciphertext.data(), sealed.tag.data());
  return sealed;
}

}  // namespace

TEST_GROUP(Aead) {
  Random random{1};

  // One plaintext through both engines, cut anew for each; opened again by the other one.
  void compare_engines(Aead aead, std::size_t size) {
    const Bytes key = random.bytes(key_bytes(aead));
    const Nonce nonce = nonce_of(random.bytes(kNonceBytes));
    const Bytes aad = random.bytes(size % 2 == 0 ? 5 : 13);
    const Bytes plaintext = random.bytes(size);
    const Bytes trailer = random.bytes(size % 3 == 0 ? 0 : 1);
    std::vector<Sealed> sealed;
    for (const AeadEngine* with : engines()) {
      ExpandedKey expanded;
      with->expand(aead, key, expanded);
      sealed.push_back(seal(*with, aead, expanded, nonce, aad, cut(plaintext, random), trailer));
      Bytes opened(size + trailer.size());
      CHECK_TRUE(with->open(aead, expanded, nonce, aad, sealed.front().ciphertext,
                            sealed.front().tag.data(), opened.data()));
      MEMCMP_EQUAL(plaintext.data(), opened.data(), size);
      CHECK_TRUE(sealed.front().ciphertext == sealed.back().ciphertext);
      STRCMP_EQUAL(to_hex(sealed.front().tag).c_str(), to_hex(sealed.back().tag).c_str());
    }
  }
};

TEST(Aead, MatchesPublishedVectors) {
  for (const AeadEngine* with : engines()) {
    for (const Vector& vector : kVectors) {
      ExpandedKey key;
      with->expand(vector.aead, hex(vector.key), key);
      const Nonce nonce = nonce_of(hex(vector.nonce));
      const Bytes aad = hex(vector.aad);
      const Bytes plaintext = hex(vector.plaintext);
      const iovec one = piece(plaintext);
      const Sealed sealed = seal(*with, vector.aead, key, nonce, aad, {&one, 1});
      STRCMP_EQUAL_TEXT(vector.ciphertext, to_hex(sealed.ciphertext).c_str(), vector.source);
      STRCMP_EQUAL_TEXT(vector.tag, to_hex(sealed.tag).c_str(), vector.source);
      Bytes opened(plaintext.size());
      CHECK_TRUE(with->open(vector.aead, key, nonce, aad, sealed.ciphertext, sealed.tag.data(),
                            opened.data()));
      CHECK_TRUE(opened == plaintext);
    }
  }
}

TEST(Aead, SplitsAtEveryPlaceMakeTheSameBytes) {
  const Bytes plaintext = random.bytes(150);
  const Bytes aad = random.bytes(5);
  const Nonce nonce = nonce_of(random.bytes(kNonceBytes));
  for (const AeadEngine* with : engines()) {
    for (const Aead aead : kAeads) {
      ExpandedKey key;
      with->expand(aead, random.bytes(key_bytes(aead)), key);
      const iovec whole = piece(plaintext);
      const Sealed expected = seal(*with, aead, key, nonce, aad, {&whole, 1});
      for (std::size_t first = 0; first <= plaintext.size(); ++first) {
        for (std::size_t second = first; second <= plaintext.size(); second += 7) {
          const std::span<const std::byte> all(plaintext);
          const iovec pieces[] = {piece(all.first(first)),
                                  piece(all.subspan(first, second - first)),
                                  piece(all.subspan(second))};
          const Sealed sealed = seal(*with, aead, key, nonce, aad, pieces);
          CHECK_TRUE(sealed.ciphertext == expected.ciphertext);
          CHECK_TRUE(sealed.tag == expected.tag);
        }
        // The last bytes as the trailer.
        const iovec front = piece(std::span(plaintext).first(first));
        const Sealed sealed =
            seal(*with, aead, key, nonce, aad, {&front, 1}, std::span(plaintext).subspan(first));
        CHECK_TRUE(sealed.tag == expected.tag);
      }
    }
  }
}

TEST(Aead, EnginesAgreeOnEveryLength) {
  for (const Aead aead : kAeads) {
    for (std::size_t size = 0; size <= 300; ++size) compare_engines(aead, size);
    for (std::size_t size = 16384 - 20; size <= 16384; ++size) compare_engines(aead, size);
    for (int i = 0; i < 40; ++i) compare_engines(aead, random.below(16384));
  }
}

TEST(Aead, OpensAndSealsInPlace) {
  for (const AeadEngine* with : engines()) {
    for (const Aead aead : kAeads) {
      for (const std::size_t size : {1u, 15u, 16u, 17u, 255u, 256u, 257u, 4095u, 16384u}) {
        ExpandedKey key;
        with->expand(aead, random.bytes(key_bytes(aead)), key);
        const Nonce nonce = nonce_of(random.bytes(kNonceBytes));
        const Bytes aad = random.bytes(13);
        const Bytes plaintext = random.bytes(size);
        const iovec apart = piece(plaintext);
        const Sealed expected = seal(*with, aead, key, nonce, aad, {&apart, 1});
        Bytes place = plaintext;
        std::array<std::byte, kTagBytes> tag;
        const iovec same = piece(place);
        with->seal(aead, key, nonce, aad, {&same, 1}, {}, place.data(), tag.data());
        CHECK_TRUE(place == expected.ciphertext);
        CHECK_TRUE(with->open(aead, key, nonce, aad, place, tag.data(), place.data()));
        CHECK_TRUE(place == plaintext);
      }
    }
  }
}

TEST(Aead, RefusesWhatWasChangedAndLeavesNothing) {
  const Bytes plaintext = random.bytes(45);
  for (const AeadEngine* with : engines()) {
    for (const Aead aead : kAeads) {
      ExpandedKey key;
      with->expand(aead, random.bytes(key_bytes(aead)), key);
      const Nonce nonce = nonce_of(random.bytes(kNonceBytes));
      const Bytes aad = random.bytes(5);
      const iovec one = piece(plaintext);
      const Sealed sealed = seal(*with, aead, key, nonce, aad, {&one, 1});
      const auto refused = [&](const Nonce& n, const Bytes& a, const Bytes& c, const Bytes& t) {
        Bytes out(c.size(), std::byte{0xaa});
        return !with->open(aead, key, n, a, c, t.data(), out.data()) &&
               out == Bytes(c.size(), std::byte{0});
      };
      for (std::size_t bit = 0; bit < plaintext.size() * 8; ++bit) {
        Bytes changed = sealed.ciphertext;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        CHECK_TRUE(refused(nonce, aad, changed, sealed.tag));
      }
      for (std::size_t bit = 0; bit < kTagBytes * 8; ++bit) {
        Bytes changed = sealed.tag;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        CHECK_TRUE(refused(nonce, aad, sealed.ciphertext, changed));
      }
      for (std::size_t bit = 0; bit < aad.size() * 8; ++bit) {
        Bytes changed = aad;
        changed[bit / 8] ^= std::byte{1} << (bit % 8);
        CHECK_TRUE(refused(nonce, changed, sealed.ciphertext, sealed.tag));
      }
      Nonce other = nonce;
      other[11] ^= std::byte{1};
      CHECK_TRUE(refused(other, aad, sealed.ciphertext, sealed.tag));
      CHECK_TRUE(refused(nonce, aad, Bytes(sealed.ciphertext.begin(), sealed.ciphertext.end() - 1),
                         sealed.tag));
    }
  }
}

TEST(Aead, AnExpandedKeyCanBeExpandedAgain) {
  for (const AeadEngine* with : engines()) {
    ExpandedKey reused;
    for (const Aead aead : kAeads) {
      with->expand(aead, random.bytes(key_bytes(aead)), reused);
      const Bytes key = random.bytes(key_bytes(aead));
      with->expand(aead, key, reused);
      ExpandedKey fresh;
      with->expand(aead, key, fresh);
      const Bytes plaintext = random.bytes(100);
      const iovec one = piece(plaintext);
      const Nonce nonce{};
      CHECK_TRUE(seal(*with, aead, reused, nonce, {}, {&one, 1}).tag ==
                 seal(*with, aead, fresh, nonce, {}, {&one, 1}).tag);
    }
  }
}

TEST(Aead, ChoosesIpsecMbWhereTheProcessorHasWhatItNeeds) {
  std::string warning;
  const AeadEngine& chosen = AeadEngine::choose(&warning);
  if (AeadEngine::ipsec_mb() != nullptr) {
    POINTERS_EQUAL(AeadEngine::ipsec_mb(), &chosen);
    STRCMP_EQUAL("", warning.c_str());
    STRCMP_CONTAINS("ipsec-mb", std::string(chosen.name()).c_str());
  } else {
    POINTERS_EQUAL(&AeadEngine::mbedtls(), &chosen);
    CHECK_FALSE(warning.empty());
  }
}

TEST(Aead, SaysWhatTheProcessorLacks) {
  std::string warning;
  const ProcessorFeatures features{.aes = false, .carryless_multiply = false, .sse42 = true};
  POINTERS_EQUAL(&AeadEngine::mbedtls(), &AeadEngine::choose(features, &warning));
  STRCMP_CONTAINS("lacks AES-NI, PCLMULQDQ:", warning.c_str());
  STRCMP_CONTAINS("mbedTLS, at best 100 megabytes", warning.c_str());
  POINTERS_EQUAL(&AeadEngine::mbedtls(), &AeadEngine::choose(features, nullptr));
  // mbedTLS itself uses those two.
  const ProcessorFeatures old{.aes = true, .carryless_multiply = true, .sse42 = false};
  POINTERS_EQUAL(&AeadEngine::mbedtls(), &AeadEngine::choose(old, &warning));
  STRCMP_CONTAINS("lacks SSE4.2:", warning.c_str());
  STRCMP_CONTAINS("mbedTLS, at best 300 megabytes", warning.c_str());
}

// Workers share the engine without locks.
TEST(Aead, ThreadsShareAnEngine) {
  for (const AeadEngine* with : engines()) {
    std::vector<std::thread> workers;
    std::array<bool, 4> correct{};
    for (std::size_t worker = 0; worker < correct.size(); ++worker) {
      workers.emplace_back([worker, with, &correct] {
        Random own(worker + 100);
        bool good = true;
        for (int i = 0; i < 60; ++i) {
          const Aead aead = kAeads[own.below(3)];
          ExpandedKey key;
          with->expand(aead, own.bytes(key_bytes(aead)), key);
          const Nonce nonce = nonce_of(own.bytes(kNonceBytes));
          const Bytes aad = own.bytes(5);
          const Bytes plaintext = own.bytes(own.below(2000));
          const Sealed sealed = seal(*with, aead, key, nonce, aad, cut(plaintext, own));
          Bytes opened(plaintext.size());
          good = good &&
                 with->open(aead, key, nonce, aad, sealed.ciphertext, sealed.tag.data(),
                            opened.data()) &&
                 opened == plaintext;
        }
        correct[worker] = good;
      });
    }
    for (std::thread& worker : workers) worker.join();
    for (const bool good : correct) CHECK_TRUE(good);
  }
}
