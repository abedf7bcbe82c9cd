// The arena: sizes, addresses, what it says about pages.
#include "cache/arena.h"

#include <cstring>
#include <vector>

#include "CppUTest/TestHarness.h"

using namespace nearfield::cache;

namespace {

std::unique_ptr<Arena> arena_of(std::uint64_t bytes, bool want_hugepages = false) {
  auto arena = Arena::create({.bytes = bytes, .want_hugepages = want_hugepages});
  CHECK_TRUE(arena.has_value());
  return std::move(*arena);
}

}  // namespace

TEST_GROUP(Arena){};

TEST(Arena, RoundsItsCapacityDownToBlocks) {
  UNSIGNED_LONGS_EQUAL(32 * kBlockBytes, arena_of(32 * kBlockBytes + 5000)->capacity_bytes());
}

TEST(Arena, RefusesWhatCannotWorkAndSaysWhy) {
  const auto small = Arena::create({.bytes = 1000});
  CHECK_FALSE(small.has_value());
  STRCMP_CONTAINS("at least 1 MiB", small.error().message.c_str());
  const auto large = Arena::create({.bytes = std::uint64_t{1} << 45, .want_hugepages = false});
  CHECK_FALSE(large.has_value());
  STRCMP_CONTAINS("configure less", large.error().message.c_str());
}

TEST(Arena, RoundsRequestsUpToPagesAndCapsThemAtABlock) {
  const auto arena = arena_of(1 << 20);
  const auto small = arena->allocate(1);
  const auto middle = arena->allocate(kPageBytes + 1);
  const auto large = arena->allocate(10 * kBlockBytes);
  UNSIGNED_LONGS_EQUAL(kPageBytes, small->bytes);
  UNSIGNED_LONGS_EQUAL(2 * kPageBytes, middle->bytes);
  UNSIGNED_LONGS_EQUAL(kBlockBytes, large->bytes);
  UNSIGNED_LONGS_EQUAL(3 * kPageBytes + kBlockBytes, arena->used_bytes());
}

TEST(Arena, HandsOutEveryByteOnceAndTakesItBack) {
  const auto arena = arena_of(1 << 20);
  for (int round = 0; round < 2; ++round) {
    std::vector<Extent> extents;
    while (auto extent = arena->allocate(kBlockBytes)) {
      std::memset(extent->data, static_cast<int>(extents.size()), extent->bytes);
      extents.push_back(*extent);
    }
    UNSIGNED_LONGS_EQUAL(16, extents.size());
    for (std::size_t i = 0; i < extents.size(); ++i) {
      UNSIGNED_LONGS_EQUAL(i, static_cast<unsigned char>(extents[i].data[kBlockBytes - 1]));
      arena->free(extents[i]);
    }
    UNSIGNED_LONGS_EQUAL(0, arena->used_bytes());
  }
}

TEST(Arena, StaysWithinItsMapping) {
  const auto arena = arena_of(1 << 20);
  const auto memory = arena->memory();
  UNSIGNED_LONGS_EQUAL(arena->capacity_bytes(), memory.size());
  while (auto extent = arena->allocate(3 * kPageBytes)) {
    CHECK_TRUE(extent->data >= memory.data() &&
               extent->data + extent->bytes <= memory.data() + memory.size());
  }
}

// Whatever this machine has: either hugepages, or a line that tells how to get them.
TEST(Arena, SaysHowToGetHugepagesWhenItHasNone) {
  const auto arena = arena_of(8 << 20, true);
  if (arena->page_kind() == PageKind::huge) {
    STRCMP_EQUAL("", arena->page_notice().c_str());
  } else {
    STRCMP_CONTAINS("sysctl -w vm.nr_hugepages=", arena->page_notice().c_str());
  }
  STRCMP_EQUAL("", arena_of(8 << 20, false)->page_notice().c_str());
}
