// Node: one running data plane, from its configuration to its end: it owns the store, what workers
// share, the workers, the control interface, the access log, and the order in which they come and
// go.
//
//   start()   everything is made, nothing listens until all of it is there; then the control
//   interface answers run()     the control thread's loop: signals, requests, reloads, the drain
//   drain     SIGTERM, POST /v1/drain or a process that took over: no new connections, responses
//   finish, then run() returns
//
// Signals: SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reloads; SIGUSR1 opens the
// access log anew.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "cache/base/error.h"
#include "dataplane/control/config.h"
#include "dataplane/control/transport.h"

namespace nearfield::control {

struct NodeOptions {
  Config config;
  TransportKind transport;    // what the workers serve with
  std::string config_path;    // what a reload reads; empty: started with flags, nothing to reload
  std::string takeover_path;  // control path of the process to take over from; empty: none
};

class Node {
 public:
  static Result<std::unique_ptr<Node>> start(NodeOptions options);
  ~Node();
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  // Until drained or told to end at once; fails when a worker could not go on.
  Result<void> run();

 private:
  struct Impl;
  explicit Node(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::control
