// Http2Stream: one request of an HTTP/2 connection from its first field to the last byte of its
// response: the head being read, the content that came with it, the exchange that answers, and the
// plan in which the exchange collects content until frames take it from there.
//
// Opened and closed by its Http2Session, which does all that concerns frames; lent by the worker
// and reused. One thread.
#pragma once

#include <cstdint>

#include "dataplane/http/http2_request.h"
#include "dataplane/net/send_plan.h"
#include "dataplane/proxy/exchange.h"
#include "dataplane/proxy/request_content.h"

namespace nearfield::proxy {

class Http2Session;

class Http2Stream final : public Exchange::Host {
 public:
  explicit Http2Stream(WorkerContext& worker) : exchange(worker) {}

  void exchange_has_more() override;
  const net::Endpoint& exchange_peer() const override;
  const net::StreamSecurity* exchange_security() const override;

  // As new, but with its memory.
  void reset() {
    exchange.bind(nullptr);
    session = nullptr;
    content.clear();
    plan.clear();
    ready = request_ended = discarding = head_sent = finished = false;
    queued_bytes = moved_bytes = moved_at_check = 0;
    stalled_checks = 0;
  }

  enum class Wait : std::uint8_t { head, body, response, sending };

  Http2Session* session = nullptr;
  std::int32_t id = 0;
  std::size_t index = 0;  // place in the session's list
  Wait wait = Wait::head;
  bool ready = false;          // in the session's list of those who have something new
  bool request_ended = false;  // END_STREAM came
  bool discarding = false;     // answered or reset: what still comes of its content is dropped
  bool head_sent = false;
  bool finished = false;  // all of the response is in the plan, or was
  std::uint32_t stalled_checks = 0;
  MonotonicTime deadline{};
  std::uint64_t queued_bytes = 0;  // of content in the connection's plan, where that matters
  std::uint64_t moved_bytes = 0;   // of content, into frames
  std::uint64_t moved_at_check = 0;

  http::RequestHead head;
  http::Http2RequestReader reader;
  RequestContent content;
  net::SendPlan plan;
  Exchange exchange;
};

}  // namespace nearfield::proxy
