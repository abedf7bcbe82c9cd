// ControlServer: HTTP/1.1 for the control interface (api.h) on a Unix socket and, read-only, on an
// admin address.
//
// Bounds: kMaximumConnections together, 8 KiB of head and 64 KiB of body, kPatience for a request
// and its answer. All on the control thread. Listening sockets come from outside and are closed
// here.
#pragma once

#include <cstddef>
#include <memory>

#include "cache/base/error.h"
#include "dataplane/control/api.h"
#include "dataplane/control/event_loop.h"

namespace nearfield::control {

class ControlServer {
 public:
  static constexpr std::size_t kMaximumConnections = 64;
  static constexpr std::size_t kMaximumBodyBytes = 64 * 1024;
  static constexpr std::chrono::seconds kPatience{15};

  // Both outlive it.
  ControlServer(EventLoop& loop, NodeControl& node);
  ~ControlServer();

  // Takes over a listening Unix or TCP descriptor.
  void serve_unix(int descriptor);
  Result<void> serve_tcp(int descriptor);
  // No new connections; requests under way are answered.
  void stop_accepting();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace nearfield::control
