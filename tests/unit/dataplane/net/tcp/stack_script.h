// Script: one stack, its peers and the time, as a test writes them down: segments in, segments out,
// each as a line of text with numbers relative to the two initial ones.
//
//   Script script;
//   script.connect("mss=1460 sackok ws=7");
//   script.send(3000);
//   script.expect(". 1:1461(1460) ack=1");
//   script.at(100);
//   script.in(". 1 ack=1461 sack=2921-3001");
//
// A line is its flags (S F R P . E W; P only counts where it is asked for), its numbers, and words:
// ack= win= mss= ws= sackok sack=a-b,c-d ts=value/echo ect frag piece= port=; "!word" says that it
// must not be there, "@12.5" when it left, in milliseconds. What is not mentioned may be anything.
// Incoming lines know ce, val=, ecr= (absolute), nots and port= besides; timestamps come by
// themselves when the handshake agreed on them, from a clock of a millisecond that starts at 1000.
//
// Every byte that is sent is compared with what the application gave, every byte received with what
// the peer sent, no packet may exceed the path's or the peer's limits, and the stack must come to
// rest after each step.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/net/tcp/stack.h"

namespace nearfield::net::tcp {

// The application above one connection.
class ScriptHandler final : public StreamHandler {
 public:
  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override { ended = true; }
  void on_send_ready(SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override { released += bytes; }
  void on_closed(CloseReason reason) override;

  void send(std::uint64_t bytes);
  void take(std::uint64_t bytes);  // may take this many more; and resumes

  Stream* stream = nullptr;
  std::uint64_t offered = 0;    // bytes the plan was given
  std::uint64_t unoffered = 0;  // bytes it is to be given
  std::size_t most_at_once = SIZE_MAX;
  std::uint64_t may_take = UINT64_MAX;
  std::uint64_t received = 0;
  std::uint64_t released = 0;
  std::uint64_t asked = 0;  // on_send_ready() calls
  bool ended = false;
  bool corrupt = false;
  bool abort_on_receive = false;
  bool close_on_receive = false;
  ScriptHandler* wakes = nullptr;  // by on_closed()
  std::optional<CloseReason> closed;
  int closed_count = 0;
};

class Script final : private Output, private Acceptor {
 public:
  static constexpr std::uint16_t kPort = 40000;

  // Small tables, and no pacing unless a test asks for it.
  static StackOptions usual();

  explicit Script(const StackOptions& options = usual(), bool v6 = false);

  // A handshake: SYN now with these words (see above; "mss=1460 sackok ts ws=7 ecn"), ACK after
  // `round_trip_ms`. The ACK's window word counts as "win=".
  void connect(std::string_view words = "mss=1460 sackok ws=0", double round_trip_ms = 100,
               std::uint32_t window = 65535, std::uint16_t port = kPort);
  ScriptHandler& app() { return *apps.back(); }
  void send(std::uint64_t bytes) { app().send(bytes), run(); }
  void close() { app().stream->close_after_send(), run(); }
  void abort() { app().stream->abort(), run(); }

  // Time, in milliseconds since the start.
  void at(double ms);
  double now_ms() const;
  MonotonicTime time() const { return now_; }
  void in(std::string_view line);
  void too_big(std::uint32_t sequence, std::uint32_t mtu, std::uint16_t port = kPort,
               std::uint16_t quoted_bytes = 1500);
  void run();

  // The next segment that left. Fails with the whole trace.
  void expect(std::string_view line);
  void expect_none();
  void expect_nothing_until(double ms);
  // `count` segments of `bytes` each from `sequence` on.
  void expect_burst(std::uint32_t sequence, int count, std::uint32_t bytes = 1460);
  // Forgets what left so far; returns how many payload bytes it carried.
  std::uint64_t drain();
  std::size_t left() const { return sent_.size() - seen_; }
  std::string next_line() const { return left() == 0 ? "" : sent_[seen_].text; }
  double next_at() const { return sent_[seen_].at_ms; }
  void fail(const std::string& why) const;
  std::string title;  // begins each failure's message

  ConnectionView view(std::uint16_t port = kPort) const;
  bool connected(std::uint16_t port = kPort) const;
  // The flow's next SYN is of a new connection that begins here.
  void new_peer(SequenceNumber initial, std::uint16_t port = kPort) {
    peer_initial = initial;
    peers_[port] = {};
  }
  // The TSval of the segment that left last, and of the one seen last.
  std::uint32_t last_value(std::uint16_t port = kPort) { return peers_[port].last_value; }
  SequenceNumber our_initial(std::uint16_t port = kPort) { return peers_[port].ours.initial(); }
  Flow flow(std::uint16_t port = kPort) const;
  const Counters& counters() const { return stack.counters(); }

  // What the device does. By default it takes everything, and is done with it at once.
  std::function<bool(const OutgoingSegment&)> refuse;
  bool hold_tickets = false;
  void complete_tickets(Ticket up_to) { completed_ = up_to; }
  Ticket last_ticket() const { return tickets_; }
  bool accept = true;
  // How far beyond the window told a peer may see bytes: one, for probes.
  bool check_window = true;

 private:
  struct Peer {
    SequenceSpace ours;
    SequenceSpace theirs;
    bool timestamps = false;
    bool known = false;
    std::uint32_t last_value = 0;
    std::uint8_t shift = 0;
    StreamPosition right = 0;  // the furthest the window ever allowed
  };
  struct Sent {
    double at_ms = 0;
    std::string text;
    std::uint32_t payload_bytes = 0;
  };

  std::optional<Ticket> transmit(const OutgoingSegment& segment) override;
  Ticket completed() override { return hold_tickets ? completed_ : tickets_; }
  StreamHandler* on_accept(Stream& stream) override;
  void record(const OutgoingSegment& segment, std::uint32_t offset, std::uint32_t bytes, bool first,
              bool last);
  void settle();

  StackOptions options_;
  bool v6_;
  MonotonicTime start_;
  MonotonicTime now_;
  std::map<std::uint16_t, Peer> peers_;
  std::vector<Sent> sent_;
  std::size_t seen_ = 0;
  Ticket tickets_ = 0;
  Ticket completed_ = 0;
  std::vector<std::string> trace_;
  std::string fault_;

 public:
  SequenceNumber peer_initial{0xfffff000};  // wraps soon
  std::vector<std::unique_ptr<ScriptHandler>> apps;
  Stack stack;
};

// A secret under which our initial number for the script's flow and first moment lies within the
// last 64 KiB before the wrap.
SipHashKey secret_that_wraps();

}  // namespace nearfield::net::tcp
