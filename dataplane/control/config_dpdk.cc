#include "dataplane/control/config_dpdk.h"

#include <algorithm>
#include <charconv>
#include <format>
#include <optional>

namespace nearfield::control {
namespace {

constexpr int kMaximumCore = 1023;
constexpr std::size_t kMaximumInterfaceName = 15;  // IFNAMSIZ without its end

std::optional<int> parse_number(std::string_view text, int maximum) {
  int value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (text.empty() || code != std::errc() || stop != end || value < 0 || value > maximum) {
    return std::nullopt;
  }
  return value;
}

// The first `bits` of the address; the rest, when any is set, is what prefixes must not have.
Result<net::ip::LocalAddress> parse_prefixed(std::string_view text, std::string_view example) {
  const std::size_t slash = text.find('/');
  const auto address = net::Address::parse(text.substr(0, slash));
  if (slash == std::string_view::npos || !address) {
    return failure(std::format("'{}' is not an address with its prefix: write {}", text, example));
  }
  const int longest = address->is_v4() ? 32 : 128;
  const auto bits = parse_number(text.substr(slash + 1), longest);
  if (!bits) {
    return failure(
        std::format("'{}' has no prefix length of 0 to {} behind its '/'", text, longest));
  }
  return net::ip::LocalAddress{.address = *address, .prefix_bits = *bits};
}

net::Address any_address(const net::Address& of_family) {
  return of_family.is_v4() ? of_family.truncated(0, 0) : net::Address();
}

}  // namespace

std::string_view transport_choice_text(TransportChoice choice) {
  return choice == TransportChoice::dpdk ? "dpdk" : "uring";
}

Result<TransportChoice> parse_transport_choice(std::string_view text) {
  if (text == "uring") return TransportChoice::uring;
  if (text == "dpdk") return TransportChoice::dpdk;
  return failure(std::format("there is no transport '{}': use uring or dpdk", text));
}

std::string_view idle_mode_text(IdleMode mode) {
  switch (mode) {
    case IdleMode::sleep:
      return "sleep";
    case IdleMode::poll:
      return "poll";
    default:
      return "auto";
  }
}

Result<IdleMode> parse_idle_mode(std::string_view text) {
  if (text == "auto") return IdleMode::automatic;
  if (text == "sleep") return IdleMode::sleep;
  if (text == "poll") return IdleMode::poll;
  return failure(std::format("there is no idle mode '{}': use auto, sleep or poll", text));
}

Result<std::vector<int>> parse_cores(std::string_view text) {
  std::vector<int> cores;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    const std::size_t dash = part.find('-');
    const auto first = parse_number(part.substr(0, dash), kMaximumCore);
    const auto last =
        dash == std::string_view::npos ? first : parse_number(part.substr(dash + 1), kMaximumCore);
    if (!first || !last || *last < *first || comma + 1 == text.size()) {
      return failure(std::format(
          "'{}' is not a list of processors: write numbers and ranges, like 2-5,8", part));
    }
    for (int core = *first; core <= *last; ++core) {
      if (std::ranges::find(cores, core) != cores.end()) {
        return failure(std::format("has processor {} twice: name it once", core));
      }
      cores.push_back(core);
    }
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return cores;
}

Result<net::ip::LocalAddress> parse_local_address(std::string_view text) {
  return parse_prefixed(text, "192.0.2.10/24 or 2001:db8::10/64");
}

Result<net::ip::Route> parse_route(std::string_view text) {
  constexpr std::string_view kVia = " via ";
  const std::size_t via = text.find(kVia);
  if (via == std::string_view::npos) {
    return failure(std::format("'{}' is not a route: write 198.51.100.0/24 via 192.0.2.7", text));
  }
  const auto destination = parse_prefixed(text.substr(0, via), "198.51.100.0/24");
  if (!destination) return std::unexpected(destination.error());
  const auto gateway = net::Address::parse(text.substr(via + kVia.size()));
  if (!gateway) return failure(std::format("'{}': {}", text, gateway.error().message));
  return net::ip::Route{.destination = destination->address,
                        .prefix_bits = destination->prefix_bits,
                        .gateway = *gateway};
}

Result<net::ip::Route> parse_gateway(std::string_view text) {
  const auto gateway = net::Address::parse(text);
  if (!gateway) return std::unexpected(gateway.error());
  return net::ip::Route{
      .destination = any_address(*gateway), .prefix_bits = 0, .gateway = *gateway};
}

// domain:bus:device.function, hexadecimal (the kernel's sysfs names).
bool is_pci_address(std::string_view text) {
  constexpr std::string_view kPattern = "hhhh:hh:hh.h";
  text = text.substr(0, text.find(','));
  return std::ranges::equal(text, kPattern, [](char c, char pattern) {
    if (pattern != 'h') return c == pattern;
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

Result<void> is_interface_name(std::string_view text) {
  const bool good = text.size() <= kMaximumInterfaceName && text != "." && text != ".." &&
                    std::ranges::all_of(text, [](char c) {
                      return c > ' ' && c < 0x7f && c != '/' && c != ':' && c != '%';
                    });
  if (good) return {};
  return failure(
      std::format("'{}' cannot name an interface: use 1 to {} letters, digits, '-' or '_'", text,
                  kMaximumInterfaceName));
}

Result<std::vector<net::ip::LocalAddress>> local_addresses(const DpdkPortConfig& port) {
  std::vector<net::ip::LocalAddress> result;
  for (const std::string& text : port.addresses) {
    const auto address = parse_local_address(text);
    if (!address) return std::unexpected(address.error());
    result.push_back(*address);
  }
  return result;
}

Result<std::vector<net::ip::Route>> routes(const DpdkPortConfig& port) {
  std::vector<net::ip::Route> result;
  for (const std::string& text : port.gateways) {
    const auto route = parse_gateway(text);
    if (!route) return std::unexpected(route.error());
    result.push_back(*route);
  }
  for (const std::string& text : port.routes) {
    const auto route = parse_route(text);
    if (!route) return std::unexpected(route.error());
    result.push_back(*route);
  }
  return result;
}

Result<net::ip::Routes> make_routes(const DpdkPortConfig& port) {
  const auto local = local_addresses(port);
  if (!local) return std::unexpected(local.error());
  const auto others = routes(port);
  if (!others) return std::unexpected(others.error());
  return net::ip::Routes::create(*local, *others);
}

bool serves(const DpdkPortConfig& port, const net::Endpoint& endpoint) {
  return std::ranges::any_of(port.addresses, [&](const std::string& text) {
    const auto local = parse_local_address(text);
    if (!local) return false;
    return local->address == endpoint.address || endpoint.address == net::Address() ||
           (endpoint.address.is_v4() && local->address.is_v4() &&
            endpoint.address == any_address(endpoint.address));
  });
}

}  // namespace nearfield::control
