// PrefixLimiter: counts in and out, per prefix.
#include "dataplane/net/prefix_limiter.h"

#include "CppUTest/TestHarness.h"

using nearfield::net::Address;
using nearfield::net::PrefixLimiter;

TEST_GROUP(PrefixLimiter){};

TEST(PrefixLimiter, refuses_beyond_the_maximum_and_recovers_when_one_leaves) {
  PrefixLimiter limiter;
  const Address prefix = *Address::parse("192.0.2.0");
  const Address other = *Address::parse("198.51.100.0");
  PrefixLimiter::Slot first;
  PrefixLimiter::Slot second;
  PrefixLimiter::Slot third;
  PrefixLimiter::Slot elsewhere;
  CHECK_TRUE(limiter.take(prefix, 2, first));
  CHECK_TRUE(limiter.take(prefix, 2, second));
  CHECK_FALSE(limiter.take(prefix, 2, third));
  CHECK_TRUE(limiter.take(other, 2, elsewhere));
  first = PrefixLimiter::Slot();
  CHECK_TRUE(limiter.take(prefix, 2, third));
  LONGS_EQUAL(2, limiter.connections(prefix));
}

TEST(PrefixLimiter, zero_means_no_limit_and_counts_nothing) {
  PrefixLimiter limiter;
  const Address prefix = *Address::parse("2001:db8::");
  for (int each = 0; each < 100; ++each) {
    PrefixLimiter::Slot slot;
    CHECK_TRUE(limiter.take(prefix, 0, slot));
  }
  LONGS_EQUAL(0, limiter.connections(prefix));
}

TEST(PrefixLimiter, a_moved_slot_gives_back_once) {
  PrefixLimiter limiter;
  const Address prefix = *Address::parse("192.0.2.0");
  {
    PrefixLimiter::Slot slot;
    CHECK_TRUE(limiter.take(prefix, 5, slot));
    PrefixLimiter::Slot moved(std::move(slot));
    LONGS_EQUAL(1, limiter.connections(prefix));
  }
  LONGS_EQUAL(0, limiter.connections(prefix));
}
