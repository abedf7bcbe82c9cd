// Where packets leave to, and which mistakes of a configuration are told.
#include "dataplane/net/ip/routes.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield::net;
using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

TEST_GROUP(Routes) {
  std::vector<LocalAddress> local = {{address("192.0.2.10"), 24},
                                     {address("198.51.100.2"), 30},
                                     {address("fe80::10"), 64},
                                     {address("2001:db8:1::10"), 64}};
  std::vector<Route> table = {{address("0.0.0.0"), 0, address("192.0.2.1")},
                              {address("10.0.0.0"), 8, address("192.0.2.2")},
                              {address("10.1.0.0"), 16, address("192.0.2.3")},
                              {address("::"), 0, address("fe80::1")}};
  Routes routes = *Routes::create(local, table);

  void expect_hop(const char* peer, const char* hop, bool is_gateway) {
    const auto next = routes.next_hop(address(peer));
    CHECK_TEXT(next.has_value(), peer);
    STRCMP_EQUAL(hop, next->address.text().c_str());
    CHECK(next->is_gateway == is_gateway);
  }
  void expect_error(std::vector<LocalAddress> addresses, std::vector<Route> entries,
                    const char* part) {
    const auto result = Routes::create(addresses, entries);
    CHECK_TEXT(!result.has_value(), part);
    STRCMP_CONTAINS(part, result.error().message.c_str());
  }
};

TEST(Routes, TheLongestPrefixWins) {
  expect_hop("192.0.2.77", "192.0.2.77", false);
  expect_hop("203.0.113.9", "192.0.2.1", true);
  expect_hop("10.9.9.9", "192.0.2.2", true);
  expect_hop("10.1.2.3", "192.0.2.3", true);
  expect_hop("2001:db8:1::99", "2001:db8:1::99", false);
  expect_hop("2001:db8:2::99", "fe80::1", true);
  expect_hop("fe80::77", "fe80::77", false);
}

TEST(Routes, NothingLeadsToGroupsNorWithoutARoute) {
  for (const char* peer : {"224.0.0.1", "255.255.255.255", "192.0.2.255", "0.0.0.0", "ff02::1"}) {
    CHECK_TEXT(!routes.next_hop(address(peer)), peer);
  }
  const Routes lonely = *Routes::create(local, {});
  CHECK(!lonely.next_hop(address("203.0.113.9")));
  CHECK(!Routes().next_hop(address("203.0.113.9")));
}

TEST(Routes, LocalBroadcastAndOnLink) {
  CHECK(routes.is_local(address("198.51.100.2")) && !routes.is_local(address("198.51.100.1")));
  CHECK(routes.is_broadcast(address("192.0.2.255")) &&
        routes.is_broadcast(address("198.51.100.3")));
  CHECK(!routes.is_broadcast(address("192.0.2.254")));
  CHECK(routes.is_on_link(address("198.51.100.1")) && !routes.is_on_link(address("198.51.100.4")));
}

TEST(Routes, ThePeersOwnPrefixGivesTheSource) {
  CHECK(routes.source_for(address("198.51.100.1")) == address("198.51.100.2"));
  CHECK(routes.source_for(address("203.0.113.1")) == address("192.0.2.10"));
  CHECK(routes.source_for(address("fe80::1")) == address("fe80::10"));
  CHECK(routes.source_for(address("2001:db8:9::1")) == address("2001:db8:1::10"));
  const std::vector<LocalAddress> v4_only = {{address("192.0.2.10"), 24}};
  CHECK(!Routes::create(v4_only, {})->source_for(address("2001:db8::1")));
}

TEST(Routes, MistakesAreTold) {
  expect_error({{address("192.0.2.1"), 33}}, {}, "192.0.2.1/33");
  expect_error({{address("192.0.2.255"), 24}}, {}, "192.0.2.255/24");
  expect_error({{address("224.0.0.1"), 24}}, {}, "224.0.0.1/24");
  expect_error({{address("192.0.2.1"), 24}, {address("192.0.2.1"), 24}}, {}, "twice");
  expect_error(local, {{address("10.0.0.0"), 8, address("203.0.113.1")}}, "gateway");
  expect_error(local, {{address("10.0.0.0"), 8, address("192.0.2.10")}}, "gateway");
  expect_error(local, {{address("10.0.0.0"), 8, address("fe80::1")}}, "both");
  expect_error(local, {{address("10.0.0.0"), 40, address("192.0.2.1")}}, "prefix length");
  expect_error(std::vector<LocalAddress>(Routes::kMaximumLocalAddresses + 1), {}, "at most 16");
  expect_error(local, std::vector<Route>(Routes::kMaximumRoutes + 1), "at most 64");
}
