// Http2Guard: what one HTTP/2 connection may ask of us without wanting anything: streams it opens
// and resets, frames that carry no request. Two buckets; requests and data we send earn frames, so
// that a listener who acknowledges each frame with window updates never runs dry. Time is a
// parameter.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cache/base/clock.h"
#include "dataplane/proxy/limits.h"

namespace nearfield::proxy {

class Http2Guard {
 public:
  Http2Guard(const Limits& limits, MonotonicTime now)
      : resets_{limits.http2_resets_burst, now}, frames_{limits.http2_frames_burst, now} {}

  // False: one too many.
  bool allow_reset(const Limits& limits, MonotonicTime now) {
    return resets_.take(limits.http2_resets_per_second, limits.http2_resets_burst, now);
  }
  bool allow_frame(const Limits& limits, MonotonicTime now) {
    return frames_.take(limits.http2_frames_per_second, limits.http2_frames_burst, now);
  }
  // Each DATA frame we send is worth four: window updates of stream and connection, twice over.
  void earn_frames(const Limits& limits, std::uint32_t frames = 4) {
    frames_.credit = std::min(frames_.credit + frames, limits.http2_frames_burst);
  }

 private:
  struct Bucket {
    std::uint32_t credit;
    MonotonicTime filled_at;

    bool take(std::uint32_t per_second, std::uint32_t burst, MonotonicTime now) {
      if (credit == 0) {
        const std::uint64_t earned =
            static_cast<std::uint64_t>(
                std::chrono::duration_cast<std::chrono::milliseconds>(now - filled_at).count()) *
            per_second / 1000;
        if (earned == 0) return false;
        credit = static_cast<std::uint32_t>(std::min<std::uint64_t>(earned, burst));
        filled_at = now;
      }
      --credit;
      return true;
    }
  };
  Bucket resets_;
  Bucket frames_;
};

}  // namespace nearfield::proxy
