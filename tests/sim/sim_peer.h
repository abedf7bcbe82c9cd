// Ready-made ends for simulated connections: SimPeer says what a test tells it and remembers all it
// hears; SimServer makes one for every connection to an endpoint. Both are plain bytes: what they
// mean (HTTP or garbage) is the test's business.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/sim_reactor.h"

namespace nearfield::sim {

// One end of a connection. Goes away any time: a connection that is still open is reset then.
class SimPeer final : public net::StreamHandler {
 public:
  SimPeer() = default;
  ~SimPeer();
  SimPeer(const SimPeer&) = delete;
  SimPeer& operator=(const SimPeer&) = delete;

  // As a client. May be called again after the connection closed; what was received is forgotten
  // then.
  void connect(SimReactor& worker, const net::Endpoint& server,
               const net::ConnectOptions& options = {});
  void connect_from(SimReactor& worker, const net::Endpoint& local, const net::Endpoint& server,
                    const net::ConnectOptions& options = {});
  // As a server, from Acceptor::on_accept().
  void accept(net::Stream& stream);

  // --- what to do (also before the connection stands) ---
  void send(std::string_view bytes);
  void half_close();  // FIN after what was sent; goes on receiving
  void close();       // FIN after what was sent, then closed
  void abort();       // RST
  void pause();       // takes nothing from the next delivery on
  void resume();
  // Runs after each delivery; may use any method of the peer. Bytes it has dealt with it takes out
  // with take_received().
  std::function<void(SimPeer&)> on_data;
  // Runs when the other end's FIN arrived.
  std::function<void(SimPeer&)> on_end;

  // --- what happened ---
  bool connected() const { return connected_; }
  bool ended() const { return ended_; }  // FIN received
  bool closed() const { return close_reason_.has_value(); }
  std::optional<net::CloseReason> close_reason() const { return close_reason_; }
  const std::string& received() const { return received_; }
  std::string take_received() { return std::exchange(received_, {}); }
  std::uint64_t received_bytes() const { return received_bytes_; }  // in all
  std::uint64_t released_bytes() const { return released_bytes_; }
  std::size_t unsent_bytes() const { return outbox_.size(); }
  net::Stream* stream() const { return stream_; }

  void on_connected() override;
  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override;
  void on_send_ready(net::SendPlan& plan) override;
  void on_released(std::uint64_t bytes) override;
  void on_closed(net::CloseReason reason) override;

 private:
  enum class Ending { open, half_closed, closed };
  void begin(net::Stream* stream);
  void apply_ending();

  SimStream* stream_ = nullptr;
  bool connected_ = false;
  bool ended_ = false;
  bool paused_ = false;
  Ending ending_ = Ending::open;
  bool ending_applied_ = false;
  std::optional<net::CloseReason> close_reason_;
  std::string outbox_;
  std::string received_;
  std::uint64_t received_bytes_ = 0;
  std::uint64_t released_bytes_ = 0;
};

class SimServer final : public net::Acceptor {
 public:
  SimServer(World& world, SimReactor& worker, const net::Endpoint& at);
  ~SimServer();

  // Runs for every new connection; sets its on_data, usually.
  std::function<void(SimPeer&)> on_connection;
  // Shorthand: given to every new connection as its on_data.
  std::function<void(SimPeer&)> on_data;
  // Refuses by RST after accepting, while true.
  bool refuse = false;

  const std::vector<std::unique_ptr<SimPeer>>& peers() const {
    return peers_;
  }  // all there ever were
  SimPeer& peer(std::size_t index) const { return *peers_.at(index); }

  net::StreamHandler* on_accept(net::Stream& stream) override;

 private:
  World& world_;
  SimReactor& worker_;
  net::Endpoint at_;
  std::vector<std::unique_ptr<SimPeer>> peers_;
};

}  // namespace nearfield::sim
