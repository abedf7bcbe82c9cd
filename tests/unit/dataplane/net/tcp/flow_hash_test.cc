// The hash of flows: every part of a flow counts, and so does the key.
#include "dataplane/net/tcp/flow_hash.h"

#include <set>

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/tcp/flow_maker.h"

using namespace nearfield;
using namespace nearfield::net;
using namespace nearfield::net::tcp;

TEST_GROUP(FlowHash) { const SipHashKey key{1, 2}; };

TEST(FlowHash, AnIpv4FlowIsTwelveBytesAndAnIpv6FlowThirtySix) {
  LONGS_EQUAL(12, FlowMessage(flow_v4(1)).span().size());
  LONGS_EQUAL(36, FlowMessage(flow_v6(1)).span().size());
  Flow mixed = flow_v4(1);
  mixed.peer = flow_v6(1).peer;
  LONGS_EQUAL(36, FlowMessage(mixed).span().size());
}

TEST(FlowHash, EveryBitOfAFlowCounts) {
  for (const Flow& flow : {flow_v4(7), flow_v6(7)}) {
    std::set<std::uint64_t> seen{hash_flow(key, flow)};
    std::size_t expected = 1;
    for (int bit = 0; bit < 128; ++bit) {
      const auto mask = static_cast<std::uint8_t>(1 << (bit % 8));
      Flow other = flow;
      other.local.address.bytes[bit / 8] ^= mask;
      seen.insert(hash_flow(key, other));
      other = flow;
      other.peer.address.bytes[bit / 8] ^= mask;
      seen.insert(hash_flow(key, other));
      expected += 2;
    }
    for (int bit = 0; bit < 16; ++bit) {
      const auto mask = static_cast<std::uint16_t>(1 << bit);
      Flow other = flow;
      other.local.port ^= mask;
      seen.insert(hash_flow(key, other));
      other = flow;
      other.peer.port ^= mask;
      seen.insert(hash_flow(key, other));
      expected += 2;
    }
    LONGS_EQUAL(expected, seen.size());
  }
}

TEST(FlowHash, TheTwoEndsAreNotInterchangeable) {
  const Flow flow = flow_v4(7);
  CHECK_TRUE(hash_flow(key, flow) != hash_flow(key, Flow{flow.peer, flow.local}));
}

TEST(FlowHash, KeysOfDifferentPurposesOrSecretsDiffer) {
  const SipHashKey one = derive_key(key, "one");
  CHECK_TRUE(one.first != derive_key(key, "two").first);
  CHECK_TRUE(one.second != derive_key(key, "two").second);
  CHECK_TRUE(one.first != one.second);
  CHECK_TRUE(one.first != derive_key({1, 3}, "one").first);
  CHECK_TRUE(hash_flow(one, flow_v4(1)) != hash_flow(key, flow_v4(1)));
}
