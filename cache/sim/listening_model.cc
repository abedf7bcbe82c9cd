// See listening_model.h.
#include "cache/sim/listening_model.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace nearfield::cache::sim::listening {

double activity(double seconds_since_monday) {
  // A value of the source is the mean over its hour: it stands in the hour's middle.
  const double hours = seconds_since_monday / 3600.0 - 0.5;
  const double angle = 2.0 * std::numbers::pi * hours / 168.0;
  double value = kActivityMean;
  for (const Harmonic& harmonic : kActivity) {
    value += harmonic.cosine * std::cos(angle * harmonic.per_week) +
             harmonic.sine * std::sin(angle * harmonic.per_week);
  }
  return kTroughOverPeak + (1.0 - kTroughOverPeak) * std::clamp(value, 0.0, 1.0);
}

}  // namespace nearfield::cache::sim::listening
