#include "dataplane/control/config_check_dpdk.h"

#include <algorithm>
#include <format>
#include <set>

namespace nearfield::control {
namespace {

void check_port(const DpdkPortConfig& port, const std::string& key, const ComplainOfKey& complain) {
  if (port.name.empty()) {
    complain(key + ".name", "is missing: write a PCI address, or a virtual device");
  }
  if (port.addresses.empty()) {
    complain(key + ".addresses", "is missing: write at least one, like [\"192.0.2.10/24\"]");
  } else if (const auto routes = make_routes(port); !routes) {
    complain(key, routes.error().message);
  }
}

void check_twice(const DpdkConfig& dpdk, const ComplainOfKey& complain) {
  std::set<std::string> devices;
  std::set<std::string> taps;
  std::set<net::Address> addresses;
  for (std::size_t i = 0; i < dpdk.ports.size(); ++i) {
    const DpdkPortConfig& port = dpdk.ports[i];
    const std::string key = std::format("dpdk.port[{}]", i);
    if (!devices.insert(port.name.substr(0, port.name.find(','))).second) {
      complain(key + ".name",
               std::format("'{}' is another port's too: a device has one entry", port.name));
    }
    if (!port.exception_tap.empty() && !taps.insert(port.exception_tap).second) {
      complain(key + ".exception_tap",
               std::format("'{}' is another port's too: use another name", port.exception_tap));
    }
    for (const std::string& text : port.addresses) {
      const auto local = parse_local_address(text);
      if (local && !addresses.insert(local->address).second) {
        complain(key + ".addresses", std::format("'{}' is there twice: remove one", text));
      }
    }
  }
}

void check_listeners(const Config& config, const std::vector<net::Endpoint>& list,
                     std::string_view key, const ComplainOfKey& complain) {
  for (const net::Endpoint& listen : list) {
    if (listen.port == 0) {
      complain(key, "has port 0, which only the kernel can choose: name a port");
      return;
    }
    const bool served = std::ranges::any_of(
        config.dpdk.ports, [&](const DpdkPortConfig& port) { return serves(port, listen); });
    if (!served) {
      complain(key, std::format("has {}, which no [[dpdk.port]] has among its addresses",
                                listen.text()));
      return;
    }
  }
}

}  // namespace

void check_dpdk(Config& config, const ComplainOfKey& complain) {
  if (config.transport != TransportChoice::dpdk) return;
  DpdkConfig& dpdk = config.dpdk;
  if (dpdk.ports.empty()) {
    complain("dpdk.port", "is missing: write a [[dpdk.port]] with name and addresses");
    return;
  }
  for (std::size_t i = 0; i < dpdk.ports.size(); ++i) {
    check_port(dpdk.ports[i], std::format("dpdk.port[{}]", i), complain);
  }
  check_twice(dpdk, complain);
  check_listeners(config, config.listen, "node.listen", complain);
  check_listeners(config, config.tls.listen, "tls.listen", complain);
  const auto cores = parse_cores(dpdk.cores);
  if (!cores) return;
  if (config.workers == 0) {
    config.workers = static_cast<std::uint32_t>(std::max(cores->size(), dpdk.ports.size()));
  }
  if (config.workers < dpdk.ports.size()) {
    complain("node.workers", std::format("is {}: use at least one for each of the {} ports",
                                         config.workers, dpdk.ports.size()));
  }
  if (!cores->empty() && config.workers > cores->size()) {
    complain("dpdk.cores", std::format("names {} processors for {} workers: use one for each",
                                       cores->size(), config.workers));
  }
}

}  // namespace nearfield::control
