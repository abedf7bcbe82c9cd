// Congestion: how much a connection may have in flight, as an interface; a law of congestion
// control is one file that implements it (cubic.h; BBR could follow).
//
// Loss detection and recovery are not its business: the connection finds losses (rack.h, RFC 6582),
// tells of each episode once, and spreads the reduction over it (prr.h). A congestion object lives
// in a fixed place inside its connection and allocates nothing. All sizes are bytes of payload; the
// arithmetic of the RFCs in segments is done in bytes of `segment_bytes`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cache/base/clock.h"

namespace nearfield::net::tcp {

struct AcknowledgmentEvent {
  MonotonicTime now{};
  std::uint64_t delivered_bytes = 0;  // newly acknowledged, cumulatively or selectively
  std::uint64_t in_flight_bytes = 0;  // after this acknowledgment
  // What the sender had in flight when it was last limited by the window rather than by having
  // nothing to send counts as validated (RFC 7661 4.3): false while the application is the limit.
  bool window_limited = false;
  bool in_recovery = false;       // the window must not grow (RFC 5681 3.2)
  bool round_ended = false;       // what was sent at the last round's end is now acknowledged
  Duration round_trip_time{-1};   // of this acknowledgment; negative: no sample (RFC 6298 3)
  Duration minimum_round_trip{};  // of the recent path; 0: unknown
  Duration smoothed_round_trip{};
};

enum class CongestionSignal {
  loss,    // a recovery episode begins (RFC 5681 3.2)
  echo,    // ECN-Echo, at most once a round trip (RFC 3168 6.1.2)
  timeout  // the retransmission timer ran out and the first unacknowledged was sent for the first
           // time
};

class Congestion {
 public:
  virtual ~Congestion() = default;

  virtual void on_acknowledgment(const AcknowledgmentEvent& event) = 0;
  // Sets the slow start threshold and, but for the part that prr.h spreads over the episode, the
  // window. `in_flight_bytes`: before anything is marked lost. What is needed to take it back is
  // remembered.
  virtual void on_congestion(CongestionSignal signal, std::uint64_t in_flight_bytes,
                             MonotonicTime now) = 0;
  // The last signal was false (D-SACK told that every retransmission was needless, RFC 3708; or
  // timestamps did, RFC 3522): window and threshold as before it.
  virtual void undo(MonotonicTime now) = 0;
  // Recovery is over: the window becomes the threshold (RFC 9937 6.4, RFC 5681 3.2 step 6).
  virtual void on_recovery_end(MonotonicTime now) = 0;
  // Nothing was sent for `idle`, longer than one retransmission time-out (RFC 5681 4.1, RFC 7661
  // 4.4).
  virtual void on_idle_restart(Duration idle, MonotonicTime now) = 0;
  // The path's segment size changed; the window is kept in bytes, but at least the minimum of it.
  virtual void set_segment_bytes(std::uint32_t segment_bytes) = 0;

  virtual std::uint64_t window_bytes() const = 0;
  virtual std::uint64_t slow_start_threshold_bytes() const = 0;
  virtual bool in_slow_start() const = 0;
  virtual const char* name() const = 0;  // "cubic"
};

// Whatever is to live inside a connection fits into this.
inline constexpr std::size_t kMaximumCongestionBytes = 200;

// min(10 * segment, max(2 * segment, 14600)) (RFC 6928 2).
constexpr std::uint64_t initial_window_bytes(std::uint32_t segment_bytes) {
  const std::uint64_t ten = 10ull * segment_bytes;
  const std::uint64_t two = 2ull * segment_bytes;
  const std::uint64_t cap = two > 14600 ? two : 14600;
  return ten < cap ? ten : cap;
}

}  // namespace nearfield::net::tcp
