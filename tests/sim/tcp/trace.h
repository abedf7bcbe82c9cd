// Trace: the last packets of one connection, as lines a reader of tcpdump knows. Positions are
// relative to the initial sequence numbers.
#pragma once

#include <deque>
#include <string>

#include "cache/base/clock.h"
#include "tests/sim/tcp/packet.h"

namespace nearfield::sim::tcp {

class Trace {
 public:
  explicit Trace(std::size_t most_lines) : most_lines_(most_lines) {}

  // `where` is a literal: "server sends", "lost", ...
  void add(MonotonicTime at, const char* where, bool from_server, const Segment& segment);
  void add(MonotonicTime at, const char* where, std::string note);
  std::string print(MonotonicTime start, std::uint32_t client_initial,
                    std::uint32_t server_initial) const;

 private:
  struct Line {
    MonotonicTime at;
    const char* where;
    bool from_server;
    Segment segment;  // its payload is gone, only the size is used
    std::size_t payload_bytes;
    std::string note;
  };
  void bound();
  std::size_t most_lines_;
  std::deque<Line> lines_;
};

}  // namespace nearfield::sim::tcp
