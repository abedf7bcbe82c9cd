// Middlebox: what a firewall or a "TCP accelerator" on the way does to the options of segments that
// pass in one direction (Honda et al. 2011, "Is it still possible to extend TCP?": options removed
// from SYNs, and in places from data segments, which both ends had agreed on). It repairs the
// checksums: nobody can see that it was there.
#pragma once

#include <cstdint>
#include <optional>

#include "cache/base/clock.h"
#include "tests/sim/tcp/packet.h"

namespace nearfield::sim::tcp {

struct MiddleboxOptions {
  // Taken out of SYNs and SYN-ACKs.
  bool strips_sack = false;
  bool strips_timestamps = false;
  bool strips_window_scale = false;
  bool strips_segment_size = false;
  // A greater maximum segment size is lowered to this, in SYNs and SYN-ACKs.
  std::optional<std::uint16_t> clamps_segment_size;
  // From this time after the link's start on, timestamps are taken out of everything: the route has
  // changed.
  std::optional<Duration> strips_all_timestamps_after;

  bool does_anything() const {
    return strips_sack || strips_timestamps || strips_window_scale || strips_segment_size ||
           clamps_segment_size || strips_all_timestamps_after;
  }
  bool touches_timestamps() const { return strips_timestamps || strips_all_timestamps_after; }
};

// `age`: of the link. What is no whole TCP segment is left alone.
void pass_middlebox(const MiddleboxOptions& options, Duration age, Bytes& packet);

}  // namespace nearfield::sim::tcp
