// count(): what one thread wrote, another reads.
#include "cache/base/count.h"

#include "CppUTest/TestHarness.h"

using nearfield::count;

TEST_GROUP(Count){};

TEST(Count, adds_one_or_an_amount) {
  std::atomic<std::uint64_t> counter{0};
  count(counter);
  count(counter, 41);
  count(counter, 0);
  CHECK_EQUAL(42, counter.load());
}

TEST(Count, does_not_stop_at_32_bits) {
  std::atomic<std::uint64_t> counter{UINT32_MAX};
  count(counter);
  CHECK(counter.load() == std::uint64_t{1} << 32);
}
