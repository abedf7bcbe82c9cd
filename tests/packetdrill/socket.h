// Socket: what one descriptor of a script stands for: nothing yet, a listener with the connections
// it accepted, a connection, or an epoll list. Which one never goes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/net/reactor.h"
#include "dataplane/net/stream.h"
#include "tests/packetdrill/epoll.h"

namespace nearfield::packetdrill {

class Socket final : public net::StreamHandler, public net::Acceptor {
 public:
  enum class Kind { fresh, listener, connection, epoll };

  Kind kind = Kind::fresh;
  bool nonblocking = false;
  std::uint64_t happenings = 0;                   // for edges
  bool reset_on_close = false;                    // SO_LINGER with a time of 0
  std::map<std::pair<int, int>, int> remembered;  // options that are taken and change nothing

  Epoll epoll;

  // --- fresh and listener ---
  int family = 0;
  std::optional<net::Endpoint> bound;
  std::size_t backlog = 0;
  std::deque<std::unique_ptr<Socket>> accepted;

  // --- connection ---
  net::Stream* stream = nullptr;  // null once closed
  std::deque<std::byte> unsent;   // not yet in the plan
  bool finishing = false;         // FIN after `unsent`
  bool discarding = false;        // what comes is dropped
  bool readable = false;          // something was offered and not taken
  bool ended = false;             // the peer's FIN, and everything before it was read
  int error = 0;                  // errno of an abnormal end, told once
  std::optional<net::Endpoint> local;
  std::optional<net::Endpoint> peer;

  // Takes up to `into` on the next offer.
  void want(std::span<std::byte> into, bool peek);
  std::size_t taken() const { return taken_; }

  std::size_t on_receive(std::span<const std::byte> bytes) override;
  void on_receive_end() override;
  void on_send_ready(net::SendPlan& plan) override;
  void on_closed(net::CloseReason reason) override;
  net::StreamHandler* on_accept(net::Stream& accepted_stream) override;

 private:
  std::span<std::byte> wanted_;
  bool peek_ = false;
  std::size_t taken_ = 0;
};

}  // namespace nearfield::packetdrill
