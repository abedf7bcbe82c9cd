// Caller: one connection that lwIP opens to the server, over its raw interface, and what its
// application does: sends requests (tests/sim/tcp/exchange.h), holds every byte that lwIP hands it
// against the pattern, reads at its own pace and ends in one of several orders.
//
// A caller belongs to lwIP's callbacks until the process ends: it is neither moved nor destroyed
// while lwIP may run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/tcp/client.h"

// lwIP's own, in their headers.
struct tcp_pcb;
struct pbuf;

namespace nearfield::sim::lwip {

struct CallPlan {
  bool is_v6 = false;
  Duration starts_after{};
  // Begins `starts_after` after that one (by index, a smaller one) is over, from the same port if
  // lwIP permits.
  std::optional<std::size_t> successor_of;
  std::vector<std::uint64_t> answer_bytes;  // one request each; at least one
  bool pipelined = true;                    // else each request waits for the answer before
  tcp::Closing closing = tcp::Closing::after_answers;
  bool nagle = true;
  bool copies = true;  // lwIP copies what it sends; else it refers to the requests
  // Takes nothing for a while, once so many bytes have come: the window closes.
  struct Hold {
    std::uint64_t after_bytes = 0;
    Duration time{};
  };
  std::optional<Hold> hold;
  std::uint64_t read_bytes_per_second = 0;  // 0: at once
  // At times hands lwIP back what it brings, and is brought it again. Not with `after_requests`
  // and `crossing`: lwIP forgets refused bytes when the FIN ends a connection it has shut.
  bool refuses = false;
  std::optional<std::uint64_t> resets_after_bytes;
  Duration limit{};  // later than this after the start is a violation

  std::uint64_t expected_bytes() const;
  bool server_closes() const {
    return closing == tcp::Closing::after_server || closing == tcp::Closing::crossing;
  }
};

class Caller {
 public:
  enum class State { waiting, calling, complete, reset, failed };

  Caller(const CallPlan& plan, std::uint32_t connection, std::uint64_t seed,
         std::function<void(std::string what)> violation);
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  // Connects from `port`, or from one above where lwIP still has a connection there; returns it.
  std::uint16_t start(std::uint16_t port, MonotonicTime now);
  // The clock, ahead of anything by which lwIP could call.
  void set_now(MonotonicTime now) { now_ = now; }
  void run();  // what is due
  std::optional<MonotonicTime> next_deadline() const;

  State state() const { return state_; }
  bool is_over() const { return state_ >= State::complete; }
  std::uint64_t received_bytes() const { return received_; }
  const CallPlan& plan() const { return plan_; }
  std::uint32_t connection() const { return connection_; }

 private:
  // What lwIP calls; the results are its err_t.
  std::int8_t on_connected();
  std::int8_t on_receive(pbuf* data);
  void on_gone(std::int8_t error);

  void on_end();
  void send();
  void read();
  void acknowledge(std::uint64_t bytes);
  void shut_sending();
  void close();
  std::int8_t reset();
  void fail(std::string what);

  const CallPlan plan_;
  const std::uint32_t connection_;
  const std::uint64_t expected_;
  const std::function<void(std::string)> violation_;
  Random random_;
  State state_ = State::waiting;
  MonotonicTime now_{};
  tcp_pcb* pcb_ = nullptr;  // none: lwIP has done with it, or we have
  std::vector<std::byte> requests_;
  std::vector<std::uint64_t> answer_ends_;
  std::size_t written_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t unread_ = 0;  // received, and lwIP's window not yet opened for it
  unsigned refusals_ = 0;
  bool connected_ = false;
  bool held_ = false;
  bool shut_ = false;
  bool closed_ = false;
  bool ended_ = false;                    // the server's FIN came
  std::optional<MonotonicTime> read_at_;  // of a reader with a pace
  std::optional<MonotonicTime> shut_at_;  // crossing
};

}  // namespace nearfield::sim::lwip
