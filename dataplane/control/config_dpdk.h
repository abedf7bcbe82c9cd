// DpdkConfig: which NIC ports a node owns, under which addresses, on which processors; plain
// values, and how their texts are read. docs/configuration.md is the manual of every key.
//
// Invariant: texts of a DpdkPortConfig that came out of a checked Config parse. They stay texts
// because that is what an operator compares and gets shown.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/ip/routes.h"

namespace nearfield::control {

enum class TransportChoice : std::uint8_t { uring, dpdk };
std::string_view transport_choice_text(TransportChoice choice);
Result<TransportChoice> parse_transport_choice(std::string_view text);

// What a worker without work does.
enum class IdleMode : std::uint8_t {
  automatic,  // waits for interrupts where a port has them, sleeps elsewhere
  sleep,      // for a bounded time, growing
  poll        // nothing: it looks again at once, and burns its core
};
std::string_view idle_mode_text(IdleMode mode);
Result<IdleMode> parse_idle_mode(std::string_view text);

struct DpdkPortConfig {
  std::string name;                    // "0000:3b:00.0", or "net_af_packet0,iface=veth1"
  std::vector<std::string> addresses;  // "192.0.2.10/24"
  std::vector<std::string> gateways;   // of default routes, one a family
  std::vector<std::string> routes;     // "198.51.100.0/24 via 192.0.2.7"
  std::uint32_t vlan = 0;              // 0: no tag
  std::uint32_t mtu = 1500;
  std::string exception_tap;  // interface for what is not ours; empty: none

  bool operator==(const DpdkPortConfig&) const = default;
};

struct DpdkConfig {
  static constexpr std::size_t kMaximumPorts = 16;

  std::string cores;  // "2-5,8"; empty: the workers are not pinned
  bool hugepages = true;
  std::uint64_t memory_bytes = 256 * 1024 * 1024;  // packets; the cache is not part of it
  IdleMode idle = IdleMode::automatic;
  std::chrono::microseconds idle_sleep{1000};  // the longest
  std::vector<DpdkPortConfig> ports;

  bool operator==(const DpdkConfig&) const = default;
};

// "2-5,8": each once, 0 to 1023, in the order given. "" is none.
Result<std::vector<int>> parse_cores(std::string_view text);
// "192.0.2.10/24", "2001:db8::10/64".
Result<net::ip::LocalAddress> parse_local_address(std::string_view text);
// "198.51.100.0/24 via 192.0.2.7".
Result<net::ip::Route> parse_route(std::string_view text);
Result<net::ip::Route> parse_gateway(std::string_view text);
// "0000:3b:00.0", with or without arguments behind it.
bool is_pci_address(std::string_view text);
// At most 15 visible characters without '/', as Linux takes them. "" is none and good.
Result<void> is_interface_name(std::string_view text);

// All addresses, and all routes with those of the gateways.
Result<std::vector<net::ip::LocalAddress>> local_addresses(const DpdkPortConfig& port);
Result<std::vector<net::ip::Route>> routes(const DpdkPortConfig& port);
// Both together. Errors say which does not fit.
Result<net::ip::Routes> make_routes(const DpdkPortConfig& port);
// Whether a listener at `endpoint` is one of this port's.
bool serves(const DpdkPortConfig& port, const net::Endpoint& endpoint);

}  // namespace nearfield::control
