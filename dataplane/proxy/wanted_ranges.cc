// See wanted_ranges.h.
#include "dataplane/proxy/wanted_ranges.h"

#include "dataplane/http/conditional.h"

namespace nearfield::proxy {

WantedRanges::WantedRanges(const http::RequestHead& request, const StoredResponse& stored,
                           const cache::Blob& blob, WallTime now, const Limits& limits) {
  const bool is_get = request.method == http::Method::kGet;
  if (!is_get && request.method != http::Method::kHead) return;
  if (stored.status() != 200) {
    if (!is_get) kind_ = Kind::nothing;
    return;
  }
  if (http::has_preconditions(request.fields)) {
    precondition_ = http::evaluate_preconditions(request.fields, stored.validators(), now);
    if (precondition_ != http::Precondition::kServe) {
      kind_ = Kind::nothing;
      return;
    }
  }
  if (!is_get) {
    kind_ = Kind::nothing;
    return;
  }
  const auto text = request.fields.find("Range");
  if (!text || request.fields.count("Range") != 1) return;
  // While the length is not known no range can be resolved; the whole answers as well (RFC
  // 9110 14.2).
  const auto total = blob.total_bytes();
  if (!total || !http::if_range_holds(request.fields, stored.validators(), now)) return;
  const auto parsed = http::parse_range(*text);
  if (!parsed || parsed->count > limits.ranges_per_request) return;
  ranges_ = http::resolve_ranges(*parsed, *total);
  // Several ranges may go back and forth; a body that is not kept can only be read forwards.
  if (ranges_.count > 1 && blob.kind() == cache::Blob::Kind::streaming) return;
  kind_ = ranges_.count == 0 ? Kind::unsatisfiable : Kind::ranges;
}

bool WantedRanges::is_single(const http::RequestHead& request) {
  if (request.fields.count("Range") != 1) return false;
  const auto parsed = http::parse_range(*request.fields.find("Range"));
  return parsed && parsed->count == 1;
}

}  // namespace nearfield::proxy
