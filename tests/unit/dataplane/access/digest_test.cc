// Hashes and base64url.
#include "dataplane/access/digest.h"

#include <CppUTest/TestHarness.h>

using namespace nearfield::access;

TEST_GROUP(Digest){};

TEST(Digest, KnownAnswers) {
  STRCMP_EQUAL("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
               hex(sha256(bytes_of("abc"))).c_str());
  STRCMP_EQUAL("53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23",
               hex(sha512_256(bytes_of("abc"))).c_str());
  // RFC 4231 4.3
  STRCMP_EQUAL(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
      hex(hmac_sha256(bytes_of("Jefe"), bytes_of("what do ya want for nothing?"))).c_str());
}

TEST(Digest, Base64urlHasOneSpelling) {
  for (const std::string_view text : {"", "f", "fo", "foo", "foob", "\xff\xfe"}) {
    std::string encoded;
    append_base64url(encoded, bytes_of(text));
    const auto decoded = decode_base64url(encoded);
    CHECK(decoded.has_value() && text_of(*decoded) == text);
  }
  CHECK(text_of(*decode_base64url("__4")) == "\xff\xfe");
  for (const std::string_view bad : {"Z", "Zg==", "Zh", "Z+8", "Z/8", "Zm9v\n", "Zm 9"}) {
    CHECK_FALSE(decode_base64url(bad).has_value());
  }
}

TEST(Digest, HexadecimalDigests) {
  const auto digest = parse_hex_digest(hex(sha256(bytes_of("x"))));
  CHECK(digest == sha256(bytes_of("x")));
  CHECK_FALSE(parse_hex_digest("ab").has_value());
  CHECK_FALSE(parse_hex_digest(std::string(63, 'a') + "g").has_value());
}
