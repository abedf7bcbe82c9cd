// One process at a time has packets of its own on an interface.
#include "dataplane/net/dpdk/interface_claim.h"

#include "CppUTest/TestHarness.h"

namespace nearfield::net::dpdk {

TEST_GROUP(InterfaceClaim){};

TEST(InterfaceClaim, has_one_owner_until_that_ends) {
  {
    auto first = InterfaceClaim::take("net_af_packet0,iface=nf-claim,qpairs=2");
    CHECK(first.has_value() && first->has_value());
    const auto second = InterfaceClaim::take("net_af_xdp3,iface=nf-claim");
    CHECK_FALSE(second.has_value());
    STRCMP_CONTAINS("has interface nf-claim: end that one first", second.error().message.c_str());
    const InterfaceClaim moved = *std::move(*first);
    CHECK_FALSE(InterfaceClaim::take("net_af_packet0,iface=nf-claim").has_value());
    CHECK(InterfaceClaim::take("net_af_packet0,iface=nf-claim2")->has_value());
  }
  CHECK(InterfaceClaim::take("net_af_packet0,iface=nf-claim")->has_value());
}

TEST(InterfaceClaim, is_not_for_what_has_an_owner_by_itself) {
  for (const char* devargs : {"0000:03:00.0", "net_tap0,iface=nf0", "net_ring0", "net_af_packet0"})
    CHECK_FALSE(InterfaceClaim::take(devargs)->has_value());
}

}  // namespace nearfield::net::dpdk
