// The keyed hash against the vectors its authors published: key 00 01 .. 0f, messages 00 01 .. of
// every length.
#include "cache/base/siphash.h"

#include <array>
#include <vector>

#include "CppUTest/TestHarness.h"

using nearfield::siphash;
using nearfield::SipHashKey;

TEST_GROUP(SipHash) { const SipHashKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908}; };

TEST(SipHash, MatchesTheReferenceVectors) {
  // Lengths 0 to 15; the last is the example worked through in the paper's appendix.
  constexpr std::array<std::uint64_t, 16> kExpected{
      0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
      0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
      0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
      0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5};
  std::vector<std::byte> message;
  for (std::size_t length = 0; length < kExpected.size(); ++length) {
    UNSIGNED_LONGLONGS_EQUAL(kExpected[length], siphash(key, message));
    message.push_back(static_cast<std::byte>(length));
  }
}

TEST(SipHash, DependsOnTheKey) {
  CHECK_TRUE(siphash(key, "a name") != siphash({key.first, key.second ^ 1}, "a name"));
  CHECK_TRUE(siphash(SipHashKey::random(), "a name") != siphash(SipHashKey::random(), "a name"));
}
