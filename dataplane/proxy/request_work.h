// RequestWork: what a connection needs while a request is read and answered, and not a moment
// longer: parser, body, exchange. Lent by the worker, which keeps a bounded number for the next
// ones, so that parsers and heads are not allocated anew per request.
#pragma once

#include <memory>
#include <string>

#include "dataplane/http/request_parser.h"
#include "dataplane/proxy/exchange.h"

namespace nearfield::proxy {

struct RequestWork {
  RequestWork(WorkerContext& worker, const http::RequestLimits& limits)
      : made_for(worker.settings), parser(limits), exchange(worker) {}

  // As new, but with its memory.
  void reset() {
    parser.reset();
    body.clear();
    exchange.bind(nullptr);
  }

  // Its parser has the limits of these settings.
  std::shared_ptr<const Settings> made_for;
  http::RequestParser parser;
  std::string body;
  Exchange exchange;
};

}  // namespace nearfield::proxy
