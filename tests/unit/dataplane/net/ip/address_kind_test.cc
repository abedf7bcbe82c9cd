// Addresses by what they are good for, and the ones that follow from others.
#include "dataplane/net/ip/address_kind.h"

#include "CppUTest/TestHarness.h"
#include "tests/unit/dataplane/net/ip/support.h"

using namespace nearfield::net;
using namespace nearfield::net::ip;
using namespace nearfield::net::ip::test;

TEST_GROUP(AddressKind){};

TEST(AddressKind, UnicastIsWhatIsNothingElse) {
  for (const char* text :
       {"192.0.2.1", "10.0.0.255", "2001:db8::1", "fe80::1", "169.254.1.1", "::2"}) {
    CHECK_TEXT(is_unicast(address(text)), text);
  }
  for (const char* text : {"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255",
                           "255.255.255.255", "::", "::1", "ff02::1"}) {
    CHECK_TEXT(!is_unicast(address(text)), text);
  }
}

TEST(AddressKind, KindsOfBothFamilies) {
  CHECK(is_loopback(address("127.255.0.1")) && is_loopback(address("::1")));
  CHECK(!is_loopback(address("::2")) && !is_loopback(address("1::1")));
  CHECK(is_multicast(address("224.0.0.251")) && is_multicast(address("ff05::2")));
  CHECK(!is_multicast(address("240.0.0.1")) && !is_multicast(address("223.255.255.255")));
  CHECK(is_link_local(address("fe80::1")) && is_link_local(address("febf::1")));
  CHECK(!is_link_local(address("fec0::1")) && is_link_local(address("169.254.0.9")));
  CHECK(is_unspecified(address("::")) && is_unspecified(address("0.0.0.0")));
  CHECK(is_limited_broadcast(address("255.255.255.255")));
}

TEST(AddressKind, PrefixesOfAnyLength) {
  CHECK(in_prefix(address("192.0.2.130"), address("192.0.2.128"), 25));
  CHECK(!in_prefix(address("192.0.2.127"), address("192.0.2.128"), 25));
  CHECK(in_prefix(address("203.0.113.9"), address("0.0.0.0"), 0));
  CHECK(!in_prefix(address("2001:db8::1"), address("0.0.0.0"), 0));
  CHECK(!in_prefix(address("203.0.113.9"), address("::"), 0));
  CHECK(in_prefix(address("2001:db8::1"), address("::"), 0));
  CHECK(in_prefix(address("2001:db8::1"), address("2001:db8::1"), 128));
  CHECK(!in_prefix(address("2001:db8::2"), address("2001:db8::1"), 128));
  CHECK(in_prefix(address("192.0.2.1"), address("192.0.2.1"), 32));
}

TEST(AddressKind, AddressesThatFollow) {
  CHECK(solicited_node_multicast(address("2001:db8::12:3456")) == address("ff02::1:ff12:3456"));
  CHECK(multicast_mac(address("ff02::1:ff12:3456")) == mac("33:33:ff:12:34:56"));
  CHECK(link_local_address(mac("02:00:5e:10:00:01")) == address("fe80::5eff:fe10:1"));
  CHECK(all_nodes_multicast() == address("ff02::1"));
}

TEST(AddressKind, WireFormsComeBack) {
  std::byte wire[16];
  write_v4_address(address("192.0.2.1"), wire);
  CHECK(v4_address(wire) == address("192.0.2.1"));
  write_v6_address(address("2001:db8::1"), wire);
  CHECK(v6_address(wire) == address("2001:db8::1"));
}

TEST(AddressKind, MacAddressesFromAndToText) {
  STRCMP_EQUAL("02:00:5e:10:00:af", mac("02-00-5E-10-00-Af").text().c_str());
  for (const char* text : {"", "02:00:5e:10:00", "02:00:5e:10:00:0", "02:00:5e:10:00:0g",
                           "02:00-5e:10:00:01", "02:00:5e:10:00:01:", "0200.5e10.0001xxx"}) {
    CHECK_TEXT(!MacAddress::parse(text).has_value(), text);
  }
  CHECK(MacAddress::broadcast().is_group() && !mac("02:00:00:00:00:01").is_group());
}
