// Workers are dealt to ports in turn: worker w has queue w / ports of port w % ports.
#include "dataplane/dpdk_transport.h"

#include <algorithm>
#include <atomic>
#include <format>
#include <utility>

#include "cache/base/siphash.h"
#include "dataplane/control/log.h"
#include "dataplane/net/dpdk/dpdk_reactor.h"
#include "dataplane/net/dpdk/eal.h"
#include "dataplane/net/dpdk/external_memory.h"
#include "dataplane/net/dpdk/nic.h"

namespace nearfield {
namespace {

using control::ConnectionReport;
using control::TransportValue;
namespace dpdk = net::dpdk;

// RSS deals connections evenly, but not exactly: a worker may get this many times its share.
constexpr std::size_t kUnevenness = 2;
// Of a worker, to origins; what Node::maximum_streams() adds for them is not told apart.
constexpr std::size_t kOriginStreams = 8192;

class EalLog final : public dpdk::LogSink {
 public:
  void write(dpdk::LogLevel level, std::string_view line) override {
    control::log(level_of(level), "dpdk: {}", line);
  }
  void on_started() { is_started_.store(true, std::memory_order_relaxed); }

 private:
  control::LogLevel level_of(dpdk::LogLevel level) const {
    // A start that fails ends with one line, which quotes DPDK.
    if (!is_started_.load(std::memory_order_relaxed)) return control::LogLevel::debug;
    switch (level) {
      case dpdk::LogLevel::error:
        return control::LogLevel::error;
      case dpdk::LogLevel::warning:
        return control::LogLevel::warn;
      default:
        return control::LogLevel::debug;  // how it starts is of interest to who looks for it only
    }
  }

  std::atomic<bool> is_started_{false};
};

// As long as the process: DPDK keeps it.
EalLog& eal_log() {
  static EalLog log;
  return log;
}

void add_tcp(const net::tcp::Counters& now, std::vector<TransportValue>& values) {
  const auto add = [&values](const char* name, const char* help, std::uint64_t value) {
    values.push_back({name, help, value, false});
  };
  add("tcp_segments_received", "TCP segments received", now.segments_received);
  add("tcp_segments_sent", "TCP segments sent, a super-segment counted once", now.segments_sent);
  add("tcp_received_bytes", "Payload received in order", now.payload_bytes_received);
  add("tcp_sent_bytes", "Payload sent, retransmissions included", now.payload_bytes_sent);
  add("tcp_pure_acknowledgments_sent", "Segments without payload", now.pure_acknowledgments_sent);
  add("accepted", "Connections accepted", now.accepted);
  add("accept_refused", "Connections reset because the proxy refused them", now.refused);
  add("accept_overflows", "Connections reset because the transport's table was full",
      now.table_overflows);
  add("resets_received", "Connections reset by their peer", now.resets_received);
  add("tcp_resets_sent", "Resets sent", now.resets_sent);
  add("tcp_given_up", "Connections whose peer answered no more", now.given_up);
  add("tcp_time_wait_reused", "SYNs that reused a TIME-WAIT", now.time_wait_reused);
  add("tcp_syns_received", "SYNs received", now.syns_received);
  add("tcp_syn_acks_sent", "SYN-ACKs sent", now.syn_acks_sent);
  add("tcp_syn_acks_repeated", "Of these, repeated", now.syn_acks_repeated);
  add("tcp_half_open_expired", "Handshakes given up", now.half_open_expired);
  add("tcp_cookies_sent", "SYN cookies sent", now.cookies_sent);
  add("tcp_cookies_accepted", "SYN cookies that came back", now.cookies_accepted);
  add("tcp_cookies_refused", "ACKs that were no cookie of ours", now.cookies_refused);
  add("tcp_retransmitted_bytes", "Payload sent again", now.retransmitted_bytes);
  add("tcp_fast_recoveries", "Losses found by acknowledgments", now.fast_recoveries);
  add("tcp_timeouts", "Losses found by the retransmission timer", now.timeouts);
  add("tcp_loss_probes", "Tail loss probes sent", now.loss_probes);
  add("tcp_window_probes", "Probes of a closed window sent", now.window_probes);
  add("tcp_path_mtu_reductions", "Paths found to take less", now.path_mtu_reductions);
  add("tcp_spurious_recoveries", "Recoveries taken back", now.spurious_recoveries);
  add("tcp_echo_reductions", "Reductions for a congestion mark", now.echo_reductions);
  add("tcp_duplicates_reported", "Ranges the peer had twice", now.duplicates_reported);
  add("tcp_out_of_order_segments", "Segments received ahead of a gap", now.out_of_order_segments);
  add("tcp_duplicate_segments", "Segments received again", now.duplicate_segments);
  add("tcp_dropped_malformed", "Segments dropped: malformed", now.dropped_malformed);
  add("tcp_dropped_no_listener", "Segments dropped: nobody listens", now.dropped_no_listener);
  add("tcp_dropped_out_of_window", "Segments dropped: outside the window",
      now.dropped_out_of_window);
  add("tcp_dropped_old_timestamp", "Segments dropped: an old timestamp", now.dropped_old_timestamp);
  add("tcp_dropped_unacceptable_acknowledgment", "Segments dropped: acknowledge what was not sent",
      now.dropped_unacceptable_acknowledgment);
  add("tcp_dropped_no_acknowledgment", "Segments dropped: no ACK", now.dropped_no_acknowledgment);
  add("tcp_dropped_no_memory", "Segments dropped: reassembly was full", now.dropped_no_memory);
  add("tcp_challenges_sent", "Challenge ACKs sent", now.challenges_sent);
  add("tcp_challenges_withheld", "Challenge ACKs beyond the rate", now.challenges_withheld);
  add("tcp_errors_ignored", "ICMP errors about nothing we sent", now.errors_ignored);
  add("tcp_output_refusals", "Times the device had no room", now.output_refusals);
  std::uint64_t below_us = 64;
  for (const std::uint64_t count : now.round_trips) {
    values.push_back({std::format("tcp_round_trips_below_{}us", below_us),
                      "Smoothed round trips at acknowledgments, below this and not below the last",
                      count, false});
    below_us *= 2;
  }
}

void add_station(const dpdk::DpdkStatistics& now, std::vector<TransportValue>& values) {
  const auto add = [&values](const char* name, const char* help, std::uint64_t value) {
    values.push_back({name, help, value, false});
  };
  add("packets_received", "Packets taken from the queues", now.receiver.packets);
  add("received_bytes", "Bytes in them", now.receiver.bytes);
  add("dropped_other_station", "Packets dropped: for another MAC address",
      now.receiver.other_station);
  add("dropped_too_long", "Packets dropped: too long", now.receiver.too_long);
  add("dropped_tcp_checksum", "Packets dropped: wrong TCP checksum", now.receiver.tcp_checksum);
  for (std::size_t i = 0; i < net::ip::kDropReasons; ++i) {
    const auto reason = static_cast<net::ip::DropReason>(i);
    values.push_back({std::format("dropped_{}", net::ip::name(reason)),
                      "Packets not taken for this reason", now.receiver.rejected[i], false});
  }
  add("dropped_icmp_checksum", "ICMP messages dropped: wrong checksum",
      now.station.dropped_checksum);
  add("dropped_group_frame", "Segments dropped: in a frame to many",
      now.station.dropped_group_frame);
  add("dropped_own_source", "Packets dropped: from an address of ours",
      now.station.dropped_own_source);
  add("dropped_not_ours", "Packets nobody here wants", now.station.dropped_not_ours);
  add("echo_replies", "Echo requests answered", now.station.echo_replies);
  add("icmp_errors_sent", "ICMP errors sent", now.station.errors_sent);
  add("icmp_path_errors", "ICMP errors about our TCP", now.station.path_errors);
  add("link_downs", "Times a worker saw its link go", now.station.link_downs);
  add("packets_sent", "Packets given to the ports", now.transmitter.packets);
  add("super_segments_sent", "Of these, left to the NIC to cut", now.transmitter.super_segments);
  add("sent_bytes", "TCP payload in them", now.transmitter.payload_bytes);
  add("copied_bytes", "Of that, copied rather than pointed to", now.transmitter.copied_bytes);
  add("frames_lost", "ARP, ICMP and kernel frames without room", now.transmitter.frames_lost);
  add("packets_held", "Packets that waited for a neighbour's answer", now.transmitter.held);
  add("packets_held_lost", "Of these, not sent: no answer, or newer ones came",
      now.transmitter.held_lost);
  add("packets_no_next_hop", "Segments not sent: no route, nobody to ask",
      now.transmitter.no_next_hop);
  add("packets_too_long", "Packets not sent: longer than a buffer", now.transmitter.too_long);
  add("segments_cut_short", "Segments sent in part", now.transmitter.cut_short);
  add("send_queue_full", "Times a queue was full", now.transmitter.queue_full);
  add("send_pool_exhausted", "Times no packet was free", now.transmitter.pool_exhausted);
  add("send_epoch_full", "Times too many buffers had not come back", now.transmitter.epoch_full);
  add("send_staging_full", "Times there was no room to make TLS records in",
      now.transmitter.staging_full);
  add("neighbour_solicitations_sent", "Neighbours asked for", now.neighbours.solicitations_sent);
  add("neighbour_answers_sent", "Questions for our addresses answered",
      now.neighbours.answers_sent);
  add("neighbour_moves", "Neighbours with a new MAC address", now.neighbours.moved);
  add("neighbours_unreachable", "Neighbours that did not answer", now.neighbours.unreachable);
  add("neighbour_conflicts", "Others that claimed an address of ours", now.neighbours.conflicts);
  add("exception_to_kernel", "Frames to the kernel", now.tap.to_kernel);
  add("exception_to_kernel_lost", "Of these, lost", now.tap.to_kernel_lost);
  add("exception_from_kernel", "Frames from the kernel", now.tap.from_kernel);
  add("exception_from_kernel_lost", "Of these, lost", now.tap.from_kernel_lost);
}

ConnectionReport report_of(const net::tcp::ConnectionView& view) {
  const auto us = [](Duration duration) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(
        0, std::chrono::duration_cast<std::chrono::microseconds>(duration).count()));
  };
  return {.peer = view.flow.peer,
          .local = view.flow.local,
          .words = {{"state", net::tcp::name_of(view.state)},
                    {"congestion_control", view.congestion_control},
                    {"recovery", view.recovery}},
          .numbers = {{"smoothed_round_trip_us", us(view.smoothed_round_trip)},
                      {"minimum_round_trip_us", us(view.minimum_round_trip)},
                      {"retransmission_timeout_us", us(view.retransmission_timeout)},
                      {"congestion_window_bytes", view.congestion_window_bytes},
                      {"slow_start_threshold_bytes", view.slow_start_threshold_bytes},
                      {"pacing_bytes_per_second", view.pacing_bytes_per_second},
                      {"in_flight_bytes", view.in_flight_bytes},
                      {"lost_bytes", view.lost_bytes},
                      {"sacked_bytes", view.sacked_bytes},
                      {"unsent_bytes", view.unsent_bytes},
                      {"peer_window_bytes", view.peer_window_bytes},
                      {"receive_held_bytes", view.receive_held_bytes},
                      {"acknowledged_bytes", view.acknowledged_bytes},
                      {"received_bytes", view.received_bytes},
                      {"retransmitted_bytes", view.retransmitted_bytes},
                      {"segment_bytes", view.segment_bytes},
                      {"packet_bytes", view.packet_bytes},
                      {"consecutive_timeouts", view.consecutive_timeouts},
                      {"sack", view.sack},
                      {"timestamps", view.timestamps},
                      {"ecn", view.ecn}}};
}

class DpdkTransport final : public control::Transport {
 public:
  explicit DpdkTransport(std::unique_ptr<dpdk::DpdkReactor> reactor)
      : reactor_(std::move(reactor)) {}

  net::Reactor& reactor() override { return *reactor_; }
  Result<void> run() override { return reactor_->run(); }
  void stop() override { reactor_->stop(); }

  std::vector<TransportValue> values() const override {
    const dpdk::DpdkStatistics now = reactor_->statistics();
    std::vector<TransportValue> values = {
        {"turns", "Turns of the workers' loops", now.turns, false},
        {"sleeps", "Of these, slept before", now.sleeps, false},
        {"waits", "Of these, until something came", now.waits, false},
        {"slept_us", "Microseconds slept", now.slept_us, false},
        {"streams_open", "Connections open now, to listeners and origins",
         now.connections + now.origin_streams, true},
        {"tcp_half_open", "Handshakes under way now", now.half_open, true},
        {"tcp_time_wait", "Connections remembered in TIME-WAIT now", now.time_wait, true},
    };
    add_tcp(now.tcp, values);
    add_station(now, values);
    return values;
  }

  std::optional<std::vector<ConnectionReport>> connections(
      std::size_t limit, const std::optional<net::Endpoint>& peer) const override {
    std::vector<ConnectionReport> reports;
    for (const auto& view : reactor_->connections(limit, peer ? &*peer : nullptr)) {
      reports.push_back(report_of(view));
    }
    return reports;
  }

 private:
  std::unique_ptr<dpdk::DpdkReactor> reactor_;
};

class DpdkTransports final : public control::Transports {
 public:
  static Result<std::unique_ptr<control::Transports>> open(const control::DpdkConfig& config,
                                                           const control::TransportPlan& plan,
                                                           const dpdk::PacketIoWrapper& wrap);

  Result<std::unique_ptr<control::Transport>> make(std::uint32_t worker) override;
  Result<void> begin() override;
  std::vector<TransportValue> values() const override;

 private:
  explicit DpdkTransports(const control::DpdkConfig& config) : config_(config) {}

  const control::DpdkConfig config_;
  const SipHashKey key_ = SipHashKey::random();
  std::size_t maximum_connections_ = 0;  // of a worker
  // In the order in which they may go, last to first.
  std::optional<dpdk::Eal> eal_;
  std::unique_ptr<dpdk::ExternalMemory> memory_;
  std::vector<std::unique_ptr<dpdk::Nic>> nics_;
};

Result<std::unique_ptr<control::Transports>> DpdkTransports::open(
    const control::DpdkConfig& config, const control::TransportPlan& plan,
    const dpdk::PacketIoWrapper& wrap) {
  std::unique_ptr<DpdkTransports> made(new DpdkTransports(config));
  made->maximum_connections_ =
      std::min(plan.maximum_streams, plan.maximum_streams * kUnevenness / plan.workers);
  dpdk::EalOptions options;
  options.memory_mb = static_cast<std::uint32_t>(config.memory_bytes >> 20);
  options.hugepages = config.hugepages;
  options.log = &eal_log();
  for (const auto& port : config.ports) {
    if (control::is_pci_address(port.name)) {
      options.pci_devices.push_back(port.name);
    }
  }
  auto eal = dpdk::Eal::start(options);
  if (!eal) return std::unexpected(eal.error());
  made->eal_.emplace(*std::move(eal));
  auto memory = dpdk::ExternalMemory::create(plan.content);
  if (!memory) return std::unexpected(memory.error());
  made->memory_ = *std::move(memory);
  const auto ports = static_cast<std::uint32_t>(config.ports.size());
  for (std::uint32_t i = 0; i < ports; ++i) {
    const control::DpdkPortConfig& port = config.ports[i];
    dpdk::NicOptions nic;
    nic.name = port.name;
    nic.label = std::format("port{}", i);
    nic.workers = static_cast<std::uint16_t>((plan.workers + ports - 1 - i) / ports);
    nic.mtu = static_cast<std::uint16_t>(port.mtu);
    if (port.vlan != 0) nic.vlan_id = static_cast<std::uint16_t>(port.vlan);
    auto addresses = control::local_addresses(port);
    if (!addresses) return std::unexpected(addresses.error());
    nic.addresses = *std::move(addresses);
    auto routes = control::routes(port);
    if (!routes) return std::unexpected(routes.error());
    nic.routes = *std::move(routes);
    nic.exception_tap = port.exception_tap;
    nic.key = made->key_;
    nic.interrupts = config.idle == control::IdleMode::automatic;
    nic.wrap = wrap;
    auto opened = dpdk::Nic::open(nic, made->memory_.get());
    if (!opened) return std::unexpected(opened.error());
    const dpdk::Port& device = (*opened)->port();
    control::log(control::LogLevel::info, "port {} ({}), MAC address {}, MTU {}, {} queue{}: {}",
                 device.name(), device.driver(), net::ip::MacAddress{device.mac_address()}.text(),
                 device.mtu(), nic.workers, nic.workers == 1 ? "" : "s",
                 device.capabilities().text());
    made->nics_.push_back(*std::move(opened));
  }
  return made;
}

Result<std::unique_ptr<control::Transport>> DpdkTransports::make(std::uint32_t worker) {
  const auto ports = static_cast<std::uint32_t>(nics_.size());
  dpdk::Nic& nic = *nics_[worker % ports];
  dpdk::DpdkOptions options;
  options.maximum_connections = maximum_connections_;
  options.maximum_origin_streams = kOriginStreams;
  options.idle_sleep =
      config_.idle == control::IdleMode::poll ? Duration::zero() : Duration(config_.idle_sleep);
  options.mtu = nic.port().mtu();
  options.secret = SipHashKey::random();
  auto reactor =
      dpdk::DpdkReactor::create(options, nic.station(static_cast<std::uint16_t>(worker / ports)));
  if (!reactor) return std::unexpected(reactor.error());
  return std::make_unique<DpdkTransport>(*std::move(reactor));
}

Result<void> DpdkTransports::begin() {
  for (const auto& nic : nics_) {
    if (auto started = nic->start(); !started) return started;
    const dpdk::Port& port = nic->port();
    if (config_.idle == control::IdleMode::automatic) {
      control::log(control::LogLevel::info, "port {} ({}) {}", port.name(), port.driver(),
                   port.capabilities().receive_interrupts
                       ? "wakes its workers by receive interrupts"
                       : std::format("has no receive interrupts: workers without work look for "
                                     "packets every {} us",
                                     config_.idle_sleep.count()));
    }
    if (!port.link().up) {
      control::log(control::LogLevel::info, "port {} has no link yet", port.name());
    }
  }
  eal_log().on_started();
  return {};
}

std::vector<TransportValue> DpdkTransports::values() const {
  std::vector<TransportValue> values;
  for (std::size_t i = 0; i < nics_.size(); ++i) {
    const dpdk::Port& port = nics_[i]->port();
    const dpdk::PortStatistics now = port.statistics();
    const dpdk::LinkState link = port.link();
    const auto add = [&](const char* name, const char* what, std::uint64_t value, bool gauge) {
      values.push_back({std::format("port{}_{}", i, name), std::format("{} {}", port.name(), what),
                        value, gauge});
    };
    add("link_up", "has a link", link.up, true);
    add("link_megabits_per_second", "link speed, 0 if not known", link.megabits_per_second, true);
    add("received_packets", "packets received", now.received_packets, false);
    add("received_bytes", "bytes received", now.received_bytes, false);
    add("sent_packets", "packets sent", now.sent_packets, false);
    add("sent_bytes", "bytes sent", now.sent_bytes, false);
    add("receive_missed", "packets lost to a full queue", now.receive_missed, false);
    add("receive_errors", "bad frames", now.receive_errors, false);
    add("receive_no_packet", "times no packet was free to receive into", now.receive_no_packet,
        false);
    add("send_errors", "packets not sent", now.send_errors, false);
    add("messages_lost", "messages between workers without room", nics_[i]->messages_lost(), false);
  }
  return values;
}

}  // namespace

control::TransportKind dpdk_transport(const control::DpdkConfig& config,
                                      dpdk::PacketIoWrapper wrap) {
  return {.name = "dpdk",
          .listens_on_sockets = false,
          .open = [config, wrap = std::move(wrap)](const control::TransportPlan& plan) {
            return DpdkTransports::open(config, plan, wrap);
          }};
}

}  // namespace nearfield
