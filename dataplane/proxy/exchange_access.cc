// See exchange.h. This file: who may listen (dataplane/access), before anything else is decided.
//
// Invariant: what may be a token leaves the request here, before it is a cache key, is forwarded or
// is logged. Whoever is refused sees one answer, whatever the reason.
#include <algorithm>
#include <utility>

#include "dataplane/proxy/exchange.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

bool Exchange::admit(http::RequestHead& head) {
  if (settings_->access->is_open()) return true;
  access::Decision decision = context_.access.check(
      {.method = head.method_text,
       .scheme = head.scheme,
       .authority = head.authority,
       .target = head.target,
       .fields = &head.fields,
       .client = host_->exchange_peer().address,
       .now = context_.reactor.wall_now(),
       .monotonic_now = context_.reactor.now(),
       .clock_synchronised = context_.shared.clock_synchronised.load(std::memory_order_relaxed)});
  if (decision.target.size() != head.target.size()) {
    head.target = std::string(decision.target);
    head.path_size =
        static_cast<std::uint32_t>(std::min(head.target.find('?'), head.target.size()));
  }
  if (decision.token_in_fields) access::remove_token_fields(*settings_->access, head.fields);
  if (!decision.allowed()) {
    answer_refused(decision.status());
    return false;
  }
  renewals_ = std::move(decision.renewals);
  return true;
}

void Exchange::answer_refused(std::uint16_t status) {
  begin_head(status);
  append_field("Cache-Control", "no-store");
  if (status == 503) append_field("Retry-After", "1");
  append_length(0);
  feeder_.start_empty();
  finish_head(nullptr);
}

// A request that ended before admit() may still have its token in the path, and one that no rule is
// for or that spells it in its own way has it there for good.
std::string_view Exchange::logged_path(std::string& cleaned) const {
  return access::loggable(*settings_->access, request_->path(), cleaned);
}

}  // namespace nearfield::proxy
