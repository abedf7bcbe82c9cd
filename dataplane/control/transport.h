// Transport: what a worker needs of a transport beyond its Reactor: a loop to run, a way to end it,
// numbers to show. main.cc chooses which one; nothing here knows any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cache/base/error.h"
#include "dataplane/net/reactor.h"

namespace nearfield::control {

// A number a transport wants shown, beside the ones everybody has.
struct TransportValue {
  std::string name;  // snake_case with its unit
  std::string help;
  std::uint64_t value = 0;
  bool is_gauge = false;
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
};

struct TransportKind {
  std::string name;  // "io_uring"
  // `maximum_streams`: to listeners and origins together. Called on the worker's thread.
  std::function<Result<std::unique_ptr<Transport>>(std::size_t maximum_streams)> make;
};

}  // namespace nearfield::control
