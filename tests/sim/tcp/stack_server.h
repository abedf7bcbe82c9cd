// StackServer: our TCP as the simulation's server under test: packets are made and read by net/ip,
// segments handled by net/tcp, requests answered from the pattern.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/net/tcp/stack.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/tcp/exchange.h"
#include "tests/sim/tcp/world.h"

namespace nearfield::sim::tcp {

struct StackServerOptions {
  net::tcp::StackOptions stack;
  std::uint64_t seed = 1;
  // Of a thousand segments, how many the device refuses because it is full.
  unsigned refused_per_thousand = 0;
  // How long the device reads a payload that it took.
  Duration reads_for{};
  // The application takes at most so many bytes of a body, then nothing for `body_pause`.
  std::size_t body_bytes_at_once = SIZE_MAX;
  Duration body_pause{};
  // More at once are refused.
  std::size_t maximum_sessions = SIZE_MAX;
};

// Small tables, so that a run costs little.
net::tcp::StackOptions small_stack(std::uint64_t seed);

class StackServer final : public ServerUnderTest, public net::tcp::Output, public net::Acceptor {
 public:
  StackServer(const StackServerOptions& options, SendPacket send);
  ~StackServer() override;

  void receive(std::span<const std::byte> packet, MonotonicTime now) override;
  void run(MonotonicTime now) override;
  std::optional<MonotonicTime> next_deadline() override;
  bool wants_to_run() override;

  const net::tcp::Stack& stack() const { return *stack_; }
  // What went wrong that no client can see: a request that arrived damaged, a handler called after
  // its end, bytes released twice. Empty: nothing.
  const std::string& complaint() const { return complaint_; }
  std::size_t sessions() const { return sessions_.size(); }

 private:
  class Session;

  std::optional<net::tcp::Ticket> transmit(const net::tcp::OutgoingSegment& segment) override;
  net::tcp::Ticket completed() override;
  net::StreamHandler* on_accept(net::Stream& stream) override;

  void draw_refusal();
  void wake_sleeping();
  void send_packet(const net::tcp::OutgoingSegment& segment, net::tcp::SequenceNumber sequence,
                   std::span<const std::byte> payload, bool first, bool last);

  StackServerOptions options_;
  SendPacket send_;
  Random random_;
  std::unique_ptr<net::tcp::Stack> stack_;
  std::map<Session*, std::unique_ptr<Session>> sessions_;
  std::vector<Session*> paused_;
  std::vector<std::pair<MonotonicTime, Session*>> sleeping_;  // those that pause within a body
  net::tcp::Ticket last_ticket_ = 0;
  net::tcp::Ticket completed_ = 0;
  std::deque<std::pair<net::tcp::Ticket, MonotonicTime>> reading_;
  bool blocked_ = false;
  MonotonicTime now_{};
  std::string complaint_;
};

}  // namespace nearfield::sim::tcp
