// SimEnd: one end of a simulated connection; the network between two ends is events in the world's
// queue. Every consequence of a call is an event, so that handlers are never re-entered. Ends are
// shared by the events that will reach them; an end whose handler is gone still answers with a RST,
// as a kernel does.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "tests/sim/sim_world.h"

namespace nearfield::sim {

class SimEnd final : public SimStream, public std::enable_shared_from_this<SimEnd> {
 public:
  SimEnd(World::Impl& world, SimReactor::Impl& reactor, const net::Endpoint& local,
         const net::Endpoint& peer, const PathOptions& out);

  void wake_sender() override;
  void resume_receive() override;
  void close_after_send() override;
  void abort() override;
  std::uint64_t acknowledged_bytes() override { return acknowledged_bytes_; }
  const net::Endpoint& peer() const override { return peer_; }
  const net::Endpoint& local() const override { return local_; }
  net::Staging* staging() override { return &reactor_.staging; }
  void shutdown_send() override;
  void abandon() override;

  // --- life ---
  void open();  // enters the world's and the worker's books
  void set_handler(net::StreamHandler* handler) { handler_ = handler; }
  void join(const std::shared_ptr<SimEnd>& other) { other_ = other; }
  void connected(bool announce);
  bool is_connected() const { return connected_; }
  bool is_open() const { return open_; }
  void close_now(net::CloseReason reason);  // calls on_closed()
  void reset_by_network();                  // both ends see a RST
  const std::shared_ptr<SimEnd>& other() const { return other_; }

 private:
  enum class Phase { open, ending, lingering, aborting };

  template <typename Function>
  void later(Duration after, Function function);
  void pump();
  bool ask_for_more();
  std::string pull(std::size_t bytes);
  void send_segment(std::size_t bytes);
  // Nothing of ours arrives any more.
  bool is_silent() const {
    return out_.silent_after_bytes && transmitted_bytes_ >= *out_.silent_after_bytes;
  }
  void send_fin();
  MonotonicTime arrival_time(std::size_t bytes);
  void receive_segment(const std::string& bytes);
  void receive_fin();
  void receive_reset();
  void send_reset();
  void deliver();
  void linger_over(std::size_t bytes);
  void acknowledge(const std::string& bytes);
  void finish_if_ended();

  World::Impl& world_;
  SimReactor::Impl& reactor_;
  const std::uint64_t number_;
  const net::Endpoint local_;
  const net::Endpoint peer_;
  const PathOptions out_;
  std::shared_ptr<SimEnd> other_;
  net::StreamHandler* handler_ = nullptr;
  bool open_ = false;
  bool connected_ = false;
  Phase phase_ = Phase::open;

  // sending
  net::SendPlan plan_;
  std::size_t in_flight_bytes_ = 0;  // sent, not acknowledged
  std::uint64_t transmitted_bytes_ = 0;
  std::uint64_t acknowledged_bytes_ = 0;
  MonotonicTime wire_free_at_{};
  bool half_closed_ = false;
  bool fin_sent_ = false;
  bool pump_posted_ = false;

  // receiving
  std::string inbox_;
  std::size_t coming_bytes_ = 0;  // on the wire towards this end
  std::size_t lingered_bytes_ = 0;
  bool paused_ = false;
  bool fin_received_ = false;
  bool end_announced_ = false;
  bool deliver_posted_ = false;
};

}  // namespace nearfield::sim
