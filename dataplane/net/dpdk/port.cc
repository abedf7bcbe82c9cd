// What is known of drivers that promise too much (DPDK 24.11):
//   net_tap     cuts super-segments with a library that knows IPv4 only; an IPv6 one leaves whole.
//               Sums a chain buffer by buffer, wrong behind one of odd length.
//   net_af_xdp  copies a chain's first buffer only; it does not claim chains, so none are made.
#include "dataplane/net/dpdk/port.h"

#include <rte_bus_vdev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <vector>

#include "cache/base/assert.h"
#include "dataplane/net/dpdk/eal.h"

namespace nearfield::net::dpdk {
namespace {

constexpr std::uint16_t kMinimumMtu = 1280;  // RFC 8200 5
constexpr std::uint16_t kMaximumMtu = 9216;
constexpr std::uint16_t kMaximumQueues = 128;
constexpr std::size_t kMaximumKeyBytes = 64;

constexpr std::uint64_t kReceiveChecksums =
    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
constexpr std::uint64_t kHashedFlows = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 |
                                       RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP;

// 6d5a again and again gives both directions of a flow the same hash, so that an ICMP error's
// inner packet can be matched to its queue too.
constexpr std::array<std::uint8_t, kMaximumKeyBytes> kSymmetricKey = [] {
  std::array<std::uint8_t, kMaximumKeyBytes> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = i % 2 == 0 ? 0x6d : 0x5a;
  return key;
}();

bool has(std::uint64_t capabilities, std::uint64_t wanted) {
  return (capabilities & wanted) == wanted;
}

PortCapabilities read_capabilities(const rte_eth_dev_info& info, std::string_view driver) {
  PortCapabilities capabilities;
  capabilities.receive_checksum = has(info.rx_offload_capa, kReceiveChecksums);
  capabilities.ipv4_checksum = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_IPV4_CKSUM);
  capabilities.tcp_checksum =
      has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_CKSUM) && driver != "net_tap";
  capabilities.multiple_segments = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
  // A super-segment needs its checksums made and a chain for its payload; net_tap has no sums.
  capabilities.segmentation = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_TCP_TSO) &&
                              capabilities.tcp_checksum && capabilities.ipv4_checksum &&
                              capabilities.multiple_segments;
  capabilities.external_buffers = capabilities.multiple_segments;
  capabilities.vlan_insert = has(info.tx_offload_capa, RTE_ETH_TX_OFFLOAD_VLAN_INSERT);
  capabilities.vlan_strip = has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
  if (capabilities.multiple_segments) {
    // 0 is "no limit told"; RTE_MBUF_MAX_NB_SEGS is the mbuf's own.
    const auto limit = [](std::uint16_t told) {
      return told == 0 ? std::uint16_t{RTE_MBUF_MAX_NB_SEGS} : told;
    };
    capabilities.maximum_segments = limit(info.tx_desc_lim.nb_seg_max);
    capabilities.maximum_packet_segments =
        std::min(limit(info.tx_desc_lim.nb_mtu_seg_max), capabilities.maximum_segments);
  }
  return capabilities;
}

}  // namespace

// One queue pair. Receiving and sending are a driver's inline fast path; one virtual call a burst.
class Port::Queue final : public PacketIo {
 public:
  void set(std::uint16_t port, std::uint16_t queue, std::mutex& interrupts) {
    port_ = port;
    queue_ = queue;
    interrupts_ = &interrupts;
  }
  std::size_t receive(std::span<rte_mbuf*> packets) override {
    return rte_eth_rx_burst(port_, queue_, packets.data(), bounded(packets.size()));
  }
  // The driver looks first at what it is asked to do with each, and writes what its NIC wants to
  // find there; with a full ring it does so again for the same packets, which changes nothing. What
  // it refuses would be refused for ever: it is dropped, and TCP learns of it as of any loss.
  std::size_t send(std::span<rte_mbuf*> packets) override {
    const std::uint16_t count = bounded(packets.size());
    std::uint16_t done = 0;
    while (done < count) {
      rte_mbuf** const rest = &packets[done];
      const std::uint16_t ready =
          rte_eth_tx_prepare(port_, queue_, rest, static_cast<std::uint16_t>(count - done));
      const std::uint16_t sent = rte_eth_tx_burst(port_, queue_, rest, ready);
      done = static_cast<std::uint16_t>(done + sent);
      if (sent < ready || done == count) break;
      rte_pktmbuf_free(packets[done++]);
      refused_.store(refused_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    return done;
  }
  void reclaim() override {
    // Not every driver has it; a burst of none makes some of the others look at their ring.
    if (rte_eth_tx_done_cleanup(port_, queue_, 0) < 0) rte_eth_tx_burst(port_, queue_, nullptr, 0);
  }
  bool watch(int epoll_descriptor) override {
    if (!has_interrupt_) return false;
    const EalSilence silence;
    const std::lock_guard lock(*interrupts_);
    return rte_eth_dev_rx_intr_ctl_q(port_, queue_, epoll_descriptor, RTE_INTR_EVENT_ADD,
                                     nullptr) == 0;
  }
  // net_tap has nothing to switch: its descriptor tells of every packet. Some NICs have one mask
  // for all queues, which their drivers read, change and write (ixgbe), so one worker at a time.
  bool arm() override {
    const std::lock_guard lock(*interrupts_);
    const int result = rte_eth_dev_rx_intr_enable(port_, queue_);
    return result == 0 || result == -ENOTSUP;
  }
  void disarm() override {
    const std::lock_guard lock(*interrupts_);
    rte_eth_dev_rx_intr_disable(port_, queue_);
  }

  void set_interrupt(bool has_interrupt) { has_interrupt_ = has_interrupt; }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  static std::uint16_t bounded(std::size_t packets) {
    return static_cast<std::uint16_t>(std::min<std::size_t>(packets, UINT16_MAX));
  }
  std::uint16_t port_ = 0;
  std::uint16_t queue_ = 0;
  bool has_interrupt_ = false;
  std::mutex* interrupts_ = nullptr;       // the port's
  std::atomic<std::uint64_t> refused_{0};  // one writer
};

std::string PortCapabilities::text() const {
  std::string text;
  const auto add = [&text](bool present, const char* word) {
    if (!present) return;
    if (!text.empty()) text += ", ";
    text += word;
  };
  add(receive_checksum, "receive checksums");
  add(ipv4_checksum, "IPv4 checksum");
  add(tcp_checksum, "TCP checksum");
  add(segmentation, "segmentation");
  add(multiple_segments, "chained packets");
  add(external_buffers, "external buffers");
  add(receive_hash, "receive hash");
  add(vlan_insert, "VLAN insert");
  add(vlan_strip, "VLAN strip");
  if (text.empty()) return "nothing: all is done in software";
  if (multiple_segments) text += " (chains of at most " + std::to_string(maximum_segments) + ")";
  return text;
}

Result<std::unique_ptr<Port>> Port::open(const PortOptions& options,
                                         std::span<PacketPool* const> receive_pools) {
  if (options.queues == 0 || options.queues > kMaximumQueues ||
      receive_pools.size() != options.queues) {
    return failure("port " + options.name + " with " + std::to_string(options.queues) +
                   " queues: it takes 1 to 128, and as many packet pools");
  }
  if (options.mtu < kMinimumMtu || options.mtu > kMaximumMtu) {
    return failure("port " + options.name + " with an MTU of " + std::to_string(options.mtu) +
                   ": it takes 1280 (RFC 8200) to 9216");
  }
  std::unique_ptr<Port> port(new Port);
  port->name_ = options.name.substr(0, options.name.find(','));
  if (rte_eth_dev_get_port_by_name(port->name_.c_str(), &port->id_) != 0) {
    if (!options.name.starts_with("net_")) {
      return failure("DPDK has no driver for " + options.name +
                     ": name a PCI NIC that a driver knows, or a virtual device (net_...)");
    }
    auto claim = InterfaceClaim::take(options.name);
    if (!claim) return std::unexpected(claim.error());
    if (*claim) port->claim_.emplace(*std::move(*claim));
    if (auto added = add_virtual_device(options.name); !added)
      return std::unexpected(added.error());
    port->made_ = true;
    if (rte_eth_dev_get_port_by_name(port->name_.c_str(), &port->id_) != 0) {
      (void)remove_virtual_device(port->name_);  // what it is not is the news
      port->made_ = false;
      return failure("DPDK device " + port->name_ + " is no network port: see its driver's name");
    }
  }
  port->taken_ = true;
  if (auto configured = port->configure(options, receive_pools); !configured)
    return std::unexpected(configured.error());
  if (auto queues = port->set_up_queues(options, receive_pools); !queues)
    return std::unexpected(queues.error());
  return port;
}

Result<void> Port::configure(const PortOptions& options,
                             std::span<PacketPool* const> receive_pools) {
  rte_eth_dev_info info{};
  if (const int result = rte_eth_dev_info_get(id_, &info); result != 0) {
    return failure("port " + name_ + " tells nothing of itself (" + rte_strerror(-result) +
                   "): is the device still there?");
  }
  driver_ = info.driver_name;
  if (options.queues > std::min(info.max_rx_queues, info.max_tx_queues)) {
    return failure("port " + name_ + " has " +
                   std::to_string(std::min(info.max_rx_queues, info.max_tx_queues)) +
                   " queues and " + std::to_string(options.queues) +
                   " are wanted: use fewer workers, or give the device more (qpairs=, queues=)");
  }
  if (options.mtu > info.max_mtu) {
    return failure("port " + name_ + " can do an MTU of " + std::to_string(info.max_mtu) +
                   " and not " + std::to_string(options.mtu) + ": set mtu lower");
  }
  capabilities_ = read_capabilities(info, driver_);

  rte_eth_conf configuration{};
  wants_interrupts_ = options.interrupts;
  configuration.intr_conf.rxq = options.interrupts ? 1 : 0;
  configuration.rxmode.mtu = options.mtu;
  if (capabilities_.receive_checksum) configuration.rxmode.offloads |= kReceiveChecksums;
  const std::uint32_t smallest_pool =
      std::ranges::min(receive_pools, {}, &PacketPool::data_bytes)->data_bytes();
  if (smallest_pool < frame_bytes(options.mtu)) {
    if (!has(info.rx_offload_capa, RTE_ETH_RX_OFFLOAD_SCATTER)) {
      return failure("port " + name_ + " needs packets of " +
                     std::to_string(frame_bytes(options.mtu)) +
                     " bytes for its MTU and the pool's have " + std::to_string(smallest_pool) +
                     ": make them larger, it cannot chain them");
    }
    configuration.rxmode.offloads |= RTE_ETH_RX_OFFLOAD_SCATTER;
  }
  if (capabilities_.multiple_segments)
    configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
  if (capabilities_.ipv4_checksum) configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
  if (capabilities_.tcp_checksum) configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
  if (capabilities_.segmentation) configuration.txmode.offloads |= RTE_ETH_TX_OFFLOAD_TCP_TSO;

  std::array<std::uint8_t, kMaximumKeyBytes> key = kSymmetricKey;
  if (options.queues > 1 && (info.flow_type_rss_offloads & kHashedFlows) != 0) {
    capabilities_.receive_hash = true;
    configuration.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
    configuration.rx_adv_conf.rss_conf.rss_hf = info.flow_type_rss_offloads & kHashedFlows;
    if (info.hash_key_size > 0 && info.hash_key_size <= key.size()) {
      configuration.rx_adv_conf.rss_conf.rss_key = key.data();
      configuration.rx_adv_conf.rss_conf.rss_key_len = info.hash_key_size;
    }
  }
  int result = rte_eth_dev_configure(id_, options.queues, options.queues, &configuration);
  if (result != 0 && wants_interrupts_) {  // some drivers refuse the whole rather than that
    wants_interrupts_ = false;
    configuration.intr_conf.rxq = 0;
    result = rte_eth_dev_configure(id_, options.queues, options.queues, &configuration);
  }
  if (result != 0) {
    return failure("port " + name_ + " does not take " + std::to_string(options.queues) +
                   " queues and an MTU of " + std::to_string(options.mtu) + ": " +
                   rte_strerror(-result) + "; set mtu lower or use fewer workers");
  }
  const int set = rte_eth_dev_set_mtu(id_, options.mtu);
  if (set != 0 && set != -ENOTSUP) {
    const bool is_forbidden = set == -EPERM || set == -EACCES;
    return failure("port " + name_ + " does not take an MTU of " + std::to_string(options.mtu) +
                   " (" + rte_strerror(-set) +
                   "): " + (is_forbidden ? "give the process CAP_NET_ADMIN" : "set mtu lower"));
  }
  mtu_ = options.mtu;
  queue_count_ = options.queues;

  rte_ether_addr address{};
  if (rte_eth_macaddr_get(id_, &address) == 0)
    std::ranges::copy(address.addr_bytes, mac_address_.begin());
  return {};
}

Result<void> Port::set_up_queues(const PortOptions& options,
                                 std::span<PacketPool* const> receive_pools) {
  std::uint16_t receive_descriptors = options.receive_descriptors;
  std::uint16_t transmit_descriptors = options.transmit_descriptors;
  rte_eth_dev_adjust_nb_rx_tx_desc(id_, &receive_descriptors, &transmit_descriptors);
  const int node = rte_eth_dev_socket_id(id_);
  const auto socket = static_cast<unsigned>(node);
  queues_ = std::make_unique<Queue[]>(queue_count_);
  for (std::uint16_t queue = 0; queue < queue_count_; ++queue) {
    int result = rte_eth_rx_queue_setup(id_, queue, receive_descriptors, socket, nullptr,
                                        receive_pools[queue]->handle());
    if (result == 0)
      result = rte_eth_tx_queue_setup(id_, queue, transmit_descriptors, socket, nullptr);
    if (result != 0) {
      return failure("queue " + std::to_string(queue) + " of port " + name_ +
                     " cannot be set up: " + rte_strerror(-result) +
                     "; the driver's line in the log says what it lacks");
    }
    queues_[queue].set(id_, queue, interrupts_);
  }
  // NDP comes to multicast groups (RFC 4861 2.3); a filter for each address would be the
  // alternative, and not every driver has one. Who cannot do either sees all frames anyway.
  rte_eth_allmulticast_enable(id_);
  if (options.promiscuous && rte_eth_promiscuous_enable(id_) != 0)
    return failure("port " + name_ + " cannot be made promiscuous: leave that out");
  return {};
}

Port::~Port() {
  if (!taken_) return;
  stop();
  // Removing a device closes its port; after closing it first, there would be none to remove.
  if (made_) {
    (void)remove_virtual_device(name_);  // nobody is left who could do anything about it
  } else {
    rte_eth_dev_close(id_);
  }
}

Result<void> Port::start() {
  if (started_) return {};
  if (const int result = rte_eth_dev_start(id_); result != 0) {
    return failure("port " + name_ + " does not start: " + rte_strerror(-result) +
                   (wants_interrupts_ ? "; with idle = \"sleep\" it needs no interrupts" : ""));
  }
  started_ = true;
  if (wants_interrupts_) {
    const EalSilence silence;
    capabilities_.receive_interrupts = rte_eth_dev_rx_intr_ctl_q_get_fd(id_, 0) >= 0;
    for (std::uint16_t queue = 0; queue < queue_count_; ++queue)
      queues_[queue].set_interrupt(capabilities_.receive_interrupts);
  }
  return {};
}

void Port::stop() {
  if (!started_) return;
  rte_eth_dev_stop(id_);
  started_ = false;
}

int Port::numa_node() const { return rte_eth_dev_socket_id(id_); }

LinkState Port::link() const {
  rte_eth_link link{};
  if (rte_eth_link_get_nowait(id_, &link) != 0) return {};
  const bool known = link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN;
  return {.up = link.link_status == RTE_ETH_LINK_UP,
          .megabits_per_second = known ? link.link_speed : 0};
}

PortStatistics Port::statistics() const {
  rte_eth_stats stats{};
  if (rte_eth_stats_get(id_, &stats) != 0) return {};
  for (std::uint16_t queue = 0; queue < queue_count_; ++queue)
    stats.oerrors += queues_[queue].refused();
  return {.received_packets = stats.ipackets,
          .received_bytes = stats.ibytes,
          .sent_packets = stats.opackets,
          .sent_bytes = stats.obytes,
          .receive_missed = stats.imissed,
          .receive_errors = stats.ierrors,
          .receive_no_packet = stats.rx_nombuf,
          .send_errors = stats.oerrors};
}

PacketIo& Port::queue(std::uint16_t index) {
  NEARFIELD_ASSERT(index < queue_count_);
  return queues_[index];
}

}  // namespace nearfield::net::dpdk
