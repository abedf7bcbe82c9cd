// Sink: many clients on one core that ask for objects, acknowledge what comes and throw it away
// without reading it. It believes the server's headers (a simulation checks those) but for one
// thing: payload must come in order, as nothing is lost on the way; what does not is counted.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/net/tcp/segment.h"
#include "tests/bench/nic_model.h"

namespace nearfield::bench {

inline constexpr std::size_t kRequestBytes = 16;

struct SinkOptions {
  std::uint32_t connections = 1;
  std::uint64_t response_bytes = 0;
  std::uint16_t segment_bytes = 1460;  // offered as MSS
  std::uint32_t window_bytes = 1024 * 1024;
  // One acknowledgment for so many packets. A packet longer than segment_bytes (a super-segment)
  // is answered at once, by `per_super_segment` acknowledgments of equal parts.
  std::uint32_t packets_per_acknowledgment = 2;
  std::uint32_t per_super_segment = 1;
};

class Sink {
 public:
  Sink(const SinkOptions& options, NicModel& nic);

  // Until stop(). Opens all connections; asks for the first object after begin().
  void run();

  // --- any thread ---
  void begin() { begins_.store(true); }
  void stop() { stops_.store(true); }
  bool is_open() const { return open_.load() == options_.connections; }
  std::uint64_t responses() const { return responses_.load(std::memory_order_relaxed); }
  std::uint64_t unexpected() const { return unexpected_.load(std::memory_order_relaxed); }

 private:
  struct Connection {
    std::uint32_t ours = 0;    // our next sequence number
    std::uint32_t theirs = 0;  // the next one expected
    std::uint32_t acknowledged = 0;
    std::uint32_t timestamp = 0;  // of theirs, to be echoed
    std::uint64_t left = 0;       // of the response
    std::uint32_t packets = 0;    // not acknowledged
    bool is_open = false;
    bool is_owed = false;
  };
  void take(const NicModel::Sent& packet);
  void send(std::uint32_t index, net::tcp::Flags flags, std::uint32_t acknowledgment,
            std::size_t payload_bytes, bool is_syn = false);
  void ask(std::uint32_t index);
  void pay_what_is_owed();

  const SinkOptions options_;
  NicModel& nic_;
  std::vector<Connection> connections_;
  std::vector<std::uint32_t> owed_;
  std::uint32_t idle_polls_ = 0;
  std::uint32_t clock_ms_ = 1;
  std::uint32_t now_open_ = 0;
  std::atomic<std::uint32_t> open_{0};
  std::atomic<std::uint64_t> responses_{0};
  std::atomic<std::uint64_t> unexpected_{0};
  std::atomic<bool> begins_{false};
  std::atomic<bool> stops_{false};
};

}  // namespace nearfield::bench
