// ReferenceServer: the plainest correct server by which the clients, the links and the world are
// proved: a fixed window, go-back-N, no SACK, copies everywhere. It can also be made to misbehave
// in one way, to show that the checks see it.
#pragma once

#include <cstdint>
#include <map>
#include <utility>

#include "tests/sim/tcp/world.h"

namespace nearfield::sim::tcp {

enum class Fault {
  none,
  sends_beyond_window,
  sends_wrong_byte,        // from position 3000 on
  forgets_retransmission,  // a lost segment is skipped for good
  acknowledges_too_much,
  sends_too_long_segments,
  ends_too_early,  // FIN before the last byte
  sends_after_fin,
  resets,         // instead of the FIN
  goes_to_sleep,  // after 20,000 bytes, for ever
  breaks_checksum,
  clock_goes_back,  // timestamps
  answers_before_asked,
  agrees_to_everything,  // options that were not offered
  refuses_to_probe,      // a zero window
  bursts                 // no initial window
};

class ReferenceServer final : public ServerUnderTest {
 public:
  explicit ReferenceServer(SendPacket send, Fault fault = Fault::none,
                           std::size_t window_segments = 8);

  void receive(std::span<const std::byte> packet, MonotonicTime now) override;
  void run(MonotonicTime now) override;
  std::optional<MonotonicTime> next_deadline() override;
  bool wants_to_run() override { return wants_to_run_; }

  std::size_t connection_count() const { return connections_.size(); }

 private:
  struct Connection;
  using Key = std::pair<Endpoint, Endpoint>;  // client, server

  void open(const Segment& syn, MonotonicTime now);
  void receive_in(Connection& connection, const Segment& segment, MonotonicTime now);
  void take_requests(Connection& connection, const Segment& segment, std::int32_t begin);
  void receive_too_big(std::span<const std::byte> packet);
  void transmit(Connection& connection, MonotonicTime now);
  void time_out(Connection& connection, MonotonicTime now);
  void send_range(Connection& connection, std::uint64_t begin, std::uint64_t end, bool fin,
                  MonotonicTime now);
  void send_syn(Connection& connection, MonotonicTime now);
  void send_acknowledgment(Connection& connection, MonotonicTime now);
  Segment blank(const Connection& connection, MonotonicTime now) const;
  void put_out(const Segment& segment);

  const SendPacket send_;
  const Fault fault_;
  const std::size_t window_segments_;
  std::map<Key, Connection> connections_;
  std::uint32_t next_initial_ = 0xfffff000;  // wraps early
  bool wants_to_run_ = false;

 public:
  ~ReferenceServer() override;
};

}  // namespace nearfield::sim::tcp
