// See http2_session.h. This file: the clocks. One timer for all of them: it wakes for the nearest
// deadline it was told of, looks at each, and is armed for the next.
#include <nghttp2/nghttp2.h>

#include <algorithm>

#include "dataplane/proxy/http2_session.h"

namespace nearfield::proxy {

namespace {

constexpr MonotonicTime kNever = MonotonicTime::max();
// Memory of a connection without work is given back after this, longer than players pause between
// segments (2 to 10 s). Giving it back and touching it again costs 3 us of CPU where the worker is
// the only thread that runs, but 31 us where another does (measured in a virtual machine of two
// processors, which makes the interrupt dear: 21 us here and 10 us there). At every segment that
// would be a tenth of what 1 MiB over TLS costs (docs/performance.md).
constexpr Duration kRestAfter = std::chrono::seconds(15);

}  // namespace

void Http2Session::expect(MonotonicTime deadline) {
  if (!timer_.armed() || timer_.deadline() > deadline) context_.reactor.arm(timer_, deadline);
}

// Nothing is asked and nothing is owed.
void Http2Session::begin_rest() {
  rest_at_ = context_.reactor.now() + kRestAfter;
  expect(std::min(rest_at_, quiet_since_ + limits().idle_timeout));
}

void Http2Session::wait_for(Http2Stream& stream, Http2Stream::Wait wait) {
  stream.wait = wait;
  Duration patience{};
  switch (wait) {
    case Http2Stream::Wait::head:
      patience = limits().header_timeout;
      break;
    case Http2Stream::Wait::body:
      patience = limits().body_timeout;
      break;
    case Http2Stream::Wait::response:
      patience = limits().response_timeout;
      break;
    case Http2Stream::Wait::sending:
      patience = limits().send_timeout;
      break;
  }
  stream.deadline = context_.reactor.now() + patience;
  expect(stream.deadline);
}

void Http2Session::on_timer() {
  const MonotonicTime now = context_.reactor.now();
  MonotonicTime next = check_connection(now);
  if (next == MonotonicTime{}) return;  // it is being reset
  for (std::size_t at = streams_.size(); at-- > 0 && !closing_;) {
    if (at < streams_.size()) next = std::min(next, check_stream(*streams_[at], now));
  }
  if (next != kNever) expect(next);
}

MonotonicTime Http2Session::check_connection(MonotonicTime now) {
  Counters& counters = context_.counters;
  MonotonicTime next = kNever;
  const auto is_due = [&](MonotonicTime deadline) {
    if (deadline <= now) return true;
    next = std::min(next, deadline);
    return false;
  };
  if (send_check_at_ != MonotonicTime{} && is_due(send_check_at_)) {
    if (pace_.too_slow(stream_, limits(), outstanding_bytes_)) {
      count(counters.timeout_send);
      stream_.abort();
      return {};
    }
    send_check_at_ = now + limits().send_timeout;
    next = std::min(next, send_check_at_);
  }
  if (closing_ || failed_) return next;
  if ((!settings_seen_ || !settings_acknowledged_) && is_due(began_ + limits().header_timeout)) {
    count(counters.timeout_header);
    fail(settings_seen_ ? NGHTTP2_SETTINGS_TIMEOUT : NGHTTP2_PROTOCOL_ERROR, nullptr);
  }
  if (header_block_since_ != MonotonicTime{} &&
      is_due(header_block_since_ + limits().header_timeout)) {
    count(counters.timeout_header);
    fail(NGHTTP2_ENHANCE_YOUR_CALM, nullptr);
  }
  if (drain_ == Drain::announced && is_due(drain_at_)) drain_finally();
  if (rest_at_ != MonotonicTime{} && is_due(rest_at_)) {
    rest_at_ = {};
    if (quiet() && nghttp2_session_want_write(library_) == 0 && memory_.forget_frame())
      count(counters.http2_rests);
  }
  if (quiet() && is_due(quiet_since_ + limits().idle_timeout)) {
    count(counters.timeout_idle);
    fail(NGHTTP2_NO_ERROR, nullptr);
  }
  return next;
}

MonotonicTime Http2Session::check_stream(Http2Stream& stream, MonotonicTime now) {
  if (stream.deadline > now) return stream.deadline;
  Counters& counters = context_.counters;
  switch (stream.wait) {
    case Http2Stream::Wait::head:
      // Its header block is the connection's matter.
      break;
    case Http2Stream::Wait::body:
      count(counters.timeout_body);
      refuse(stream, 408, "the request body took too long");
      return stream.deadline;
    case Http2Stream::Wait::response:
      if (stream.exchange.running() && stream.exchange.waiting_for_head())
        stream.exchange.give_up_waiting();
      break;
    case Http2Stream::Wait::sending: {
      const std::uint64_t progress = stream.moved_bytes - stream.moved_at_check;
      stream.moved_at_check = stream.moved_bytes;
      const bool has_content = stream.plan.size_bytes() > 0;
      // The window of the stream, or of the connection while nothing at all is owed.
      const bool shut = nghttp2_session_get_stream_remote_window_size(library_, stream.id) <= 0 ||
                        nghttp2_session_get_remote_window_size(library_) <= 0;
      if (has_content && shut && progress < expected_send_bytes(limits())) {
        count(counters.http2_stalled_streams);
        reset_stream(stream.id, NGHTTP2_CANCEL);
      } else if (!has_content && !stream.finished && progress == 0 &&
                 ++stream.stalled_checks > kStalledChecks) {
        // An origin's own time-outs come first, this is for what they do not see.
        count(counters.timeout_response);
        reset_stream(stream.id, NGHTTP2_INTERNAL_ERROR);
      } else if (progress > 0) {
        stream.stalled_checks = 0;
      }
      break;
    }
  }
  stream.deadline = now + limits().send_timeout;
  return stream.deadline;
}

void Http2Session::drain_finally() {
  if (drain_ != Drain::announced) return;
  drain_ = Drain::final;
  nghttp2_submit_goaway(library_, NGHTTP2_FLAG_NONE,
                        nghttp2_session_get_last_proc_stream_id(library_), NGHTTP2_NO_ERROR,
                        nullptr, 0);
  stream_.wake_sender();
}

}  // namespace nearfield::proxy
