// Stack: the TCP of one worker: whose segment it is, connections that are not there yet and those
// that are there no more, and turns for all (RFC 9293, server side).
//
// Invariant: a flow is at any time in at most one of three places: the connection table, the
// half-open cache, TIME-WAIT. Whatever strangers send, memory stays what was taken at the start,
// and answers to what belongs to no connection are bounded per second.
//
// How to drive it: receive() and receive_error() for what came in, advance() when next_deadline()
// is reached, and transmit() as long as wants_to_run(). All times are of one clock that never goes
// back. One thread; nothing here reads a clock, and nothing is allocated after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "dataplane/net/reactor.h"
#include "dataplane/net/tcp/connection.h"
#include "dataplane/net/tcp/counters.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/stack_options.h"

namespace nearfield::net::tcp {

// What an ICMP message says about a segment this worker may have sent.
struct PathError {
  enum class Kind : std::uint8_t {
    too_big,     // `mtu` says what the next link takes; 0: a router that does not say (IPv4)
    unreachable  // a soft error: counted, and otherwise left to the retransmission timer (RFC 5927
                 // 5.2, RFC 9293 3.9.2.2)
  };
  Kind kind = Kind::unreachable;
  Flow flow;
  SequenceNumber sequence;  // of the quoted segment
  std::uint32_t mtu = 0;
  std::uint16_t quoted_bytes = 0;  // the length of the quoted packet, its IP header included
};

class Stack {
 public:
  static constexpr std::size_t kMaximumListeners = 64;

  Stack(const StackOptions& options, Output& output, MonotonicTime start);
  ~Stack();  // shutdown()
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;

  // Accepts on `local`; its address may be unspecified (:: or 0.0.0.0, any of that family; :: takes
  // both). At most kMaximumListeners. The acceptor must outlive stop_listening().
  void listen(const Endpoint& local, Acceptor& acceptor);
  // Handshakes under way are forgotten, new ones refused.
  void stop_listening();

  // `bytes`: a TCP segment whose checksum was found right, up to the end of its IP packet. `ecn`:
  // the two bits of the IP header (RFC 3168 5).
  void receive(const Address& source, const Address& destination, std::uint8_t ecn,
               std::span<const std::byte> bytes, MonotonicTime now);
  // Advice: receive() will bring this one soon, and fetch_foreseen() comes before it. With many
  // connections each is likely to lie in slow memory; those of a burst are fetched side by side.
  void foresee(const Address& source, const Address& destination, std::span<const std::byte> bytes);
  void fetch_foreseen();
  void receive_error(const PathError& error, MonotonicTime now);
  // Fires what is due. `budget` bounds the timers of one call; what is left comes with the next.
  void advance(MonotonicTime now, std::size_t budget = 1024);
  // Gives up to `turns` connections their turn. Stops early when the output is full; then
  // output_blocked() until the next call.
  void transmit(MonotonicTime now, std::size_t turns = 256);

  bool wants_to_run() const { return core_.first_ready != nullptr; }
  bool output_blocked() const { return output_blocked_; }
  std::optional<MonotonicTime> next_deadline();

  // Every stream hears on_closed(aborted) now; nothing is sent.
  void shutdown();

  const Counters& counters() const { return core_.counters; }
  std::size_t connections() const;
  // Connections, and ended ones whose bytes a device may still read: while there are any, what the
  // plans point to must stay.
  std::size_t slots_in_use() const { return core_.options.maximum_connections - free_count_; }
  std::size_t half_open() const;
  std::size_t time_wait() const;
  const ConnectionView* find(const Flow& flow, ConnectionView* view) const;
  // `visit(const ConnectionView&)` for each connection; control, not the data path.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t index = 0; index < core_.options.maximum_connections; ++index) {
      if (connection(index).in_use()) visit(connection(index).view());
    }
  }
  // Aborts when an invariant of any connection does not hold; for tests.
  void check() const;

 private:
  friend struct Core;
  struct Strangers;  // the tables of connections not there yet and there no more

  struct Listener {
    Endpoint local;
    Acceptor* acceptor = nullptr;
  };

  // That many connections are likely to be in the processor's own cache.
  static constexpr std::size_t kFewConnections = 1024;
  static constexpr std::size_t kMostForeseen = 32;
  struct Foreseen {
    Flow flow;
    std::uint64_t hash = 0;
  };

  Connection& connection(std::size_t index) const;
  int listener_for(const Endpoint& local) const;
  void receive_for_none(const Flow& flow, const Segment& segment, bool congestion_experienced);
  bool receive_for_time_wait(const Flow& flow, const Segment& segment);
  bool receive_for_half_open(const Flow& flow, const Segment& segment, bool congestion_experienced);
  void receive_syn(const Flow& flow, const Header& header);
  void complete(const Handshake& handshake, int listener, const Segment& segment,
                bool congestion_experienced);
  void end_flow(Connection& connection, bool time_wait);
  void free_slot(Connection& connection);
  void send_reset(const Flow& flow, const Segment& segment);
  void send_control(const Flow& flow, const Header& header);
  // Counts it as sent, or as withheld.
  bool may_challenge();

  Core core_;
  std::unique_ptr<Strangers> strangers_;
  std::unique_ptr<std::byte[]> memory_;
  Connection* connections_ = nullptr;
  std::unique_ptr<std::uint32_t[]> free_;
  std::size_t free_count_ = 0;
  std::array<Listener, kMaximumListeners> listeners_{};
  std::size_t listener_count_ = 0;
  std::optional<SequenceNumber> reuse_beyond_;  // of the SYN at hand
  bool output_blocked_ = false;
  std::array<Foreseen, kMostForeseen> foreseen_{};
  std::size_t foreseen_count_ = 0;
};

}  // namespace nearfield::net::tcp
