// See http2_callbacks.h. nghttp2 knows plain pointers; here they become calls. Every callback may
// come in a connection that has failed already, and then does nothing.
#include "dataplane/proxy/http2_callbacks.h"

#include <array>
#include <cstdlib>
#include <new>
#include <string_view>

#include "cache/base/assert.h"

namespace nearfield::proxy {

struct Http2Callbacks {
  static Http2Session& session_of(void* user_data) {
    return *static_cast<Http2Session*>(user_data);
  }
  static std::string_view view(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
  }

  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user_data) {
    Http2Session& session = session_of(user_data);
    if (!session.failed_) session.frame_begins(head->type, head->flags, head->stream_id);
    return 0;
  }

  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Http2Session& session = session_of(user_data);
    if (session.failed_ || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
    return session.begin_request(frame->hd.stream_id) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t, void* user_data) {
    Http2Session& session = session_of(user_data);
    Http2Stream* stream = session.failed_ ? nullptr : session.find(frame->hd.stream_id);
    if (stream == nullptr) return 0;
    const bool trailer = frame->headers.cat != NGHTTP2_HCAT_REQUEST;
    return session.take_field(*stream, trailer, view(name, name_size), view(value, value_size));
  }

  // A field that is none: the library would leave it out; a request that has one is malformed (RFC
  // 9113 8.2.1).
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t*,
                               std::size_t, const std::uint8_t*, std::size_t, std::uint8_t,
                               void* user_data) {
    Http2Session& session = session_of(user_data);
    session.reset_stream(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }

  static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Http2Session& session = session_of(user_data);
    if (session.failed_) return 0;
    const bool ends_stream = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    switch (frame->hd.type) {
      case NGHTTP2_HEADERS: {
        session.header_block_since_ = {};
        Http2Stream* stream = session.find(frame->hd.stream_id);
        if (stream == nullptr) return 0;
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
          session.head_complete(*stream, ends_stream);
        else if (ends_stream)
          session.request_complete(*stream);
        return 0;
      }
      case NGHTTP2_DATA: {
        if (frame->hd.length == 0 && !ends_stream) session.charge_frame();
        Http2Stream* stream = session.find(frame->hd.stream_id);
        if (stream != nullptr && ends_stream) session.request_complete(*stream);
        return 0;
      }
      case NGHTTP2_SETTINGS:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
          session.settings_acknowledged_ = true;
        else
          session.settings_taken();
        return 0;
      case NGHTTP2_PING:
        if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) session.drain_finally();
        return 0;
      case NGHTTP2_GOAWAY:
        session.peer_leaves_ = true;
        return 0;
      default:
        return 0;
    }
  }

  // A frame that costs its stream only; those that cost the connection end it themselves.
  static int on_invalid_frame(nghttp2_session*, const nghttp2_frame* frame, int, void* user_data) {
    Http2Session& session = session_of(user_data);
    if (frame->hd.type == NGHTTP2_HEADERS) session.header_block_since_ = {};
    if (session.failed_) return 0;
    count(session.context_.counters.http2_streams_refused);
    // One that closes an open stream is paid for there. One that never was opened may get more
    // frames before its reset is sent.
    if (session.find(frame->hd.stream_id) == nullptr) {
      session.note_reset(frame->hd.stream_id);
      session.charge_reset();
    }
    return 0;
  }

  // A frame that cannot be: a head longer than the library sends, mostly.
  static int on_frame_not_send(nghttp2_session*, const nghttp2_frame* frame, int, void* user_data) {
    Http2Session& session = session_of(user_data);
    if (frame->hd.type == NGHTTP2_HEADERS && !session.failed_ &&
        session.find(frame->hd.stream_id) != nullptr)
      session.reset_stream(frame->hd.stream_id, NGHTTP2_INTERNAL_ERROR);
    return 0;
  }

  static int on_data_chunk(nghttp2_session*, std::uint8_t, std::int32_t stream_id,
                           const std::uint8_t* data, std::size_t size, void* user_data) {
    Http2Session& session = session_of(user_data);
    Http2Stream* stream = session.failed_ ? nullptr : session.find(stream_id);
    if (stream != nullptr)
      session.take_content(*stream, {reinterpret_cast<const std::byte*>(data), size});
    return 0;
  }

  static int on_stream_close(nghttp2_session*, std::int32_t stream_id, std::uint32_t error_code,
                             void* user_data) {
    session_of(user_data).stream_closed(stream_id, error_code);
    return 0;
  }

  static int on_frame_send(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Http2Session& session = session_of(user_data);
    switch (frame->hd.type) {
      case NGHTTP2_GOAWAY:
        // Ended by the library, which found the rule that was broken.
        if (frame->goaway.error_code != NGHTTP2_NO_ERROR && !std::exchange(session.failed_, true))
          count(session.context_.counters.http2_protocol_errors);
        return 0;
      case NGHTTP2_RST_STREAM:
        // Ours and the library's own.
        session.note_reset(frame->hd.stream_id);
        return 0;
      case NGHTTP2_HEADERS:
      case NGHTTP2_DATA: {
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
        // Answered before the request was whole: the rest is not wanted (RFC 9113 8.1).
        Http2Stream* stream = session.find(frame->hd.stream_id);
        if (stream != nullptr && !stream->request_ended)
          session.reset_stream(stream->id, NGHTTP2_NO_ERROR);
        return 0;
      }
      default:
        return 0;
    }
  }

  static nghttp2_ssize read_content(nghttp2_session*, std::int32_t, std::uint8_t*, std::size_t size,
                                    std::uint32_t* flags, nghttp2_data_source* source,
                                    void* user_data) {
    return static_cast<nghttp2_ssize>(
        session_of(user_data).read_content(*static_cast<Http2Stream*>(source->ptr), size, flags));
  }

  static int send_content(nghttp2_session*, nghttp2_frame*, const std::uint8_t* frame_head,
                          std::size_t size, nghttp2_data_source* source, void* user_data) {
    return session_of(user_data).send_content(*static_cast<Http2Stream*>(source->ptr), frame_head,
                                              size);
  }
};

namespace {

// The same for every session of the process; sessions copy it.
const nghttp2_session_callbacks* callbacks() {
  static const nghttp2_session_callbacks* const made = [] {
    nghttp2_session_callbacks* out = nullptr;
    if (nghttp2_session_callbacks_new(&out) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(out, Http2Callbacks::on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(out, Http2Callbacks::on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(out, Http2Callbacks::on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(out,
                                                             Http2Callbacks::on_invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(out, Http2Callbacks::on_frame_recv);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(out,
                                                                 Http2Callbacks::on_invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(out, Http2Callbacks::on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(out, Http2Callbacks::on_stream_close);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(out,
                                                             Http2Callbacks::on_frame_not_send);
    nghttp2_session_callbacks_set_on_frame_send_callback(out, Http2Callbacks::on_frame_send);
    nghttp2_session_callbacks_set_send_data_callback(out, Http2Callbacks::send_content);
    return out;
  }();
  return made;
}

}  // namespace

nghttp2_data_source_read_callback2 http2_content_callback() { return Http2Callbacks::read_content; }

nghttp2_mem hooks_of(Http2Memory& memory) {
  return {
      .mem_user_data = &memory,
      .malloc = [](std::size_t bytes,
                   void* self) { return static_cast<Http2Memory*>(self)->take(bytes); },
      .free = [](void* block, void* self) { static_cast<Http2Memory*>(self)->give_back(block); },
      .calloc = [](std::size_t count, std::size_t bytes,
                   void*) { return std::calloc(count, bytes); },
      .realloc = [](void* block, std::size_t bytes,
                    void* self) { return static_cast<Http2Memory*>(self)->resize(block, bytes); }};
}

nghttp2_session* make_http2_library(Http2Session& session, Http2Memory& memory,
                                    const Limits& limits) {
  nghttp2_option* option = nullptr;
  if (nghttp2_option_new(&option) != 0) throw std::bad_alloc();
  nghttp2_option_set_no_closed_streams(option, 1);
  // An origin's longest head (http/response_parser.h) and what we add.
  nghttp2_option_set_max_send_header_block_length(option, 256 * 1024);
  nghttp2_option_set_max_outbound_ack(option, limits.http2_acknowledgments);
  nghttp2_option_set_max_settings(option, limits.http2_settings);
  nghttp2_option_set_max_continuations(option, limits.http2_continuations);
  nghttp2_option_set_builtin_recv_extension_type(option, NGHTTP2_PRIORITY_UPDATE);
  // Http2Guard does this by our own clock; the library's would say INTERNAL_ERROR.
  constexpr std::uint64_t kNever = std::uint64_t{1} << 32;
  nghttp2_option_set_stream_reset_rate_limit(option, kNever, kNever);
  nghttp2_session* library = nullptr;
  nghttp2_mem hooks = hooks_of(memory);
  const int failure = nghttp2_session_server_new3(&library, callbacks(), &session, option, &hooks);
  nghttp2_option_del(option);
  if (failure != 0) throw std::bad_alloc();

  const std::array<nghttp2_settings_entry, 3> settings = {{
      {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.http2_streams},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.header_bytes},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},  // RFC 9218 2.1
  }};
  NEARFIELD_ASSERT(
      nghttp2_submit_settings(library, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  return library;
}

}  // namespace nearfield::proxy
