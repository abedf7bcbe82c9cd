#include "dataplane/net/dpdk/nic.h"

#include <algorithm>
#include <format>
#include <utility>

#include "dataplane/net/ip/address_kind.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::uint16_t kDescriptors = 1024;
// A queue's descriptors hold as many packets; as much again is on its way through the worker.
constexpr std::uint32_t kReceivePackets = 2 * kDescriptors - 1;
// net_af_xdp takes 2048 at once for the kernel to fill, however few descriptors it is given, and
// copies what it sends into packets of the same pool, of which as many may be on their way.
constexpr std::uint32_t kAfXdpReceivePackets = 4 * 2048 - 1;
// A full ring of packets with a header buffer and two buffers that point into the cache each, and
// the transmitter's own queue.
constexpr std::uint32_t kSendPackets = 4 * kDescriptors - 1;

// What a sending buffer holds: a whole frame where the driver cannot chain, else headers and the
// short pieces that are copied.
std::uint32_t send_bytes(const Port& port) {
  return std::max<std::uint32_t>(2048, Port::frame_bytes(port.mtu()));
}

std::uint32_t receive_packets(const NicOptions& options) {
  return options.name.starts_with("net_af_xdp") ? kAfXdpReceivePackets : kReceivePackets;
}

Result<std::unique_ptr<PacketPool>> make_pool(std::string name, std::uint32_t packets,
                                              std::uint32_t data_bytes) {
  return PacketPool::create(
      {.name = std::move(name), .packets = packets, .data_bytes = data_bytes, .numa_node = -1});
}

std::vector<ip::LocalAddress> with_link_local(std::vector<ip::LocalAddress> addresses,
                                              const ip::MacAddress& mac) {
  const bool has_v6 = std::ranges::any_of(
      addresses, [](const ip::LocalAddress& one) { return !one.address.is_v4(); });
  const bool has_link_local = std::ranges::any_of(addresses, [](const ip::LocalAddress& one) {
    return !one.address.is_v4() && ip::is_link_local(one.address);
  });
  if (has_v6 && !has_link_local) {
    addresses.push_back({.address = ip::link_local_address(mac), .prefix_bits = 64});
  }
  return addresses;
}

}  // namespace

Result<std::unique_ptr<Nic>> Nic::open(const NicOptions& options, ExternalMemory* memory) {
  std::unique_ptr<Nic> nic(new Nic());
  std::vector<PacketPool*> receive_pools;
  for (std::uint16_t worker = 0; worker < options.workers; ++worker) {
    auto pool = make_pool(std::format("{}-rx{}", options.label, worker), receive_packets(options),
                          std::max<std::uint32_t>(2048, Port::frame_bytes(options.mtu)));
    if (!pool) return std::unexpected(pool.error());
    receive_pools.push_back(pool->get());
    nic->pools_.push_back(*std::move(pool));
  }
  auto port = Port::open({.name = options.name,
                          .queues = options.workers,
                          .receive_descriptors = kDescriptors,
                          .transmit_descriptors = kDescriptors,
                          .mtu = options.mtu,
                          .promiscuous = false,
                          .interrupts = options.interrupts},
                         receive_pools);
  if (!port) return std::unexpected(port.error());
  nic->port_ = *std::move(port);
  if (memory != nullptr) {
    if (auto mapped = memory->map_for(*nic->port_); !mapped) return std::unexpected(mapped.error());
    nic->memory_ = memory;
  }
  if (auto made = nic->make_stations(options, memory); !made) {
    return std::unexpected(made.error());
  }
  return nic;
}

Result<void> Nic::make_stations(const NicOptions& options, const ExternalMemory* memory) {
  const ip::MacAddress mac{port_->mac_address()};
  auto routes = ip::Routes::create(with_link_local(options.addresses, mac), options.routes);
  if (!routes) return std::unexpected(routes.error());
  for (std::uint16_t worker = 0; worker < options.workers; ++worker) {
    auto pool =
        make_pool(std::format("{}-tx{}", options.label, worker), kSendPackets, send_bytes(*port_));
    if (!pool) return std::unexpected(pool.error());
    pools_.push_back(*std::move(pool));
    std::unique_ptr<ExceptionTap> tap;
    if (!options.exception_tap.empty()) {
      auto opened =
          ExceptionTap::open({.name = options.exception_tap, .mac = mac, .mtu = port_->mtu()});
      if (!opened) return std::unexpected(opened.error());
      tap = *std::move(opened);
    }
    PacketIo* io = &port_->queue(worker);
    if (options.wrap) io = wrappers_.emplace_back(options.wrap(*io, worker)).get();
    stations_.push_back(std::make_unique<Station>(
        StationOptions{.mac = mac,
                       .vlan_id = options.vlan_id,
                       .routes = *routes,
                       .transmitter = {.capabilities = port_->capabilities(),
                                       .mtu = port_->mtu(),
                                       .key = options.key},
                       .key = options.key,
                       .announces = worker == 0,
                       .link_of = worker == 0 ? port_.get() : nullptr,
                       .tap = std::move(tap),
                       .waits = options.interrupts},
        *io, *pools_.back(), memory));
  }
  for (const auto& station : stations_) {
    std::vector<Station*> others;
    for (const auto& other : stations_) {
      if (other != station) others.push_back(other.get());
    }
    station->set_siblings(std::move(others));
  }
  return {};
}

Nic::~Nic() {
  if (port_) {
    port_->stop();
    if (memory_ != nullptr) memory_->unmap_for(*port_);
  }
  port_.reset();
  stations_.clear();
  wrappers_.clear();
}

Result<void> Nic::start() {
  if (auto started = port_->start(); !started) return started;
  for (const auto& station : stations_) station->open();
  return {};
}

std::uint64_t Nic::messages_lost() const {
  std::uint64_t lost = 0;
  for (const auto& station : stations_) lost += station->messages_lost();
  return lost;
}

}  // namespace nearfield::net::dpdk
