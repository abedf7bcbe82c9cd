// Station: one worker's end of a port: its queue, its neighbours, and the decision what a packet
// is: TCP of ours, something that is answered here, or the kernel's (through the exception TAP).
//
// What is ours: TCP to one of our addresses at a port something listens on; ARP and neighbour
// discovery about our addresses; echo requests; ICMP errors about our TCP. With a TAP everything
// else goes to the kernel, which may have the same addresses: answers of neighbours go to both.
// Without one it is refused as a host does (RFC 1122 3.2.2.1, RFC 4443 3.1, 3.4) or dropped.
//
// Invariant: every loop here is bounded per turn. Made and destroyed by the Nic on the control
// thread, before and after the worker; everything else is the worker's, an EalThread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"
#include "dataplane/net/dpdk/doorbell.h"
#include "dataplane/net/dpdk/exception_tap.h"
#include "dataplane/net/dpdk/mailbox.h"
#include "dataplane/net/dpdk/receiver.h"
#include "dataplane/net/dpdk/routed_next_hop.h"
#include "dataplane/net/dpdk/transmitter.h"
#include "dataplane/net/ip/icmp.h"
#include "dataplane/net/tcp/stack.h"

namespace nearfield::net::dpdk {

struct StationOptions {
  ip::MacAddress mac;
  std::optional<std::uint16_t> vlan_id;
  ip::Routes routes;
  TransmitterOptions transmitter;
  SipHashKey key;                 // secret
  bool announces = false;         // tells the link our addresses: one of the port's workers does
  const Port* link_of = nullptr;  // watches its link for all of the port's workers; null: not
  std::unique_ptr<ExceptionTap> tap;  // null: none
  // The worker may sleep until something comes, if the queue has an interrupt.
  bool waits = false;
};

struct StationCounters {
  std::uint64_t segments = 0;  // TCP, to the stack
  std::uint64_t echo_replies = 0;
  std::uint64_t errors_sent = 0;          // ICMP
  std::uint64_t path_errors = 0;          // ICMP errors about our TCP, others' queues included
  std::uint64_t dropped_checksum = 0;     // ICMP
  std::uint64_t dropped_group_frame = 0;  // TCP in a frame to many (RFC 1122 4.2.3.10)
  std::uint64_t dropped_own_source = 0;   // from one of our own addresses, as they say
  std::uint64_t dropped_not_ours = 0;     // nobody here wants it, and there is no TAP
  std::uint64_t link_downs = 0;
};

class Station final : private PacketHandler {
 public:
  // The most bursts of one turn: 128 packets are about 30 us of work, what a sender's turn costs.
  static constexpr std::size_t kBurstsPerTurn = 4;
  static constexpr std::size_t kMessagesPerTurn = 16;
  // The TAP is asked with a system call: not every turn. What the kernel sends is not in a hurry.
  static constexpr Duration kTapEvery = std::chrono::microseconds(100);
  static constexpr Duration kLinkEvery = std::chrono::milliseconds(250);

  // `io` and `pool` must outlive it, and the port be closed before it goes.
  Station(StationOptions options, PacketIo& io, PacketPool& pool, const ExternalMemory* memory);
  ~Station();
  Station(const Station&) = delete;
  Station& operator=(const Station&) = delete;

  // --- control thread, before the worker begins ---
  // The other stations of the port.
  void set_siblings(std::vector<Station*> siblings) { siblings_ = std::move(siblings); }
  // From then on the queue may be asked.
  void open() { is_open_.store(true, std::memory_order_release); }

  // --- any thread ---
  std::uint64_t messages_lost() const { return mailbox_.lost(); }

  // --- the worker ---
  // Where segments go; null: nowhere any more.
  void attach(tcp::Stack* stack) { stack_ = stack; }
  tcp::Output& output() { return transmitter_; }
  // TCP to `local` is ours from now on, also after nobody listens any more.
  void claim(const Endpoint& local);

  void begin_turn(MonotonicTime now);
  // Takes what siblings tell and what has come, up to kBurstsPerTurn; returns whether anything had.
  bool receive();
  // Neighbours, the link, what the kernel sends. Returns whether anything was to do.
  bool advance();
  void flush() { transmitter_.flush(); }
  // When advance() has something to do by itself; MonotonicTime::max() for never.
  MonotonicTime next_deadline() const { return neighbours_.next_deadline(); }

  // Sleeping until something comes: packets, the kernel's frames, messages. Only while can_wait();
  // arm(), then a turn that finds nothing, then the sleep, which bell() ends; then disarm().
  bool can_wait() const { return bell_ && bell_->is_ready() && transmitter_.backlog() == 0; }
  bool arm() { return bell_->arm(); }
  void disarm() { bell_->disarm(); }
  int bell() const { return bell_->descriptor(); }
  // Of tickets given out, the last one that is over.
  tcp::Ticket completed() { return transmitter_.completed(); }
  std::size_t backlog() const { return transmitter_.backlog(); }

  const StationCounters& counters() const { return counters_; }
  const ReceiverCounters& receiver() const { return receiver_.counters(); }
  const TransmitterCounters& transmitter() const { return transmitter_.counters(); }
  const ip::NeighbourTable::Counters& neighbours() const { return neighbours_.counters(); }
  ExceptionTapCounters tap() const { return tap_ ? tap_->counters() : ExceptionTapCounters{}; }

 private:
  void on_foreseen(const ip::Packet& packet) override;
  void on_all_foreseen() override;
  void on_packet(const ReceivedFrame& frame, const ip::Packet& packet) override;
  void on_frame(const ReceivedFrame& frame) override;
  void on_rejected(const ReceivedFrame& frame, const ip::Rejection& rejection) override;

  bool is_on_our_vlan(const ReceivedFrame& frame) const;
  bool is_claimed(const Address& local, std::uint16_t port) const;
  void on_neighbour_discovery(const ReceivedFrame& frame, const ip::Packet& packet);
  void on_tcp(const ReceivedFrame& frame, const ip::Packet& packet);
  void on_icmp(const ReceivedFrame& frame, const ip::Packet& packet);
  void on_message(const Message& message);
  void look_at_link();
  void set_link(bool up);
  bool take_path_error(const ip::Packet& packet);
  void to_kernel(const ReceivedFrame& frame);
  void answer(const ReceivedFrame& frame, std::size_t packet_bytes, bool is_v4,
              std::uint64_t& counter);
  void tell_siblings(const Message& message);
  void share_frame(const ReceivedFrame& frame);

  const ip::MacAddress mac_;
  const std::optional<std::uint16_t> vlan_id_;
  const ip::Routes routes_;
  const bool announces_;
  const Port* const link_of_;
  PacketIo& io_;
  ip::NeighbourTable neighbours_;
  RoutedNextHop next_hop_;
  Transmitter transmitter_;
  Receiver receiver_;
  std::unique_ptr<ExceptionTap> tap_;
  const std::unique_ptr<Doorbell> bell_;  // null: it does not wait
  std::vector<Station*> siblings_;
  Mailbox mailbox_;
  std::atomic<bool> is_open_{false};
  bool was_open_ = false;
  tcp::Stack* stack_ = nullptr;
  std::vector<Endpoint> claimed_;
  RateLimit echo_limit_;
  RateLimit error_limit_;
  MonotonicTime now_{};
  MonotonicTime tap_at_{};
  MonotonicTime link_at_{};
  bool is_link_up_ = true;
  // Answers are written here; room for the longest, and its Ethernet header before it.
  std::unique_ptr<std::byte[]> scratch_;
  StationCounters counters_;
};

}  // namespace nearfield::net::dpdk
