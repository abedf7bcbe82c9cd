// The keys under [dpdk].
#include <format>

#include "dataplane/control/config_keys.h"

namespace nearfield::control {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

// What DPDK takes: a PCI address, or a driver's name with its arguments.
Result<void> is_port_name(std::string_view text) {
  const bool good = text.size() <= 256 &&
                    text.find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.:,=/@") ==
                        std::string_view::npos;
  if (good) return {};
  return failure(std::format(
      "'{}' is not a port: write a PCI address like 0000:3b:00.0, or a virtual device like "
      "net_af_packet0,iface=eth1",
      text));
}

void visit_port(ConfigVisitor& visitor, DpdkPortConfig& port) {
  visitor.text("name", port.name, is_port_name);
  visitor.texts("addresses", port.addresses, net::ip::Routes::kMaximumLocalAddresses - 1,
                parses(parse_local_address));
  visitor.texts("gateways", port.gateways, 2, parses(parse_gateway));
  visitor.texts("routes", port.routes, net::ip::Routes::kMaximumRoutes - 2, parses(parse_route));
  visitor.integer("vlan", port.vlan, 0, 4094);
  visitor.integer("mtu", port.mtu, 1280, 9216);
  visitor.text("exception_tap", port.exception_tap, is_interface_name);
}

}  // namespace

void visit_dpdk(ConfigVisitor& visitor, DpdkConfig& dpdk) {
  visitor.text("cores", dpdk.cores, parses(parse_cores));
  visitor.boolean("hugepages", dpdk.hugepages);
  std::uint64_t memory = dpdk.memory_bytes;
  visitor.size("memory", memory, 16 * kMiB, 65536 * kMiB);
  dpdk.memory_bytes = memory;
  visit_parsed(visitor, "idle", idle_mode_text(dpdk.idle), parse_idle_mode, dpdk.idle);
  visitor.duration("idle_sleep", dpdk.idle_sleep, std::chrono::microseconds(10),
                   std::chrono::milliseconds(10));
  visitor.tables<DpdkPortConfig>("port", dpdk.ports, DpdkConfig::kMaximumPorts, "",
                                 [&](DpdkPortConfig& port) { visit_port(visitor, port); });
}

}  // namespace nearfield::control
