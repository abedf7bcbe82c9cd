// Node: the stack under test with its clock and its wire, and how time passes for it: from one
// deadline to the next, so that every packet leaves at the time the stack wanted it to.
#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "cache/base/error.h"
#include "dataplane/net/tcp/stack.h"
#include "tests/packetdrill/virtual_clock.h"
#include "tests/packetdrill/wire.h"

namespace nearfield::packetdrill {

// "name=value,name=value": mtu, window, time_wait_ms, delayed_ack_ms, keep_alive_ms, linger_ms,
// linger_bytes, give_up_ms (numbers), and timestamps, sack, ecn, pacing, cookies (0 or 1). Pacing
// is off when not asked for, as with Linux under its default queueing discipline.
Result<net::tcp::StackOptions> parse_flags(std::string_view flags);

class Node {
 public:
  explicit Node(const net::tcp::StackOptions& options)
      : wire_(clock_), stack_(options, wire_, clock_.now()) {}

  VirtualClock& clock() { return clock_; }
  Wire& wire() { return wire_; }
  net::tcp::Stack& stack() { return stack_; }

  // Lets the stack do what is due now.
  void settle();
  void receive(std::span<const std::byte> packet);
  // Time stops there as at a deadline: somebody waits no longer than that.
  void stop_at(MonotonicTime time);
  // To the next deadline of the stack, or stop, when it is not after `latest`; false, and no
  // change, otherwise.
  bool step(MonotonicTime latest);
  // To `to`, over all deadlines on the way. `between()` is called after each of them.
  template <typename Between>
  void run_to(MonotonicTime to, Between&& between) {
    while (step(to)) between();
    clock_.move_to(to);
    settle();
  }

 private:
  std::optional<MonotonicTime> next_stop(MonotonicTime latest);

  VirtualClock clock_;
  std::set<MonotonicTime> stops_;
  Wire wire_;
  net::tcp::Stack stack_;
};

}  // namespace nearfield::packetdrill
