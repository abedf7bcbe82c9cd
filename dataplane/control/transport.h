// Transport: what a worker needs of a transport beyond its Reactor: a loop to run, a way to end it,
// numbers to show; and Transports, those of all workers with what they share. main.cc chooses which
// kind; nothing here knows any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/net/reactor.h"

namespace nearfield::control {

// A number a transport wants shown, beside the ones everybody has.
struct TransportValue {
  std::string name;  // snake_case with its unit
  std::string help;
  std::uint64_t value = 0;
  bool is_gauge = false;
};

// One connection of a listener, as an operator sees it.
struct ConnectionReport {
  struct Word {
    std::string name;
    std::string value;
  };
  struct Number {
    std::string name;  // snake_case with its unit
    std::uint64_t value = 0;
  };

  net::Endpoint peer;
  net::Endpoint local;
  std::vector<Word> words;  // the state, the congestion control
  std::vector<Number> numbers;
};

// Of one worker. Made and destroyed on its thread.
class Transport {
 public:
  virtual ~Transport() = default;

  virtual net::Reactor& reactor() = 0;
  // Until stop(); then every stream has heard on_closed(). Once.
  virtual Result<void> run() = 0;
  virtual void stop() = 0;                                 // any thread
  virtual std::vector<TransportValue> values() const = 0;  // any thread
  // At most `limit` connections, only those of `peer` when it is given. Nothing when the transport
  // cannot tell. The worker's thread.
  virtual std::optional<std::vector<ConnectionReport>> connections(
      std::size_t limit, const std::optional<net::Endpoint>& peer) const = 0;
};

struct TransportPlan {
  std::uint32_t workers = 1;
  std::size_t maximum_streams = 0;  // of each worker, to listeners and origins together
  // Where all content is, for devices that read it there. Stays until the Transports are gone.
  std::span<std::byte> content;
};

// Those of a node, and what they share: devices, memory made known to them. Control thread, except
// where it says otherwise.
class Transports {
 public:
  // Every Transport is gone.
  virtual ~Transports() = default;

  // For the worker with this index, on its thread.
  virtual Result<std::unique_ptr<Transport>> make(std::uint32_t worker) = 0;
  // Every worker has been told where to listen: connections may come.
  virtual Result<void> begin() { return {}; }
  virtual std::vector<TransportValue> values() const { return {}; }  // that are no worker's
};

struct TransportKind {
  std::string name;  // "uring"
  // Whether it wants sockets of the kernel to listen on, which a new process can take over.
  bool listens_on_sockets = true;
  std::function<Result<std::unique_ptr<Transports>>(const TransportPlan&)> open;
};

}  // namespace nearfield::control
