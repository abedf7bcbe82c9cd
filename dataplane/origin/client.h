// OriginClient: makes one request to an origin, reliably and within bounds, and hands the response
// up as it arrives.
//
// It knows connections, time-outs, several origins and when a retry is safe; it knows nothing of
// caching. Resuming a broken body is its caller's business (only the caller knows what it has
// already). One client a worker; all calls on that worker's thread. The health of origins is shared
// by the workers of a process (OriginHealth).
//
// Bounds: connections per origin and idle ones kept, calls waiting for a connection, header bytes
// and count, every wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "cache/base/clock.h"
#include "dataplane/http/fields.h"
#include "dataplane/http/response_head.h"

namespace nearfield::origin {

struct OriginRequest {
  std::string method;
  std::string authority;  // as the listener asked (Host), lower case: chooses the origin group and
                          // its Host mapping
  std::string path_and_query;  // begins with '/', or "*" for OPTIONS *
  http::Fields fields;  // end-to-end fields; Host, Connection and framing are the client's own
  std::string
      body;  // whole; sent with Content-Length when not empty or when the method implies one
  bool idempotent = false;  // may be sent again if a connection broke before any byte of its
                            // response (RFC 9110 9.2.2)
};

enum class OriginFailureKind {
  no_origin,    // no group for this authority                              -> 502 (421 by
                // configuration)
  unreachable,  // refused, unroutable, name not resolved, all unhealthy    -> 502
  timed_out,    // connect, first byte or idle time-out                     -> 504
  broken,       // connection ended before the response head or inside the body
  malformed,    // not HTTP, ambiguous framing, over the limits             -> 502
  overloaded    // too many calls wait for this origin                      -> 503
};

struct OriginFailure {
  OriginFailureKind kind;
  std::string message;  // which origin, what happened; for the log
};

// What hears about a call. on_failure or on_complete is last, exactly once, never from within
// start(). After cancel() nothing is heard.
class OriginObserver {
 public:
  virtual void on_interim(const http::ResponseHead& head) { (void)head; }  // 1xx other than 100
  virtual void on_head(http::ResponseHead&& head) = 0;
  // Decoded body bytes in order (chunked framing removed). Returns how many are taken; fewer pauses
  // until OriginCall::resume().
  virtual std::size_t on_body(std::span<const std::byte> bytes) = 0;
  // The response is whole: its length was reached, the last chunk came, or (no length given) the
  // origin closed in order.
  virtual void on_complete(http::Fields&& trailers) = 0;
  // A body that ended early is a failure (broken), even if it began well.
  virtual void on_failure(const OriginFailure& failure) = 0;

 protected:
  ~OriginObserver() = default;
};

class OriginCall {
 public:
  virtual ~OriginCall() =
      default;  // cancels when not finished; the connection is kept only if that is cheap
  virtual void resume() = 0;
  virtual std::string_view origin_name() const = 0;  // for logs; empty until chosen
};

class OriginClient {
 public:
  virtual ~OriginClient() = default;
  // Never null; failures arrive through the observer.
  virtual std::unique_ptr<OriginCall> start(OriginRequest request, OriginObserver& observer) = 0;
};

}  // namespace nearfield::origin
