// Ethernet frames with and without a tag; what we do not speak is refused with a reason.
#include "dataplane/net/ip/frame.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

namespace {
constexpr const char* kMacs = "0200 0000 0001 0200 0000 0002";
}

TEST_GROUP(Frame){};

TEST(Frame, UntaggedAndTagged) {
  const Bytes plain = hex(kMacs) + hex("0800 aabb");
  const auto frame = parse_ethernet(plain);
  CHECK(frame.has_value());
  CHECK(frame->header.destination == mac("02:00:00:00:00:01"));
  CHECK(frame->header.source == mac("02:00:00:00:00:02"));
  UNSIGNED_LONGS_EQUAL(kEtherTypeIpv4, frame->header.ether_type);
  CHECK(!frame->header.vlan_id);
  POINTERS_EQUAL(plain.data() + 14, frame->payload.data());
  UNSIGNED_LONGS_EQUAL(2, frame->payload.size());

  const Bytes tagged = hex(kMacs) + hex("8100 e064 86dd");
  const auto in_vlan = parse_ethernet(tagged);
  CHECK(in_vlan.has_value());
  UNSIGNED_LONGS_EQUAL(100, in_vlan->header.vlan_id.value_or(0));
  UNSIGNED_LONGS_EQUAL(kEtherTypeIpv6, in_vlan->header.ether_type);
  CHECK(in_vlan->payload.empty());
}

TEST(Frame, APriorityTagIsNoVlan) {
  const auto frame = parse_ethernet(hex(kMacs) + hex("8100 e000 0806"));
  CHECK(frame.has_value());
  CHECK(!frame->header.vlan_id);
}

TEST(Frame, WhatWeDoNotSpeakIsRefusedWithAReason) {
  const auto reason = [](const char* behind) {
    const auto frame = parse_ethernet(hex(kMacs) + hex(behind));
    CHECK(!frame.has_value());
    return frame.error();
  };
  CHECK(reason("08") == DropReason::kFrameTooShort);
  CHECK(reason("8100 0064") == DropReason::kFrameTooShort);
  CHECK(reason("8100 0064 8100 0065 0800") == DropReason::kStackedTags);
  CHECK(reason("88a8 0064 8100 0065 0800") == DropReason::kStackedTags);
  CHECK(reason("0026 4242 03") == DropReason::kFrameLength);
  CHECK(parse_ethernet(hex("0200 0000 0001 0300 0000 0002 0800")).error() ==
        DropReason::kSourceMacIsGroup);
  CHECK(parse_ethernet({}).error() == DropReason::kFrameTooShort);
}

TEST(Frame, WhatIsWrittenIsReadBack) {
  for (const auto vlan_id : {std::optional<std::uint16_t>(), std::optional<std::uint16_t>(4094)}) {
    const FrameHeader header{.destination = mac("02:00:00:00:00:01"),
                             .source = mac("02:00:00:00:00:02"),
                             .vlan_id = vlan_id,
                             .ether_type = kEtherTypeArp};
    Bytes out(kMaximumEthernetHeaderBytes);
    out.resize(write_ethernet(header, out));
    UNSIGNED_LONGS_EQUAL(ethernet_header_bytes(vlan_id), out.size());
    const auto frame = parse_ethernet(out);
    CHECK(frame.has_value());
    CHECK(frame->header.destination == header.destination);
    CHECK(frame->header.source == header.source);
    CHECK(frame->header.vlan_id == vlan_id);
    UNSIGNED_LONGS_EQUAL(kEtherTypeArp, frame->header.ether_type);
  }
}

TEST(Frame, EveryReasonHasAName) {
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    CHECK(name(static_cast<DropReason>(i)) != "unknown");
  }
}
