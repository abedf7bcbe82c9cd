// Rack: which transmissions are lost, told by time: what was sent long enough before something that
// has arrived is lost (RFC 8985 section 6); and the tail loss probe, which makes something arrive
// when the end of a burst was lost (section 7). Only for peers that send SACKs.
//
// Invariant: nothing is declared lost unless something sent after it was delivered, or the
// retransmission timer ran out. The awkward part is reordering: the window allowed for it starts at
// nothing, opens to a quarter of the shortest round trip once reordering was seen, and grows with
// every round in which D-SACKs told of needless retransmissions.
#pragma once

#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "dataplane/net/tcp/transmission_log.h"

namespace nearfield::net::tcp {

class Rack {
 public:
  struct Path {
    Duration smoothed{};
    Duration minimum{};  // of the round trips of late; 0: unknown
  };

  // Steps 1 to 3. `echo_is_newer`: timestamps prove that a retransmission of this delivery is what
  // arrived; without them nothing is known.
  void on_delivery(const TransmissionLog::Delivery& delivery, const Path& path,
                   std::optional<bool> retransmission_arrived, MonotonicTime now);
  // A D-SACK arrived while [.., next) had been sent and everything before `unacknowledged` had
  // arrived: widens the reordering window, once a round trip (step 4).
  void on_duplicate_reported(StreamPosition unacknowledged, StreamPosition next);
  void on_recovery_end();

  // Steps 4 and 5: marks in `log` what is lost. Returns when to look again, if something is only
  // suspected. `duplicate_threshold_reached`: three segments or more are sacked.
  std::optional<MonotonicTime> detect(TransmissionLog& log, const Path& path, bool in_recovery,
                                      bool duplicate_threshold_reached, MonotonicTime now) const;
  // The retransmission timer ran out: marks the first range, and what is overdue (section 6.3).
  void mark_after_timeout(TransmissionLog& log, const Path& path, MonotonicTime now) const;

  Duration reordering_window(const Path& path, bool in_recovery,
                             bool duplicate_threshold_reached) const;
  bool reordering_seen() const { return reordering_seen_; }

 private:
  MonotonicTime delivered_sent_at_{};  // RACK.xmit_ts
  StreamPosition delivered_end_ = 0;   // RACK.end_seq; 0: nothing yet
  Duration round_trip_{};              // RACK.rtt
  StreamPosition duplicate_round_end_ = 0;
  std::uint8_t window_factor_ = 1;     // RACK.reo_wnd_mult
  std::uint8_t factor_persists_ = 16;  // RACK.reo_wnd_persist, in recoveries
  bool reordering_seen_ = false;
};

// One probe at a time for the tail of a flight.
class TailLossProbe {
 public:
  // When to probe after the last transmission at `now`: two round trips, and the delay a receiver
  // may put on a single segment's acknowledgment (RFC 8985 7.2). No sample: one second.
  static Duration time_out(bool has_sample, Duration smoothed, bool single_segment_in_flight);

  bool outstanding() const { return end_ != 0; }
  StreamPosition end() const { return end_; }
  // A probe went out; everything sent lies before `next`.
  void on_sent(StreamPosition next, bool is_retransmission);
  enum class Outcome {
    none,
    nothing_lost,  // the probe was needless, or new data
    repaired       // it replaced what was lost: the congestion control must hear of it (7.4.2)
  };
  // `acknowledged`: the cumulative acknowledgment; `duplicate_end`: where the duplicate
  // ends that this one reports (D-SACK), 0 without; `plain`: it carries no data, no SACK and does
  // not change the window (7.4.2).
  Outcome on_acknowledgment(StreamPosition acknowledged, StreamPosition duplicate_end, bool plain);
  void cancel() { end_ = 0; }

 private:
  StreamPosition end_ = 0;  // 0: none
  bool is_retransmission_ = false;
};

}  // namespace nearfield::net::tcp
