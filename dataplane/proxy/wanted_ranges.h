// WantedRanges: which bytes of a stored response a request needs: nothing (a condition spares the
// body), the whole, or ranges of it. One place decides, because what is asked of the fetch and what
// is sent must agree.
#pragma once

#include <cstdint>

#include "cache/base/clock.h"
#include "cache/blob.h"
#include "dataplane/http/range.h"
#include "dataplane/http/request_head.h"
#include "dataplane/proxy/limits.h"
#include "dataplane/proxy/stored_response.h"

namespace nearfield::proxy {

class WantedRanges {
 public:
  enum class Kind : std::uint8_t {
    nothing,       // HEAD, or a precondition that is not met
    whole,         //
    ranges,        // answer 206
    unsatisfiable  // answer 416
  };

  WantedRanges(const http::RequestHead& request, const StoredResponse& stored,
               const cache::Blob& blob, WallTime now, const Limits& limits);

  Kind kind() const { return kind_; }
  http::Precondition precondition() const { return precondition_; }
  const http::RangeSet& ranges() const { return ranges_; }
  std::uint64_t first_byte() const { return kind_ == Kind::ranges ? ranges_.ranges[0].first : 0; }

  // One range with a place that can be asked of an origin as it stands.
  static bool is_single(const http::RequestHead& request);

 private:
  Kind kind_ = Kind::whole;
  http::Precondition precondition_ = http::Precondition::kServe;
  http::RangeSet ranges_;
};

}  // namespace nearfield::proxy
