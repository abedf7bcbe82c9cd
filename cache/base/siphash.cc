// The rounds as the paper gives them: two per eight bytes of input, four at the end.
#include "cache/base/siphash.h"

#include <sys/random.h>

#include <array>
#include <bit>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield {
namespace {

struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void absorb(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

std::uint64_t little_endian(const std::byte* bytes, std::size_t count) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, count);
  if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
  return word;
}

}  // namespace

SipHashKey SipHashKey::random() {
  std::array<std::uint64_t, 2> words{};
  // Requests of up to 256 bytes are never cut short or interrupted (getrandom(2)).
  const ssize_t got = getrandom(words.data(), sizeof(words), 0);
  NEARFIELD_ASSERT(got == static_cast<ssize_t>(sizeof(words)));
  return {words[0], words[1]};
}

std::uint64_t siphash(const SipHashKey& key, std::span<const std::byte> bytes) {
  State state{key.first ^ 0x736f6d6570736575, key.second ^ 0x646f72616e646f6d,
              key.first ^ 0x6c7967656e657261, key.second ^ 0x7465646279746573};
  const std::size_t whole = bytes.size() & ~std::size_t{7};
  for (std::size_t at = 0; at < whole; at += 8) state.absorb(little_endian(&bytes[at], 8));
  std::uint64_t last = std::uint64_t{bytes.size() & 0xff} << 56;
  if (whole < bytes.size()) last |= little_endian(&bytes[whole], bytes.size() - whole);
  state.absorb(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) state.round();
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

}  // namespace nearfield
