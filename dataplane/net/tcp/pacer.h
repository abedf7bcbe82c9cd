// Pacer: how fast a connection may send, so that a window does not leave as one burst that
// overruns the first shallow queue on the path.
//
// A bucket that fills with the rate and empties with what is sent, kept as the moment at which it
// was (or will be) empty, so that nothing has to be done while time passes. Invariant: over any
// span t without on_idle() no more than rate * t + one bucket leaves, however often and in whatever
// pieces; rounding is carried over, so the long-term rate is exact. The awkward part is a worker
// that looks late: the bucket holds a quantum and a millisecond's worth on top, which it catches up
// with. One who sends without asking (a probe) goes into debt, at most kMaximumDebt of it.
#pragma once

#include <cstdint>

#include "cache/base/clock.h"
#include "dataplane/net/tcp/congestion.h"
#include "dataplane/net/tcp/round_trip.h"

namespace nearfield::net::tcp {

class Pacer {
 public:
  static constexpr std::uint64_t kUnlimited = UINT64_MAX;
  static constexpr std::uint64_t kMaximumQuantumBytes = 64 * 1024;
  static constexpr Duration kMaximumDebt = std::chrono::seconds(1);

  // 0: unpaced. What is in the bucket keeps its worth in time.
  void set_rate(std::uint64_t bytes_per_second);
  std::uint64_t rate() const { return rate_; }
  // Payload of a full segment; 1 to 65535.
  void set_segment_bytes(std::uint32_t segment_bytes) { segment_bytes_ = segment_bytes; }

  // Bytes that may leave now; kUnlimited when unpaced. Worth sending when it is at least the
  // smaller of what there is to send and quantum().
  std::uint64_t allowance(MonotonicTime now) const;
  void on_sent(std::uint64_t bytes, MonotonicTime now);
  // When allowance() reaches min(wanted_bytes, quantum()); maybe in the past, and the clock's epoch
  // when it does not depend on time.
  MonotonicTime next_opportunity(std::uint64_t wanted_bytes) const;
  // About a millisecond of the rate, within [2 segments, 64 KiB]: what is worth one transmission.
  std::uint64_t quantum() const;

  // The sender was idle: `burst_bytes` (the initial window, say) may leave at once, and the bucket
  // is empty behind it.
  void on_idle(MonotonicTime now, std::uint64_t burst_bytes);

 private:
  std::uint64_t capacity() const;

  std::uint64_t rate_ = 0;       // bytes per second
  MonotonicTime empty_at_{};     // when the bucket was, or will be, empty
  std::uint64_t remainder_ = 0;  // of the division behind empty_at_, in 1/rate nanoseconds
  std::uint32_t burst_bytes_ = 0;
  std::uint32_t segment_bytes_ = 1460;
};
static_assert(sizeof(Pacer) <= 32);

// Bytes per second a window is to be spread with: twice the window a round trip in slow start,
// which doubles it meanwhile; 1.25 times after, so that pacing itself never keeps the window from
// being used (the factor of RFC 9002 7.7; Linux documents 2.0 and 1.2 as tcp_pacing_ss_ratio and
// tcp_pacing_ca_ratio). 0, unpaced, before the first sample.
std::uint64_t pacing_rate(const Congestion& congestion, const RoundTrip& round_trip);

}  // namespace nearfield::net::tcp
