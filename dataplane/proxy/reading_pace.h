// ReadingPace: whether a listener takes what it is sent fast enough to keep its place (slow read
// attacks). Looked at once per send time-out; the first look only takes the measure, because asking
// the transport costs a system call and most listeners never need to be asked.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <utility>

#include "dataplane/net/stream.h"
#include "dataplane/proxy/limits.h"

namespace nearfield::proxy {

// Send time-outs without one byte from the origin's side before a response is given up.
inline constexpr std::uint32_t kStalledChecks = 6;

// What a listener must take within one send time-out.
inline std::uint64_t expected_send_bytes(const Limits& limits) {
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(limits.send_timeout).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 1)) *
         limits.minimum_send_bytes_per_second;
}

class ReadingPace {
 public:
  void restart() { known_ = false; }

  bool too_slow(net::Stream& stream, const Limits& limits, std::uint64_t outstanding_bytes) {
    const std::uint64_t acknowledged = stream.acknowledged_bytes();
    const std::uint64_t progress = acknowledged - acknowledged_at_check_;
    acknowledged_at_check_ = acknowledged;
    if (!std::exchange(known_, true)) return false;
    return progress == 0 || progress < std::min(expected_send_bytes(limits), outstanding_bytes);
  }

 private:
  std::uint64_t acknowledged_at_check_ = 0;
  bool known_ = false;
};

}  // namespace nearfield::proxy
