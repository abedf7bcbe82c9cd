// Which worker listens on which socket: every worker has its own at every address, made here or
// handed over by an older process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/control/handover.h"
#include "dataplane/control/listen_kind.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/listener.h"

namespace nearfield::control {

struct WorkerListener {
  net::Listener listener;
  ListenKind kind = ListenKind::clear;
};

struct Listening {
  std::vector<std::vector<WorkerListener>> of_worker;  // [worker]
  std::vector<ListenAddress> bound;     // in the order of the configuration, with real ports
  std::vector<std::string> configured;  // what bound[i] is called in the configuration
};

// `handed` may be empty. A handed socket is used where its configured or real address is wanted for
// what it was used for: a listener who is queued in it speaks that. All of one address are used,
// even when there are more than workers, because each has connections in its queue. Those nobody
// wants are closed: their owner drains. Without handed sockets an address that any process listens
// on is "in use", although SO_REUSEPORT would let us share it.
Result<Listening> make_listening(const std::vector<ListenAddress>& addresses, std::uint32_t workers,
                                 std::vector<HandedListener> handed);

}  // namespace nearfield::control
