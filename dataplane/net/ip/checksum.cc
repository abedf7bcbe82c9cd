// The sum does not care in which byte order it is done (RFC 1071 1 B), so words are read as the
// machine reads them and only the end is turned. Nor does it care about the size of the words:
// 2^16 is 1 modulo 2^16-1, so is 2^32; halves of 64-bit words are summed in 64-bit lanes, which
// 2^32 words cannot overflow, and folded once.
#include "dataplane/net/ip/checksum.h"

#include <bit>
#include <cstring>

#include "dataplane/net/ip/address_kind.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace nearfield::net::ip {
namespace {

static_assert(std::endian::native == std::endian::little, "finish() turns the bytes");

template <typename Word>
Word load(const std::byte* from) {
  Word value = 0;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// Two halves: sums that cannot overflow when added.
std::uint64_t halves(std::uint64_t value) { return (value & 0xffffffff) + (value >> 32); }

// For few bytes. Loads of fixed sizes: a copy of what is left is a call, and is waited for.
std::uint64_t short_sum(const std::byte* from, std::size_t size) {
  std::uint64_t sum = 0;
  for (; size >= 8; from += 8, size -= 8) sum += halves(load<std::uint64_t>(from));
  if (size >= 4) {
    sum += load<std::uint32_t>(from);
    from += 4;
    size -= 4;
  }
  if (size >= 2) {
    sum += load<std::uint16_t>(from);
    from += 2;
    size -= 2;
  }
  return size == 0 ? sum : sum + std::to_integer<std::uint64_t>(*from);
}

#if defined(__x86_64__)
const bool kHasAvx2 = [] {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") != 0;
}();

__attribute__((target("avx2"))) std::uint64_t avx2_sum(const std::byte* from, std::size_t size) {
  const __m256i low_mask = _mm256_set1_epi64x(0xffffffff);
  __m256i low[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  __m256i high[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  const auto take = [&](std::size_t offset, int lane) __attribute__((target("avx2"))) {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + offset));
    low[lane] = _mm256_add_epi64(low[lane], _mm256_and_si256(value, low_mask));
    high[lane] = _mm256_add_epi64(high[lane], _mm256_srli_epi64(value, 32));
  };
  for (; size >= 128; from += 128, size -= 128) {
    take(0, 0);
    take(32, 1);
    take(64, 0);
    take(96, 1);
  }
  for (; size >= 32; from += 32, size -= 32) take(0, 0);
  const __m256i sums =
      _mm256_add_epi64(_mm256_add_epi64(low[0], low[1]), _mm256_add_epi64(high[0], high[1]));
  const __m128i pair =
      _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  return static_cast<std::uint64_t>(_mm_extract_epi64(pair, 0)) +
         static_cast<std::uint64_t>(_mm_extract_epi64(pair, 1)) + short_sum(from, size);
}
#endif

}  // namespace

bool has_vector_sum() {
#if defined(__x86_64__)
  return kHasAvx2;
#else
  return false;
#endif
}

std::uint64_t vector_sum(std::span<const std::byte> bytes) {
#if defined(__x86_64__)
  return avx2_sum(bytes.data(), bytes.size());
#else
  return portable_sum(bytes);
#endif
}

std::uint64_t portable_sum(std::span<const std::byte> bytes) {
  const std::byte* from = bytes.data();
  std::size_t size = bytes.size();
  // Independent lanes, which compilers turn into whatever vectors the baseline has.
  std::uint64_t lanes[4] = {};
  for (; size >= 32; from += 32, size -= 32) {
    for (int i = 0; i < 4; ++i) lanes[i] += halves(load<std::uint64_t>(from + 8 * i));
  }
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + short_sum(from, size);
}

std::uint16_t folded(std::uint64_t sum) {
  sum = halves(sum);
  sum = halves(sum);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

void Checksum::add_native(std::uint64_t sum) {
  // Behind an odd number of bytes the two bytes of each word change places.
  const std::uint16_t word = folded(sum);
  sum_ += is_odd_ ? std::byteswap(word) : word;
}

void Checksum::add(std::span<const std::byte> bytes) {
  if (bytes.size() < 64) {
    add_native(short_sum(bytes.data(), bytes.size()));
  } else {
    add_native(has_vector_sum() ? vector_sum(bytes) : portable_sum(bytes));
  }
  is_odd_ ^= (bytes.size() & 1) != 0;
}

std::uint16_t Checksum::finish() const {
  return static_cast<std::uint16_t>(~std::byteswap(folded(sum_)));
}

Checksum pseudo_header(const Address& source, const Address& destination, std::uint8_t protocol,
                       std::uint32_t length_bytes) {
  Checksum checksum;
  if (source.is_v4()) {
    checksum.add(std::as_bytes(std::span(source.bytes).subspan<12>()));
    checksum.add(std::as_bytes(std::span(destination.bytes).subspan<12>()));
  } else {
    checksum.add(std::as_bytes(std::span(source.bytes)));
    checksum.add(std::as_bytes(std::span(destination.bytes)));
  }
  checksum.add_word(static_cast<std::uint16_t>(length_bytes >> 16));
  checksum.add_word(static_cast<std::uint16_t>(length_bytes & 0xffff));
  checksum.add_word(protocol);
  return checksum;
}

std::uint16_t updated_checksum(std::uint16_t checksum, std::uint16_t from, std::uint16_t to) {
  const std::uint64_t sum =
      std::uint64_t{static_cast<std::uint16_t>(~checksum)} + static_cast<std::uint16_t>(~from) + to;
  return static_cast<std::uint16_t>(~folded(sum));
}

}  // namespace nearfield::net::ip
