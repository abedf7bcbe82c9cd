// RequestWork: what a connection needs while a request is read and answered, and not a moment
// longer: parser, content, exchange. Lent by the worker, which keeps a bounded number for the next
// ones, so that parsers and heads are not allocated anew per request.
#pragma once

#include <memory>

#include "dataplane/http/request_parser.h"
#include "dataplane/proxy/exchange.h"
#include "dataplane/proxy/request_content.h"

namespace nearfield::proxy {

// What the reader of a request may take.
inline http::RequestLimits request_limits(const Limits& limits) {
  http::RequestLimits out;
  out.max_head_bytes = limits.header_bytes;
  out.max_target_bytes = limits.target_bytes;
  out.max_field_count = limits.header_count;
  out.max_body_bytes = limits.request_body_bytes;
  return out;
}

struct RequestWork {
  RequestWork(WorkerContext& worker, const http::RequestLimits& limits)
      : made_for(worker.settings), parser(limits), exchange(worker) {}

  // As new, but with its memory.
  void reset() {
    parser.reset();
    content.clear();
    exchange.bind(nullptr);
  }

  // Its parser has the limits of these settings.
  std::shared_ptr<const Settings> made_for;
  http::RequestParser parser;
  RequestContent content;
  Exchange exchange;
};

}  // namespace nearfield::proxy
