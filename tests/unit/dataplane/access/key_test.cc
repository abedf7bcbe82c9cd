// Keys and JWK Sets.
#include "dataplane/access/key.h"

#include <CppUTest/TestHarness.h>

#include "dataplane/access/jwk_set.h"
#include "tests/unit/dataplane/access/access_fixture.h"
#include "tests/unit/memory_search.h"

using namespace nearfield::access;
namespace v = nearfield::access::vectors;

TEST_GROUP(Key){void refused(std::string_view set,
                             const char* words){const auto keys = parse_jwk_set(set, "set");
CHECK_FALSE(keys.has_value());
if (!keys) STRCMP_CONTAINS(words, keys.error().message.c_str());
}
void refused_key(std::string_view key, const char* words) { refused(jwk_set({key}), words); }
}
;

TEST(Key, SignsAsRfc6979Says) {
  // RFC 6979 A.2.5, SHA-256.
  const auto x =
      parse_hex_digest("60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
  const auto y =
      parse_hex_digest("7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");
  const auto d =
      parse_hex_digest("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
  const auto key = Key::es256("k", *x, *y, *d);
  CHECK(key != nullptr);
  STRCMP_EQUAL(
      "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
      "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
      hex(key->sign(bytes_of("sample"))).c_str());
  STRCMP_EQUAL(
      "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
      "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
      hex(key->sign(bytes_of("test"))).c_str());
  CHECK_TRUE(key->verify(bytes_of("sample"), key->sign(bytes_of("sample"))));
  CHECK_FALSE(key->verify(bytes_of("sampl"), key->sign(bytes_of("sample"))));
  CHECK_FALSE(key->verify(bytes_of("sample"), std::vector<std::uint8_t>(64)));
  CHECK_FALSE(key->verify(bytes_of("sample"), std::vector<std::uint8_t>(64, 0xff)));
  CHECK_FALSE(key->verify(bytes_of("sample"), {}));
  // A secret that is not that of the point.
  Digest other = *d;
  other[31] ^= 1;
  CHECK(Key::es256("k", *x, *y, other) == nullptr);
}

TEST(Key, ReadsSets) {
  const auto keys =
      parse_jwk_set(jwk_set({v::kPublicKeyOne, v::kPublicKeyTwo, v::kSharedKey, v::kSealingKey,
                             R"({"kty":"RSA","n":"AQAB","e":"AQAB"})",
                             R"({"kty":"EC","crv":"P-384"})", R"({"kty":"OKP","crv":"Ed25519"})"}),
                    "set");
  CHECK(keys.has_value());
  LONGS_EQUAL(4, keys->size());
  CHECK_FALSE((*keys)[0]->can_sign());
  CHECK_TRUE((*keys)[2]->can_sign());
  CHECK_FALSE((*keys)[3]->can_verify());
}

TEST(Key, TheSameKeyWithItsSecretIsOneKey) {
  const auto keys = parse_jwk_set(jwk_set({v::kPublicKeyOne, v::kPrivateKeyOne}), "set");
  CHECK(keys.has_value());
  LONGS_EQUAL(1, keys->size());
  CHECK_TRUE((*keys)[0]->can_sign());
}

TEST(Key, RefusesWhatIsWeakOrBroken) {
  refused("{", "not JSON");
  refused("[]", "no array \"keys\"");
  refused("{\"keys\":[1]}", "key 1 is no object");
  refused(std::string(300000, ' '), "256 KiB");
  refused("[[[[[[[[[[[[1]]]]]]]]]]]]", "not JSON");
  refused_key(R"({"kid":"a"})", "no \"kty\"");
  refused_key(R"({"kty":"oct","k":"AAAA"})", "no \"alg\"");
  refused_key(R"({"kty":"oct","alg":"HS256","kid":"w","k":"AAAAAAAAAAAAAAAAAAAAAA"})",
              "'w') has a secret of 16 bytes: HS256 wants 32");
  refused_key(R"({"kty":"oct","alg":"A128GCM","k":"AAAA"})", "wants 16");
  refused_key(R"({"kty":"oct","alg":"HS256","use":"enc","k":"AAAA"})", "one key, one use");
  refused_key(R"({"kty":"EC","crv":"P-256","x":"AAAA"})", "readable \"x\" and \"y\"");
  refused_key(R"({"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"})", "not a point");
  std::string off_curve(v::kPublicKeyOne);
  const std::size_t at = off_curve.find("\"x\": \"") + 8;
  off_curve[at] = off_curve[at] == 'A' ? 'B' : 'A';
  refused_key(off_curve, "not a point");
  std::string same_kid(v::kPublicKeyTwo);
  same_kid.replace(same_kid.find("two"), 3, "one");
  refused(jwk_set({v::kPublicKeyOne, same_kid}), "two different keys have the kid 'one'");
}

// Sanitizers keep frames of functions that returned where the search looks.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

// Whatever becomes of a key set, no copy of a secret outlives it: not in what was freed either.
TEST_GROUP(Secrets) {
  std::vector<std::uint8_t> secret;
  std::string encoded;
  void setup() override {
    // That of RFC 6979 A.2.5.
    auto d = parse_hex_digest("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    secret.assign(d->begin(), d->end());
    wipe(*d);
    encoded.reserve(64);
    append_base64url(encoded, secret);
  }
  void teardown() override {
    wipe(secret);
    wipe_text(encoded);
  }
  // How many copies there are, in either order of bytes, beside `encoded` and `secret`. What is
  // freed loses its first 16 bytes to the allocator.
  std::size_t copies() {
    std::vector<std::uint8_t> reversed(secret.rbegin(), secret.rend());
    std::size_t count = 0;
    for (const std::vector<std::uint8_t>* order : {&secret, &reversed}) {
      for (const std::size_t half : {0, 16}) {
        count += nearfield::count_in_memory(std::span(*order).subspan(half, 16));
      }
    }
    wipe(reversed);
    return count + nearfield::count_in_memory(bytes_of(std::string_view(encoded).substr(16)));
  }
  void wipe_text(std::string & text) {
    wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  }
};

TEST(Secrets, TheSearchFindsWhatWasFreed) {
  LONGS_EQUAL(0, copies());
  {
    const std::string freed = "and a text before it: " + encoded;
    STRCMP_CONTAINS(encoded.c_str(), freed.c_str());
  }
  CHECK_TRUE(copies() > 0);
}

TEST(Secrets, AreWipedWhateverBecomesOfAKeySet) {
  const std::string elliptic =
      R"({"kty":"EC","crv":"P-256","x":"YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y",)"
      R"("y":"eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk","d":")";
  const std::string shared = R"({"kty":"oct","alg":"HS256","kid":"new","k":")";
  for (const std::string& start : {elliptic, shared}) {
    for (const char* end : {"\"}]}", "!\"}]}", "\"},1]}", "\"},{\"kty\":\"oct\"}]}", "\"}]", "\"},",
                            "\",\"kid\":1}]}", "\",\"use\":\"enc\"}]}"}) {
      std::string text = "{\"keys\":[" + start;
      text.reserve(1024);
      text += encoded;
      text += end;
      static_cast<void>(parse_jwk_set(text, "set"));
      wipe_text(text);
      LONGS_EQUAL_TEXT(0, copies(), (start + "..." + end).c_str());
    }
  }
}

TEST(Secrets, AreWipedWithTheirKey) {
  {
    const auto key = Key::symmetric(Algorithm::kHs256, "id of some length", secret);
    CHECK_TRUE(copies() > 0);
    key->sign(bytes_of("message"));
  }
  LONGS_EQUAL(0, copies());
  {
    const auto x = decode_base64url("YP7UuiVanTHJYet0xjVtaMBJuJI7Yfps5mliLmDyn7Y");
    const auto y = decode_base64url("eQP-EAi4vJmkGunpVii8ZPLxsgwtfp9Rd6PClNRGIpk");
    const auto key = Key::es256("id of some length", *x, *y, secret);
    CHECK(key != nullptr);
    CHECK_TRUE(copies() > 0);
  }
  LONGS_EQUAL(0, copies());
}

#endif
