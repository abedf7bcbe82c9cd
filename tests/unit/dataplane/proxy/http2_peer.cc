// See http2_peer.h.
#include "tests/unit/dataplane/proxy/http2_peer.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::proxy::testing {

struct Http2PeerCallbacks {
  static Http2Peer& peer_of(void* user_data) { return *static_cast<Http2Peer*>(user_data); }

  static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                       std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                       std::uint8_t, void* user_data) {
    Http2Reply& reply = peer_of(user_data).replies_[frame->hd.stream_id];
    std::string key(reinterpret_cast<const char*>(name), name_size);
    std::string text(reinterpret_cast<const char*>(value), value_size);
    if (key == ":status") {
      const int status = std::atoi(text.c_str());
      if (status < 200) {
        reply.interim.push_back(status);
      } else {
        reply.status = status;
      }
    }
    reply.fields.emplace_back(std::move(key), std::move(text));
    return 0;
  }
  static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                     std::size_t size, void* user_data) {
    peer_of(user_data).replies_[id].body.append(reinterpret_cast<const char*>(data), size);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t error, void* user_data) {
    Http2Reply& reply = peer_of(user_data).replies_[id];
    reply.closed = true;
    reply.error = error;
    return 0;
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
    Http2Peer& peer = peer_of(user_data);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
      ++peer.goaways_;
      peer.goaway_code_ = frame->goaway.error_code;
      peer.goaway_last_stream_ = frame->goaway.last_stream_id;
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0)
      ++peer.pings_answered_;
    return 0;
  }
  static nghttp2_ssize read_body(nghttp2_session*, std::int32_t, std::uint8_t* buffer,
                                 std::size_t size, std::uint32_t* flags,
                                 nghttp2_data_source* source, void*) {
    auto& body = *static_cast<std::string*>(source->ptr);
    const std::size_t taken = std::min(size, body.size());
    std::memcpy(buffer, body.data(), taken);
    body.erase(0, taken);
    if (body.empty()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<nghttp2_ssize>(taken);
  }
};

std::string Http2Reply::field(std::string_view name) const {
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

std::string http2_frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                        std::string_view payload) {
  std::string out;
  for (int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift & 0xff);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift & 0xff);
  out += payload;
  return out;
}

Http2Peer::Http2Peer(ProxyFixture& node, const Options& options)
    : node_(node), connection_(node.client()) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, Http2PeerCallbacks::on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, Http2PeerCallbacks::on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, Http2PeerCallbacks::on_close);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, Http2PeerCallbacks::on_frame);
  nghttp2_option* option = nullptr;
  nghttp2_option_new(&option);
  nghttp2_option_set_no_auto_window_update(option, options.automatic_windows ? 0 : 1);
  nghttp2_session_client_new2(&library_, callbacks, this, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(callbacks);
  std::vector<nghttp2_settings_entry> settings;
  if (options.initial_window)
    settings.push_back({NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, *options.initial_window});
  nghttp2_submit_settings(library_, NGHTTP2_FLAG_NONE, settings.data(), settings.size());
  connection_->on_data = [this](sim::SimPeer& peer) {
    const std::string bytes = peer.take_received();
    nghttp2_session_mem_recv2(library_, reinterpret_cast<const std::uint8_t*>(bytes.data()),
                              bytes.size());
    flush();
  };
  flush();
}

Http2Peer::~Http2Peer() {
  connection_.reset();
  nghttp2_session_del(library_);
}

void Http2Peer::flush() {
  const std::uint8_t* bytes = nullptr;
  for (;;) {
    const nghttp2_ssize size = nghttp2_session_mem_send2(library_, &bytes);
    if (size <= 0) return;
    connection_->send({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
  }
}

std::int32_t Http2Peer::submit(const FieldList& fields, std::optional<std::string> body) {
  std::vector<nghttp2_nv> list;
  for (const auto& [name, value] : fields) {
    list.push_back({reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
                    reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
                    value.size(), NGHTTP2_NV_FLAG_NONE});
  }
  const std::int32_t next = static_cast<std::int32_t>(nghttp2_session_get_next_stream_id(library_));
  nghttp2_data_provider2 content{};
  if (body) {
    content.source.ptr = &(bodies_[next] = std::move(*body));
    content.read_callback = Http2PeerCallbacks::read_body;
  }
  const std::int32_t id = nghttp2_submit_request2(library_, nullptr, list.data(), list.size(),
                                                  body ? &content : nullptr, nullptr);
  NEARFIELD_ASSERT(id < 0 || id == next);
  flush();
  return id;
}

std::int32_t Http2Peer::ask(std::string_view method, std::string_view path, const FieldList& more,
                            std::optional<std::string> body) {
  FieldList fields = {{":method", std::string(method)},
                      {":scheme", "http"},
                      {":authority", "music.example"},
                      {":path", std::string(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return submit(fields, std::move(body));
}

std::int32_t Http2Peer::get(std::string_view path, const FieldList& more) {
  return ask("GET", path, more, std::nullopt);
}

void Http2Peer::cancel(std::int32_t stream) {
  nghttp2_submit_rst_stream(library_, NGHTTP2_FLAG_NONE, stream, NGHTTP2_CANCEL);
  flush();
}

void Http2Peer::allow(std::int32_t stream, std::int32_t bytes) {
  nghttp2_submit_window_update(library_, NGHTTP2_FLAG_NONE, stream, bytes);
  flush();
}

void Http2Peer::ping() {
  nghttp2_submit_ping(library_, NGHTTP2_FLAG_NONE, nullptr);
  flush();
}

Http2Reply& Http2Peer::wait(std::int32_t stream) {
  node_.run_until([&] { return replies_[stream].closed || over(); });
  return replies_[stream];
}

}  // namespace nearfield::proxy::testing
