// Options taken out of a packet; see middlebox.h.
#include "tests/sim/tcp/middlebox.h"

#include <algorithm>

namespace nearfield::sim::tcp {

void pass_middlebox(const MiddleboxOptions& options, Duration age, Bytes& packet) {
  if (!options.does_anything()) return;
  const auto passing = read(packet);
  if (!passing) return;
  Segment segment = *passing;
  const bool strips_all =
      options.strips_all_timestamps_after && age >= *options.strips_all_timestamps_after;
  bool changed = false;
  const auto take = [&changed](auto& option, bool strips) {
    if (!strips || !option) return;
    option = {};
    changed = true;
  };
  if (segment.has(kSyn)) {
    take(segment.sack_permitted, options.strips_sack);
    take(segment.window_scale, options.strips_window_scale);
    take(segment.maximum_segment_bytes, options.strips_segment_size);
    if (options.clamps_segment_size &&
        segment.maximum_segment_bytes > options.clamps_segment_size) {
      segment.maximum_segment_bytes = options.clamps_segment_size;
      changed = true;
    }
  }
  take(segment.timestamps, strips_all || (segment.has(kSyn) && options.strips_timestamps));
  if (changed) packet = build(segment);
}

}  // namespace nearfield::sim::tcp
