// Cubic: CUBIC congestion control (RFC 9438) with HyStart++ in the first slow start (RFC 9406) and
// a window that has to be validated by use (RFC 7661).
//
// After a reduction the window follows a cubic of the time since: steep back towards where the loss
// was, flat around it, steep beyond; and never less than what Reno would have. Invariant: the
// window is within [one segment, kMaximumWindowBytes] and the threshold at least two segments,
// whatever is told. The awkward part is time that must not count: while the application is the
// limit the epoch is moved along (RFC 9438 4.2, 5.8), or the first full window after a pause
// would jump to where the cubic has meanwhile got.
//
// The window is kept as a double, of bytes, because at large windows a single acknowledgment
// earns less than a byte; below 2^53 nothing is lost, and with one order of operations and no
// fast-math two runs of the same events give the same window.
//
// Not done: ABE's weaker answer to ECN (RFC 8511); ECN is answered as loss is.
#pragma once

#include <cstdint>

#include "dataplane/net/tcp/congestion.h"
#include "dataplane/net/tcp/hystart.h"
#include "dataplane/net/tcp/window_validation.h"

namespace nearfield::net::tcp {

class Cubic final : public Congestion {
 public:
  static constexpr double kBeta = 0.7;                                          // RFC 9438 4.6
  static constexpr double kC = 0.4;                                             // RFC 9438 5.1
  static constexpr double kAlpha = 3.0 * (1.0 - kBeta) / (1.0 + kBeta);         // RFC 9438 4.3
  static constexpr std::uint64_t kMaximumWindowBytes = std::uint64_t{1} << 30;  // RFC 7323 2.3
  static constexpr std::uint64_t kUnknownThreshold = UINT64_MAX;

  // `segment_bytes`: payload of a full segment, at least 1. `paced`: slow start may then grow by
  // all that was acknowledged, not only eight segments at a time (RFC 9406 4.3).
  explicit Cubic(std::uint32_t segment_bytes, bool paced = true);

  // Instead of the initial window; before anything else.
  void begin_with_one_segment() { set_window(segment_bytes_); }

  void on_acknowledgment(const AcknowledgmentEvent& event) override;
  // Loss and echo set the window to the threshold at once, an echo also below the least threshold,
  // to one segment: while a recovery lasts it is prr.h that says how much may be sent. A time-out
  // leaves one segment, and slow start from there needs events without `in_recovery`.
  void on_congestion(CongestionSignal signal, std::uint64_t in_flight_bytes,
                     MonotonicTime now) override;
  // Nothing when there is nothing to take back; never makes the window smaller (RFC 9438 4.9).
  void undo(MonotonicTime now) override;
  // Nothing when the reduction was taken back meanwhile or was a time-out's.
  void on_recovery_end(MonotonicTime now) override;
  void on_idle_restart(Duration idle, MonotonicTime now) override;
  void set_segment_bytes(std::uint32_t segment_bytes) override;

  std::uint64_t window_bytes() const override { return static_cast<std::uint64_t>(curve_.window); }
  std::uint64_t slow_start_threshold_bytes() const override { return curve_.threshold_bytes; }
  bool in_slow_start() const override { return window_bytes() < curve_.threshold_bytes; }
  const char* name() const override { return "cubic"; }

 private:
  // What a false signal is taken back to, and what the law is computed from (RFC 9438 4.1.2).
  // Sizes in bytes.
  struct Curve {
    double window = 0;                                  // cwnd
    std::uint64_t threshold_bytes = kUnknownThreshold;  // ssthresh
    double peak = 0;                                    // W_max
    double prior = 0;                                   // cwnd_prior
    double reno = 0;                                    // W_est
    double peak_seconds = 0;                            // K
    MonotonicTime epoch{};                              // t_epoch; when in_epoch_
  };

  bool may_grow(const AcknowledgmentEvent& event) const;
  void grow_in_slow_start(const AcknowledgmentEvent& event);
  void grow_on_curve(const AcknowledgmentEvent& event);
  void begin_epoch(MonotonicTime now);
  void expire_validity(MonotonicTime now);
  void set_window(double bytes);

  Curve curve_;
  Curve undo_;
  WindowValidation validation_;
  HyStart hystart_;
  MonotonicTime last_event_{};
  std::uint32_t segment_bytes_;
  bool paced_ : 1;
  bool in_epoch_ : 1 = false;       // the curve's epoch has begun
  bool undo_in_epoch_ : 1 = false;  // in_epoch_ of undo_
  bool can_undo_ : 1 = false;
  bool reducing_ : 1 = false;        // between loss and the recovery's end
  bool from_slow_start_ : 1 = true;  // the next epoch has no loss to return to
  bool undo_from_slow_start_ : 1 = true;
  bool window_limited_ : 1 = false;  // of the last acknowledgment
};
static_assert(sizeof(Cubic) <= kMaximumCongestionBytes);

}  // namespace nearfield::net::tcp
