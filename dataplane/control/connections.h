// Connections as the control interface shows them: asked of every worker, and written as JSON.
//
// The awkward part is that only a worker may look at its connections. Each is asked at once and the
// answers are waited for, a bounded time: a worker that is busy longer is counted as silent, and
// what it says later is dropped.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/control/transport.h"
#include "dataplane/control/worker_thread.h"

namespace nearfield::control {

struct ConnectionQuestion {
  static constexpr std::size_t kMaximum = 1000;

  std::size_t limit = 100;
  std::optional<net::Endpoint> peer;
};

// "limit=5&peer=192.0.2.1:40000", in any order, each once at most; "" asks for the first hundred.
Result<ConnectionQuestion> parse_connection_question(std::string_view query);

struct ConnectionList {
  bool is_available = true;  // the transport can tell
  std::vector<ConnectionReport> connections;
  std::uint32_t silent_workers = 0;
};

inline constexpr std::chrono::milliseconds kConnectionPatience{200};

ConnectionList ask_connections(std::span<const std::unique_ptr<WorkerThread>> workers,
                               const ConnectionQuestion& question);
std::string connections_json(const ConnectionList& list);

}  // namespace nearfield::control
