#include "dataplane/net/tcp/cubic.h"

#include <algorithm>
#include <cmath>

namespace nearfield::net::tcp {

namespace {

double seconds_of(Duration duration) { return std::chrono::duration<double>(duration).count(); }

}  // namespace

Cubic::Cubic(std::uint32_t segment_bytes, bool paced)
    : segment_bytes_(std::max<std::uint32_t>(segment_bytes, 1)), paced_(paced) {
  set_window(static_cast<double>(initial_window_bytes(segment_bytes_)));
}

void Cubic::set_window(double bytes) {
  curve_.window = std::clamp(bytes, static_cast<double>(segment_bytes_),
                             static_cast<double>(kMaximumWindowBytes));
}

// Filling the window is the best evidence for it. In slow start half of it is enough, as RFC 7661
// 4.3 has it, so that a burst of less than a window still doubles it; on the curve an application
// that sends less than the window learns nothing of the path (RFC 9438 5.8).
bool Cubic::may_grow(const AcknowledgmentEvent& event) const {
  if (event.in_recovery || event.delivered_bytes == 0) {
    return false;
  }
  return event.window_limited ||
         (in_slow_start() && validation_.validates(window_bytes(), event.now));
}

void Cubic::on_acknowledgment(const AcknowledgmentEvent& event) {
  if (!event.in_recovery) {
    validation_.on_acknowledgment(event.now, event.delivered_bytes, event.round_ended,
                                  event.smoothed_round_trip);
  }
  window_limited_ = event.window_limited;
  // The non-validated period runs while neither the window nor a recovery is the limit.
  if (event.in_recovery || event.window_limited ||
      validation_.validates(window_bytes(), event.now)) {
    validation_.mark_valid(event.now);
  } else {
    expire_validity(event.now);
  }

  if (may_grow(event)) {
    if (in_slow_start()) {
      grow_in_slow_start(event);
    } else {
      grow_on_curve(event);
    }
  } else if (in_epoch_ && event.now > last_event_) {
    // Time in which the window was not let grow is no time of the curve (RFC 9438 4.2).
    curve_.epoch += event.now - last_event_;
  }
  // RFC 9406 4.3: for the first slow start only; later ones end at the threshold. Rounds pass also
  // while the window may not grow (4.2).
  if (curve_.threshold_bytes == kUnknownThreshold && !event.in_recovery &&
      hystart_.on_acknowledgment(event.round_trip_time, event.round_ended)) {
    curve_.threshold_bytes = window_bytes();
  }
  last_event_ = std::max(last_event_, event.now);
}

void Cubic::grow_in_slow_start(const AcknowledgmentEvent& event) {
  in_epoch_ = false;
  from_slow_start_ = true;
  const bool first = curve_.threshold_bytes == kUnknownThreshold;
  // After a time-out one acknowledgment may cover all that arrived before it; it tells of no more
  // than the window that was open (RFC 3465 2.3 says one segment, and knows no SACK).
  const std::uint64_t delivered = std::min(event.delivered_bytes, window_bytes());
  const std::uint64_t growth = hystart_.growth_bytes(delivered, segment_bytes_, paced_);
  const double limit = first ? static_cast<double>(kMaximumWindowBytes)
                             : static_cast<double>(curve_.threshold_bytes);
  set_window(std::min(curve_.window + static_cast<double>(growth), limit));
}

void Cubic::begin_epoch(MonotonicTime now) {
  in_epoch_ = true;
  curve_.epoch = now;
  curve_.reno = curve_.window;
  if (from_slow_start_) {
    // No loss to return to: the convex part begins here (RFC 9438 4.8, 4.10).
    curve_.peak = curve_.window;
    from_slow_start_ = false;
  }
  if (curve_.prior == 0) {
    curve_.prior = curve_.window;  // never reduced (RFC 9438 4.10)
  }
  // The least window, or larger segments, may have left us above the peak.
  curve_.peak = std::max(curve_.peak, curve_.window);
  const double segments = (curve_.peak - curve_.window) / segment_bytes_;
  curve_.peak_seconds = segments > 0 ? std::cbrt(segments / kC) : 0;
}

void Cubic::grow_on_curve(const AcknowledgmentEvent& event) {
  if (!in_epoch_) {
    begin_epoch(event.now);
  }
  const double elapsed = std::max(seconds_of(event.now - curve_.epoch), 0.0);
  const auto curve_at = [this](double seconds) {
    const double distance = seconds - curve_.peak_seconds;
    return curve_.peak + kC * segment_bytes_ * distance * distance * distance;
  };
  const double window = curve_.window;
  const double acknowledged = std::min(static_cast<double>(event.delivered_bytes), window);

  // RFC 9438 4.3: what Reno would have; above where it was reduced, with Reno's own slope.
  const double alpha = curve_.reno >= curve_.prior ? 1.0 : kAlpha;
  curve_.reno = std::min(curve_.reno + alpha * segment_bytes_ * acknowledged / window,
                         static_cast<double>(kMaximumWindowBytes));
  if (curve_at(elapsed) < curve_.reno) {
    // What is acknowledged bounds the step, as it does Reno's (RFC 5681 3.1).
    set_window(std::clamp(curve_.reno, window, window + acknowledged));
    return;
  }
  // RFC 9438 4.2, 4.4, 4.5: a round trip ahead, and at most half as much again.
  const double target =
      std::clamp(curve_at(elapsed + seconds_of(event.smoothed_round_trip)), window, 1.5 * window);
  set_window(window + (target - window) * acknowledged / window);
}

void Cubic::on_congestion(CongestionSignal signal, std::uint64_t in_flight_bytes,
                          MonotonicTime now) {
  undo_ = curve_;
  undo_in_epoch_ = in_epoch_;
  undo_from_slow_start_ = from_slow_start_;
  can_undo_ = true;

  // RFC 9438 4.6 takes what is in flight, or the window where that cannot have grown unused. A
  // window that was in use is what the path answered to; else only what it carried is.
  const auto in_flight =
      static_cast<double>(std::min(in_flight_bytes, std::uint64_t{kMaximumWindowBytes}));
  const auto carried = std::max(in_flight, static_cast<double>(validation_.pipe_ack_bytes(now)));
  const bool valid = validation_.validates(window_bytes(), now);
  const bool full = window_limited_ || (valid && validation_.defined());
  const double used = full ? curve_.window : std::min(carried, curve_.window);
  // RFC 7661 4.4.1: in the non-validated phase, half of what was carried.
  const double remaining = used * (valid || window_limited_ ? kBeta : 0.5);

  curve_.prior = used;
  // Fast convergence (RFC 9438 4.7): a window that did not get back to its last peak makes room.
  curve_.peak = used < curve_.peak ? used * (1 + kBeta) / 2 : used;
  const double least = 2.0 * segment_bytes_;
  curve_.threshold_bytes = static_cast<std::uint64_t>(std::max(remaining, least));
  if (signal == CongestionSignal::timeout) {
    set_window(segment_bytes_);  // RFC 5681 3.1, the loss window
    from_slow_start_ = true;     // RFC 9438 4.8
    reducing_ = false;
  } else {
    // RFC 9438 4.6: a loss leaves two segments, echoes may bring it to one.
    reducing_ = signal == CongestionSignal::loss;
    set_window(reducing_ ? static_cast<double>(curve_.threshold_bytes) : remaining);
    from_slow_start_ = false;
  }
  in_epoch_ = false;
  hystart_.finish();
  validation_.reset();
  validation_.mark_valid(now);
  last_event_ = std::max(last_event_, now);
}

void Cubic::undo(MonotonicTime now) {
  if (!can_undo_) {
    return;
  }
  // Where the window has grown beyond it meanwhile, the curve it grew on stays (RFC 9438 4.9.2):
  // the former one's epoch is long ago.
  if (curve_.window <= undo_.window) {
    curve_ = undo_;
    set_window(curve_.window);
    // The segments may have become larger since.
    curve_.threshold_bytes = std::max<std::uint64_t>(curve_.threshold_bytes, 2ull * segment_bytes_);
    in_epoch_ = undo_in_epoch_;
    from_slow_start_ = undo_from_slow_start_;
  }
  can_undo_ = false;
  reducing_ = false;
  validation_.mark_valid(now);
  last_event_ = std::max(last_event_, now);
}

void Cubic::on_recovery_end(MonotonicTime now) {
  if (reducing_) {
    set_window(static_cast<double>(curve_.threshold_bytes));
    reducing_ = false;
  }
  validation_.mark_valid(now);
  last_event_ = std::max(last_event_, now);
}

// RFC 7661 4.4.3 after each non-validated period: half the window, not below the initial one, and a
// threshold that lets slow start get back to three quarters quickly.
void Cubic::expire_validity(MonotonicTime now) {
  const auto initial = static_cast<double>(initial_window_bytes(segment_bytes_));
  for (std::uint32_t left = validation_.take_expired_periods(now); left > 0; --left) {
    if (curve_.window <= initial) {
      return;
    }
    curve_.threshold_bytes =
        std::max(curve_.threshold_bytes, static_cast<std::uint64_t>(curve_.window * 0.75));
    set_window(std::max(curve_.window / 2, initial));
    // The curve led to a window that is no longer believed in: what follows is a stage of its own.
    in_epoch_ = false;
    from_slow_start_ = true;
    can_undo_ = false;
  }
}

// The window outlives the pause (RFC 7661 4.4); `idle` itself is told by the time of the last
// acknowledgment, and is no time of the curve.
void Cubic::on_idle_restart(Duration idle, MonotonicTime now) {
  (void)idle;
  if (in_epoch_ && now > last_event_) {
    curve_.epoch += now - last_event_;
  }
  last_event_ = std::max(last_event_, now);
  expire_validity(now);
}

void Cubic::set_segment_bytes(std::uint32_t segment_bytes) {
  segment_bytes_ = std::max<std::uint32_t>(segment_bytes, 1);
  set_window(curve_.window);
  curve_.threshold_bytes = std::max<std::uint64_t>(curve_.threshold_bytes, 2ull * segment_bytes_);
  in_epoch_ = false;  // K is of segments: the curve through the same bytes with the new ones
}

}  // namespace nearfield::net::tcp
