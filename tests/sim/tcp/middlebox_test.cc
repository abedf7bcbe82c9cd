// Middlebox: it takes away what it is told to, from SYNs or from everything, and leaves packets
// that are right.
#include "tests/sim/tcp/middlebox.h"

#include "CppUTest/TestHarness.h"

using namespace nearfield;
using namespace nearfield::sim::tcp;
using std::chrono::seconds;

TEST_GROUP(SimTcpMiddlebox) {
  MiddleboxOptions options;

  static Segment syn() {
    Segment segment;
    segment.source = {make_v4(198, 51, 100, 1), 5000};
    segment.destination = {make_v4(192, 0, 2, 1), 80};
    segment.flags = kSyn;
    segment.maximum_segment_bytes = 1460;
    segment.window_scale = 7;
    segment.sack_permitted = true;
    segment.timestamps = Timestamps{1, 2};
    return segment;
  }
  Segment pass(const Segment& segment, Duration age = {}) {
    packet = build(segment);
    pass_middlebox(options, age, packet);
    const auto passed = read(packet);
    CHECK(passed.has_value());
    return *passed;
  }
  Bytes packet;
};

TEST(SimTcpMiddlebox, WithoutOptionsEverythingPassesUntouched) {
  const Bytes before = build(syn());
  pass(syn());
  CHECK(before == packet);
}

TEST(SimTcpMiddlebox, ASynLosesWhatIsStripped) {
  options.strips_sack = options.strips_timestamps = options.strips_window_scale = true;
  options.clamps_segment_size = 1300;
  const Segment passed = pass(syn());
  CHECK(!passed.sack_permitted && !passed.timestamps && !passed.window_scale);
  LONGS_EQUAL(1300, *passed.maximum_segment_bytes);
  options.strips_segment_size = true;
  CHECK(!pass(syn()).maximum_segment_bytes);
}

TEST(SimTcpMiddlebox, ASmallerSegmentSizeIsNotRaised) {
  options.clamps_segment_size = 1300;
  Segment segment = syn();
  segment.maximum_segment_bytes = 536;
  LONGS_EQUAL(536, *pass(segment).maximum_segment_bytes);
}

TEST(SimTcpMiddlebox, OtherSegmentsLoseTheirTimestampsWhenTheRouteHasChanged) {
  options.strips_timestamps = true;
  options.strips_all_timestamps_after = seconds(1);
  const std::byte payload[]{std::byte{1}, std::byte{2}, std::byte{3}};
  Segment data = syn();
  data.flags = kAck;
  data.maximum_segment_bytes.reset();
  data.payload = payload;
  CHECK(pass(data, seconds(0)).timestamps.has_value());
  const Segment passed = pass(data, seconds(1));
  CHECK(!passed.timestamps);
  LONGS_EQUAL(3, passed.payload.size());
}

TEST(SimTcpMiddlebox, WhatIsNoWholeSegmentIsLeftAlone) {
  options.strips_sack = true;
  packet = build(syn());
  packet.back() ^= std::byte{1};
  const Bytes before = packet;
  pass_middlebox(options, {}, packet);
  CHECK(before == packet);
}
