// ProportionalRateReduction (RFC 9937, formerly RFC 6937): how a reduction of the window is spread
// over a recovery, in proportion to what arrives, instead of a silence and then a burst.
//
// Lives from begin() to end() of one fast recovery, in which allowance() takes the place of the
// congestion window. Invariant: unless an acknowledgment both moved SND.UNA and told of no further
// loss ("SafeACK"), nothing but the first retransmission is sent beyond what was delivered, so that
// a policer or a full queue that goes on dropping is never sent more than it lets through. The
// awkward part is counting: `delivered` counts bytes SACKed and acknowledged once each, `sent`
// counts retransmissions and new data alike.
#pragma once

#include <cstdint>

namespace nearfield::net::tcp {

class ProportionalRateReduction {
 public:
  // `in_flight_bytes`: RecoverFS, what was outstanding and not SACKed before the acknowledgment
  // that began the recovery. The fast retransmit may leave at once: allowance() is one segment.
  void begin(std::uint64_t in_flight_bytes, std::uint64_t slow_start_threshold_bytes,
             std::uint32_t segment_bytes);
  bool active() const { return active_; }
  void end();

  // For each acknowledgment in the recovery, the one that began it included, after loss detection.
  // `delivered_bytes`: newly acknowledged or SACKed; one without any changes nothing.
  // `in_flight_bytes`: the pipe after it. `advanced`: it moved SND.UNA. `newly_lost`: it revealed
  // more loss.
  void on_acknowledgment(std::uint64_t delivered_bytes, std::uint64_t in_flight_bytes,
                         bool advanced, bool newly_lost);
  // One segment at least, whatever the proportion is: what must be sent again now.
  void allow_segment() {
    if (active_ && allowance_bytes_ < segment_bytes_) allowance_bytes_ = segment_bytes_;
  }
  void on_sent(std::uint64_t bytes);
  // Bytes that may still be sent because of the last acknowledgment; 0 when not active.
  std::uint64_t allowance() const { return allowance_bytes_; }

 private:
  std::uint64_t delivered_bytes_ = 0;  // prr_delivered
  std::uint64_t sent_bytes_ = 0;       // prr_out
  std::uint64_t allowance_bytes_ = 0;
  // Windows are below 2^30 (RFC 7323 2.3); larger arguments count as 2^32-1.
  std::uint32_t initial_in_flight_bytes_ = 1;  // RecoverFS
  std::uint32_t slow_start_threshold_bytes_ = 0;
  std::uint32_t segment_bytes_ = 0;
  bool active_ = false;
};
static_assert(sizeof(ProportionalRateReduction) <= 40);

}  // namespace nearfield::net::tcp
