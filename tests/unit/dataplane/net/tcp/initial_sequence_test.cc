// Initial sequence numbers: growing for a flow, unrelated between flows.
#include "dataplane/net/tcp/initial_sequence.h"

#include <bit>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net::tcp;
using namespace std::chrono_literals;

TEST_GROUP(InitialSequence) {
  const InitialSequence sequence{SipHashKey{1, 2}};
  const MonotonicTime start{100h};
};

TEST(InitialSequence, CountsOneInFourMicroseconds) {
  const SequenceNumber first = sequence.make(flow_v4(1), start);
  LONGS_EQUAL(0, distance(first, sequence.make(flow_v4(1), start + 3999ns)));
  LONGS_EQUAL(1, distance(first, sequence.make(flow_v4(1), start + 4us)));
  LONGS_EQUAL(250'000, distance(first, sequence.make(flow_v4(1), start + 1s)));
}

TEST(InitialSequence, GrowsAcrossTheWrapOfItsClock) {
  // 2^32 ticks of 4 us: every 4.8 hours.
  const MonotonicTime wrap{4us * (std::int64_t{1} << 32)};
  for (std::uint32_t flow = 0; flow < 50; ++flow) {
    LONGS_EQUAL(500, distance(sequence.make(flow_v6(flow), wrap - 1ms),
                              sequence.make(flow_v6(flow), wrap + 1ms)));
  }
}

TEST(InitialSequence, FlowsAndKeysAreUnrelated) {
  // The difference of neighbouring flows would be constant or small with a bad hash: look at how
  // many bits differ over many pairs (expected 16 of 32, standard deviation of the mean 0.09).
  int bits = 0;
  for (std::uint32_t flow = 0; flow < 1000; ++flow) {
    bits += std::popcount(sequence.make(flow_v4(flow), start).value ^
                          sequence.make(flow_v4(flow + 1), start).value);
  }
  CHECK_TRUE(bits > 15'500 && bits < 16'500);
  const InitialSequence other{SipHashKey{1, 3}};
  CHECK_FALSE(sequence.make(flow_v4(1), start) == other.make(flow_v4(1), start));
}

TEST(InitialSequence, TimestampsAreOffTheClockByAnAmountPerFlow) {
  const std::uint32_t offset = sequence.timestamp_offset(flow_v4(1));
  LONGS_EQUAL(offset, sequence.timestamp_offset(flow_v4(1)));
  CHECK_TRUE(offset != sequence.timestamp_offset(flow_v4(2)));
  CHECK_TRUE(offset != sequence.make(flow_v4(1), MonotonicTime{}).value);
}

TEST(InitialSequence, TheTimestampClockIsOneMillisecondAndWraps) {
  LONGS_EQUAL(0, timestamp_now(MonotonicTime{999us}));
  LONGS_EQUAL(1, timestamp_now(MonotonicTime{1ms}));
  LONGS_EQUAL(5, timestamp_now(MonotonicTime{1ms * ((std::int64_t{1} << 32) + 5)}));
}
