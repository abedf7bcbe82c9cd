// Handover: a new process gets the listening sockets of the running one, so that a restart refuses
// no connection: the queue of connections not yet accepted belongs to the socket, and both
// processes hold it.
//
// The protocol, on a SOCK_SEQPACKET Unix socket at <control path>.handover (mode 0600, same user or
// root only):
//   new -> old  {"nearfield_handover":1,"want":"listeners"}
//   old -> new
//   {"nearfield_handover":1,"listeners":[{"configured":":80","local":"[::]:80"},...],"more":false}
//               and "tls":true in those where TLS is spoken,
//               with as many descriptors (SCM_RIGHTS), at most kListenersPerMessage a message
//   new -> old  {"nearfield_handover":1,"ready":true}      it serves: the old one drains and lets
//   go of its control paths old -> new  {"nearfield_handover":1,"draining":true}
// When the connection ends before "ready" the old process goes on as if nothing had been. One
// handover at a time, within kHandoverPatience.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/control/event_loop.h"
#include "dataplane/control/listen_kind.h"
#include "dataplane/control/unix_listener.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/listener.h"

namespace nearfield::control {

inline constexpr std::chrono::seconds kHandoverPatience{60};
inline constexpr std::size_t kListenersPerMessage = 32;
inline constexpr std::size_t kMaximumHandedListeners = 4096;

std::string handover_path(const std::string& control_path);

// A socket as it is handed over: what the configuration called it, what is spoken there, and what
// it is bound to.
struct HandedListener {
  std::string configured;
  ListenKind kind = ListenKind::clear;
  net::Listener listener;
};

// The new process's side. Blocking, for the start only.
class HandoverClient {
 public:
  // Connects to the process behind `control_path` and takes its listeners.
  static Result<HandoverClient> connect(const std::string& control_path);
  HandoverClient(HandoverClient&& other) noexcept;
  HandoverClient& operator=(HandoverClient&& other) = delete;
  ~HandoverClient();

  std::vector<HandedListener>& listeners() { return listeners_; }
  // "We serve": returns once the old process drains.
  Result<void> confirm();

 private:
  explicit HandoverClient(int descriptor) : descriptor_(descriptor) {}
  int descriptor_ = -1;
  std::vector<HandedListener> listeners_;
};

// The old process's side.
class HandoverServer {
 public:
  struct Offer {
    std::string configured;
    ListenKind kind = ListenKind::clear;
    net::Endpoint local;
    int descriptor;  // stays ours
  };

  // `listener`: at handover_path(). `offers` is asked when a new process comes; `on_ready` once it
  // serves. Control thread.
  HandoverServer(EventLoop& loop, UnixListener listener, std::function<std::vector<Offer>()> offers,
                 std::function<void()> on_ready);
  ~HandoverServer();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nearfield::control
