// [dpdk]: what it takes, what it refuses and how it says so.
#include "dataplane/control/config_dpdk.h"

#include <string>

#include "CppUTest/TestHarness.h"
#include "dataplane/control/config.h"

using namespace nearfield;
using namespace nearfield::control;
using namespace std::chrono_literals;

namespace {

const std::string kNode =
    "[node]\nlisten = [\":80\"]\ntransport = \"dpdk\"\n"
    "[[origin]]\nname = \"m\"\nhosts = [\"*\"]\nservers = [\"http://o\"]\n";  // 7 lines
const std::string kPort = "[[dpdk.port]]\nname = \"net_ring0\"\naddresses = [\"192.0.2.10/24\"]\n";

std::string errors_of(const std::string& toml) {
  const auto config = parse_config(toml, "node.toml");
  return config ? "" : config.error().text();
}

}  // namespace

TEST_GROUP(ConfigDpdk){};

TEST(ConfigDpdk, APortIsEnough) {
  const auto config = parse_config(kNode + kPort, "node.toml");
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  CHECK(config->transport == TransportChoice::dpdk);
  UNSIGNED_LONGS_EQUAL(1, config->workers);
  UNSIGNED_LONGS_EQUAL(1, config->dpdk.ports.size());
  CHECK(config->dpdk.hugepages);
  CHECK(config->dpdk.idle == IdleMode::automatic);
  CHECK(config->dpdk.idle_sleep == 1ms);
  UNSIGNED_LONGS_EQUAL(1500, config->dpdk.ports[0].mtu);
  CHECK(make_routes(config->dpdk.ports[0]).has_value());
}

TEST(ConfigDpdk, WorkersFollowCoresAndPorts) {
  const std::string second =
      "[[dpdk.port]]\nname = \"net_ring1\"\naddresses = [\"198.51.100.10/24\"]\n";
  UNSIGNED_LONGS_EQUAL(2, parse_config(kNode + kPort + second, "f")->workers);
  UNSIGNED_LONGS_EQUAL(3,
                       parse_config(kNode + "[dpdk]\ncores = \"2-3,8\"\n" + kPort, "f")->workers);
  STRCMP_CONTAINS("node.toml:9: dpdk.cores: names 1 processors for 2 workers: use one for each",
                  errors_of(kNode + "[dpdk]\ncores = \"4\"\n" + kPort + second).c_str());
}

TEST(ConfigDpdk, NothingOfItCountsWithSockets) {
  std::string sockets = kNode;
  sockets.replace(sockets.find("dpdk"), 4, "uring");
  CHECK_EQUAL(std::string(), errors_of(sockets));
  CHECK_EQUAL(std::string(), errors_of(sockets + "[[dpdk.port]]\nname = \"net_ring0\"\n"));
}

TEST(ConfigDpdk, MistakesAreFoundWithLineAndKey) {
  const auto expect = [](const char* expected, const std::string& toml) {
    STRCMP_CONTAINS(expected, errors_of(toml).c_str());
  };
  expect("node.toml: dpdk.port: is missing: write a [[dpdk.port]]", kNode);
  expect("dpdk.port[0].name: is missing",
         kNode + "[[dpdk.port]]\naddresses = [\"192.0.2.1/24\"]\n");
  expect("node.toml:9: dpdk.port[0].name: 'a b' is not a port: write a PCI address",
         kNode + "[[dpdk.port]]\nname = \"a b\"\naddresses = [\"192.0.2.1/24\"]\n");
  expect("dpdk.port[0].addresses: is missing", kNode + "[[dpdk.port]]\nname = \"net_ring0\"\n");
  expect("node.toml:10: dpdk.port[0].addresses[0]: '192.0.2.1' is not an address with its prefix",
         kNode + "[[dpdk.port]]\nname = \"net_ring0\"\naddresses = [\"192.0.2.1\"]\n");
  expect("addresses[0]: '192.0.2.1/33' has no prefix length of 0 to 32",
         kNode + "[[dpdk.port]]\nname = \"net_ring0\"\naddresses = [\"192.0.2.1/33\"]\n");
  expect("node.toml:11: dpdk.port[0].gateways[0]: 'router'",
         kNode + kPort + "gateways = [\"router\"]\n");
  expect("node.toml:11: dpdk.port[0].routes[0]: '198.51.100.0/24' is not a route",
         kNode + kPort + "routes = [\"198.51.100.0/24\"]\n");
  expect("node.toml:11: dpdk.port[0].vlan: is 4095: use 0 to 4094",
         kNode + kPort + "vlan = 4095\n");
  expect("node.toml:11: dpdk.port[0].mtu: is 576: use 1280 to 9216", kNode + kPort + "mtu = 576\n");
  expect("dpdk.port[0].exception_tap: 'much-too-long-name' cannot name an interface",
         kNode + kPort + "exception_tap = \"much-too-long-name\"\n");
  expect("dpdk.port[0].mtuu: is not known: did you mean 'mtu'?", kNode + kPort + "mtuu = 1500\n");
  expect("node.toml:9: dpdk.cores: '2-' is not a list of processors",
         kNode + "[dpdk]\ncores = \"2-\"\n" + kPort);
  expect("node.toml:9: dpdk.idle: there is no idle mode 'spin': use auto, sleep or poll",
         kNode + "[dpdk]\nidle = \"spin\"\n" + kPort);
  expect("node.toml:9: dpdk.idle_sleep: is 1s: use 10us to 10ms",
         kNode + "[dpdk]\nidle_sleep = \"1s\"\n" + kPort);
  expect("node.toml:9: dpdk.memory: is 1M: use 16M to 64G",
         kNode + "[dpdk]\nmemory = \"1M\"\n" + kPort);
  std::string unknown = kNode + kPort;
  unknown.replace(unknown.find("\"dpdk\""), 6, "\"xdp\"");
  expect("node.toml:3: node.transport: there is no transport 'xdp': use uring or dpdk", unknown);
}

TEST(ConfigDpdk, WhatDoesNotFitTogetherIsSaid) {
  const auto expect = [](const char* expected, const std::string& toml) {
    STRCMP_CONTAINS(expected, errors_of(toml).c_str());
  };
  const auto listening = [](const std::string& listen) {
    std::string node = kNode;
    return node.replace(node.find(":80"), 3, listen);
  };
  expect("node.toml:2: node.listen: has 203.0.113.1:80, which no [[dpdk.port]] has",
         listening("203.0.113.1:80") + kPort);
  expect("node.toml:2: node.listen: has port 0", listening(":0") + kPort);
  CHECK_EQUAL(std::string(), errors_of(listening("0.0.0.0:80") + kPort));
  CHECK_EQUAL(std::string(), errors_of(listening("192.0.2.10:80") + kPort));
  expect(
      "dpdk.port[1].name: 'net_ring0,x=1' is another port's too",
      kNode + kPort + "[[dpdk.port]]\nname = \"net_ring0,x=1\"\naddresses = [\"192.0.2.2/24\"]\n");
  expect("dpdk.port[1].addresses: '192.0.2.10/25' is there twice",
         kNode + kPort + "[[dpdk.port]]\nname = \"net_ring1\"\naddresses = [\"192.0.2.10/25\"]\n");
  // A gateway must be on the link.
  expect("dpdk.port[0]", kNode + kPort + "gateways = [\"203.0.113.1\"]\n");
}

TEST(ConfigDpdk, CoresAreNumbersAndRanges) {
  CHECK((parse_cores("2-4,0") == std::vector<int>{2, 3, 4, 0}));
  CHECK(parse_cores("")->empty());
  for (const char* wrong :
       {"a", "1,", ",1", "3-2", "-1", "1-", "1024", "1,1", "0-3,2", "99999999999"}) {
    CHECK_TEXT(!parse_cores(wrong).has_value(), wrong);
  }
}

TEST(ConfigDpdk, RoutesAreMadeOfAllThatIsNamed) {
  DpdkPortConfig port;
  port.addresses = {"192.0.2.10/24", "2001:db8::10/64"};
  port.gateways = {"192.0.2.1", "2001:db8::1"};
  port.routes = {"198.51.100.0/24 via 192.0.2.7"};
  const auto routes = make_routes(port);
  CHECK_TEXT(routes.has_value(), routes ? "" : routes.error().message.c_str());
  const auto via = [&](const char* peer) {
    return routes->next_hop(*net::Address::parse(peer))->address.text();
  };
  CHECK_EQUAL(std::string("192.0.2.99"), via("192.0.2.99"));
  CHECK_EQUAL(std::string("192.0.2.7"), via("198.51.100.3"));
  CHECK_EQUAL(std::string("192.0.2.1"), via("203.0.113.3"));
  CHECK_EQUAL(std::string("2001:db8::1"), via("2001:db8:1::3"));
}

TEST(ConfigDpdk, PciAddressesAreTold) {
  CHECK(is_pci_address("0000:3b:00.0"));
  CHECK(is_pci_address("0000:3B:00.1,arg=1"));
  CHECK_FALSE(is_pci_address("net_ring0"));
  CHECK_FALSE(is_pci_address("3b:00.0"));
}

TEST(ConfigDpdk, AFirstLookNeedsNoFile) {
  QuickLook flags;
  flags.listen = {":80"};
  flags.origin = "http://o";
  flags.transport = "dpdk";
  flags.port = "net_af_packet0,iface=veth1";
  flags.addresses = {"192.0.2.10/24", "2001:db8::10/64"};
  const auto config = config_from_flags(flags);
  CHECK_TEXT(config.has_value(), config ? "" : config.error().text().c_str());
  CHECK_FALSE(config->dpdk.hugepages);
  UNSIGNED_LONGS_EQUAL(1, config->workers);

  flags.addresses = {"192.0.2.10"};
  STRCMP_CONTAINS("--address: '192.0.2.10' is not an address with its prefix",
                  config_from_flags(flags).error().text().c_str());
  flags.addresses.clear();
  STRCMP_CONTAINS("--port: wants --address", config_from_flags(flags).error().text().c_str());
  flags.port.clear();
  STRCMP_CONTAINS("--transport: dpdk wants --port",
                  config_from_flags(flags).error().text().c_str());
  flags.transport = "uring";
  flags.port = "net_ring0";
  STRCMP_CONTAINS("want --transport dpdk", config_from_flags(flags).error().text().c_str());
}

TEST(ConfigDpdk, KnowsWhatNeedsARestart) {
  const auto running = parse_config(kNode + kPort, "f");
  auto wanted = parse_config(kNode + kPort + "mtu = 9000\n", "f");
  CHECK((needs_restart(*running, *wanted) == std::vector<std::string>{"dpdk"}));
  wanted->transport = TransportChoice::uring;
  CHECK((needs_restart(*running, *wanted) == std::vector<std::string>{"node.transport"}));
}
