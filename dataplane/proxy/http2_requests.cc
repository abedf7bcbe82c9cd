// See http2_session.h. This file: what is received, and what of it is refused.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "dataplane/http/forward.h"
#include "dataplane/proxy/http2_session.h"
#include "dataplane/proxy/request_work.h"
#include "dataplane/proxy/worker.h"

namespace nearfield::proxy {

namespace {

// A header block beyond header_bytes is read to its end, because the compression needs it, and
// answered with 431; one that does not end by this many times header_bytes, decoded, is an attack
// (a table entry costs one byte to repeat).
constexpr std::uint64_t kHeaderBombFactor = 8;

}  // namespace

bool Http2Session::begin_request(std::int32_t id) {
  if (id > last_stream_ + 2) {
    skipped_from_ = last_stream_ == 0 ? 1 : last_stream_ + 2;
    skipped_to_ = id - 2;
  }
  last_stream_ = std::max(last_stream_, id);
  count(context_.counters.http2_streams);
  guard_.earn_frames(limits(), 2);
  std::unique_ptr<Http2Stream> lent = owner_.lend_stream();
  Http2Stream& stream = *lent;
  stream.session = this;
  stream.id = id;
  stream.index = streams_.size();
  stream.exchange.bind(&stream, Exchange::Delivery::parts);
  stream.reader.begin(stream.head, request_limits(limits()),
                      secure_ ? http::Scheme::kHttps : http::Scheme::kHttp);
  wait_for(stream, Http2Stream::Wait::head);
  streams_.push_back(std::move(lent));
  return nghttp2_session_set_stream_user_data(library_, id, &stream) == 0;
}

int Http2Session::take_field(Http2Stream& stream, bool trailer, std::string_view name,
                             std::string_view value) {
  if (stream.reader.section_bytes() >
      kHeaderBombFactor * std::max<std::uint64_t>(limits().header_bytes, 1)) {
    fail(NGHTTP2_ENHANCE_YOUR_CALM, &context_.counters.http2_limit_headers);
    return 0;
  }
  if (trailer) {
    // Of no use here, but counted.
    stream.reader.skip(name, value);
    return name.starts_with(':') ? (reset_stream(stream.id, NGHTTP2_PROTOCOL_ERROR),
                                    NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE)
                                 : 0;
  }
  if (stream.reader.add(stream.head, name, value)) return 0;
  reset_stream(stream.id, NGHTTP2_PROTOCOL_ERROR);
  return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

void Http2Session::head_complete(Http2Stream& stream, bool ended) {
  ++requests_;
  stream.request_ended = ended;
  const std::uint32_t most = limits().requests_per_connection;
  if (most != 0 && requests_ >= most) drain();
  const http::RequestError wrong = stream.reader.finish(stream.head, ended);
  if (!wrong.reason.empty()) {
    count(wrong.status == 413 ? context_.counters.limit_request_body
                              : context_.counters.requests_malformed);
    refuse(stream, wrong.status, wrong.reason);
    return;
  }
  http::remove_hop_by_hop(stream.head.fields);
  if (!stream.exchange.open(stream.head, false)) {
    // Answered without its content (RFC 9113 8.1).
    stream.discarding = true;
    wait_for(stream, Http2Stream::Wait::response);
    return;
  }
  if (ended) {
    request_complete(stream);
    return;
  }
  wait_for(stream, Http2Stream::Wait::body);
  if (stream.head.expect_continue) submit_interim(stream.id, "HTTP/1.1 100 Continue\r\n\r\n");
}

void Http2Session::take_content(Http2Stream& stream, std::span<const std::byte> bytes) {
  if (stream.discarding || !stream.exchange.awaits_content()) return;
  if (stream.content.size_bytes() + bytes.size() > limits().request_body_bytes) {
    count(context_.counters.limit_request_body);
    refuse(stream, 413, "request body too large");
    return;
  }
  if (held_body_bytes_ + bytes.size() > limits().http2_body_bytes) {
    // Nothing was done with it yet: it may be asked again (RFC 9113 8.7).
    count(context_.counters.limit_request_bodies);
    drop_content(stream);
    reset_stream(stream.id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  if (!stream.content.append(bytes, context_.shared.held_request_bytes,
                             limits().held_request_bytes)) {
    count(context_.counters.limit_request_bodies);
    refuse(stream, 503, "this node holds as much content of requests as it may");
    return;
  }
  held_body_bytes_ += bytes.size();
}

void Http2Session::request_complete(Http2Stream& stream) {
  stream.request_ended = true;
  if (stream.discarding || !stream.exchange.awaits_content()) return;
  wait_for(stream, Http2Stream::Wait::response);
  held_body_bytes_ -= stream.content.size_bytes();
  stream.exchange.proceed(std::move(stream.content), false);
}

void Http2Session::drop_content(Http2Stream& stream) {
  held_body_bytes_ -= stream.content.size_bytes();
  stream.content.clear();
}

// An answer made here; what of the request still comes is dropped.
void Http2Session::refuse(Http2Stream& stream, std::uint16_t status, std::string_view reason) {
  if (stream.exchange.running() && !stream.exchange.awaits_content()) return;
  stream.discarding = true;
  drop_content(stream);
  wait_for(stream, Http2Stream::Wait::response);
  if (stream.exchange.awaits_content())
    stream.exchange.refuse_content(status, reason);
  else
    stream.exchange.start_error(&stream.head, status, reason);
}

void Http2Session::reset_stream(std::int32_t id, std::uint32_t error_code) {
  if (Http2Stream* stream = find(id)) stream->discarding = true;
  nghttp2_submit_rst_stream(library_, NGHTTP2_FLAG_NONE, id, error_code);
  stream_.wake_sender();
}

void Http2Session::note_reset(std::int32_t id) {
  if (is_reset_here(id)) return;
  if (!reset_here_) reset_here_ = std::make_unique<std::array<std::int32_t, 128>>();
  (*reset_here_)[reset_here_next_++ % reset_here_->size()] = id;
}

bool Http2Session::is_reset_here(std::int32_t id) const {
  return reset_here_ && std::ranges::find(*reset_here_, id) != reset_here_->end();
}

void Http2Session::stream_closed(std::int32_t id, std::uint32_t error_code) {
  Http2Stream* stream = find(id);
  if (stream == nullptr) return;
  const bool whole = stream->finished && stream->plan.size_bytes() == 0;
  if (!whole && !is_reset_here(id) && error_code != NGHTTP2_NO_ERROR)
    count(context_.counters.http2_streams_reset);
  end_stream(*stream, !whole);
  // Whoever opens streams and never lets them end pays for it, whether the listener resets them
  // (CVE-2023-44487) or makes us do it. Our own failures are not its fault.
  if (error_code != NGHTTP2_NO_ERROR && error_code != NGHTTP2_INTERNAL_ERROR && !whole)
    charge_reset();
}

void Http2Session::charge_frame() {
  if (!guard_.allow_frame(limits(), context_.reactor.now()))
    fail(NGHTTP2_ENHANCE_YOUR_CALM, &context_.counters.http2_limit_frames);
}

void Http2Session::charge_reset() {
  if (!guard_.allow_reset(limits(), context_.reactor.now()))
    fail(NGHTTP2_ENHANCE_YOUR_CALM, &context_.counters.http2_limit_resets);
}

bool Http2Session::watches(std::uint8_t type) {
  return type == NGHTTP2_DATA || type == NGHTTP2_PRIORITY ||
         (type > NGHTTP2_CONTINUATION && type != NGHTTP2_PRIORITY_UPDATE);
}

void Http2Session::judge_frame(const Http2FrameWatch::Head& head) {
  switch (head.type) {
    case NGHTTP2_DATA:
      judge_closed(head.type, head.stream);
      return;
    case NGHTTP2_PRIORITY:
      // Of no effect any more, but it may neither be about the connection nor depend on itself (RFC
      // 9113 6.3, RFC 7540 5.3.1).
      if (head.stream == 0 || head.depends_on == head.stream)
        fail(NGHTTP2_PROTOCOL_ERROR, &context_.counters.http2_protocol_errors);
      return;
    default:
      charge_frame();
      return;
  }
}

void Http2Session::frame_begins(std::uint8_t type, std::uint8_t flags, std::int32_t id) {
  switch (type) {
    case NGHTTP2_HEADERS:
      header_block_since_ = context_.reactor.now();
      expect(header_block_since_ + limits().header_timeout);
      judge_closed(type, id);
      return;
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_DATA:
      return;
    case NGHTTP2_SETTINGS:
      charge_frame();
      if (failed_ || (flags & NGHTTP2_FLAG_ACK) != 0) return;
      // Until all of the values are there content may be sent and streams may end: feed() looks
      // again.
      settings_open_ = true;
      note_windows();
      return;
    default:
      charge_frame();
      return;
  }
}

std::int64_t Http2Session::initial_window() const {
  return nghttp2_session_get_remote_settings(library_, NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE);
}

void Http2Session::note_windows() {
  std::int64_t widest = 0;
  for (const std::unique_ptr<Http2Stream>& each : streams_) {
    widest = std::max<std::int64_t>(
        widest, nghttp2_session_get_stream_remote_window_size(library_, each->id));
  }
  above_initial_window_ = widest - initial_window();
}

// The library resets a stream whose window they would make too large; RFC 9113 6.9.2 ends the
// connection.
void Http2Session::settings_taken() {
  settings_seen_ = true;
  settings_open_ = false;
  if (!streams_.empty() && initial_window() + above_initial_window_ > INT32_MAX)
    fail(NGHTTP2_FLOW_CONTROL_ERROR, &context_.counters.http2_protocol_errors);
}

// A frame for a stream that is over. The library remembers no such stream and lets the frame pass;
// RFC 9113 5.1 and 5.1.1 do not, but for streams that were reset from here, whose listener may not
// know yet.
void Http2Session::judge_closed(std::uint8_t type, std::int32_t id) {
  if (id <= 0 || id % 2 == 0 || id > last_stream_ || find(id) != nullptr) return;
  if (is_reset_here(id)) return;
  const bool skipped = skipped_from_ != 0 && id >= skipped_from_ && id <= skipped_to_;
  if (skipped && type == NGHTTP2_DATA) return;
  fail(skipped ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_STREAM_CLOSED,
       &context_.counters.http2_protocol_errors);
}

}  // namespace nearfield::proxy
