// Http2Session: one listener's HTTP/2 connection (RFC 9113): nghttp2 reads and writes frames, each
// request gets a stream with an exchange of its own, and content goes from the exchanges' plans
// into the connection's without being copied.
//
// Invariants: no more than kTurnBytes are queued each time the transport asks, so that priorities
// (RFC 9218) decide late; what one listener can make us hold is bounded by limits.h; whatever a
// listener does wrong costs a stream or the connection, said with the code of RFC 9113 7, never
// anyone else. The awkward parts: nghttp2 forgets a stream once it is closed, so frames that come
// for one are judged here; cached bytes may be forgotten once they are released, which is known for
// the connection as a whole and told apart again by order. One thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/net/stream.h"
#include "dataplane/net/timer.h"
#include "dataplane/proxy/http2_frame_watch.h"
#include "dataplane/proxy/http2_guard.h"
#include "dataplane/proxy/http2_memory.h"
#include "dataplane/proxy/http2_stream.h"
#include "dataplane/proxy/reading_pace.h"
#include "dataplane/proxy/session.h"

struct nghttp2_session;

namespace nearfield::proxy {

class Http2Session {
 public:
  // `secure`: requests are for https. The preface is still to come through on_receive().
  Http2Session(WorkerContext& context, SessionOwner& owner, net::Stream& stream, bool secure);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  // As net::StreamHandler; the Session hands them on.
  std::size_t on_receive(std::span<const std::byte> bytes);
  void on_receive_end();
  void on_send_ready(net::SendPlan& plan);
  void on_released(std::uint64_t bytes);
  void on_closed();

  // GOAWAY now for what is not sent yet, a second one for what is not begun a round trip later
  // (RFC 9113 6.8); then the streams under way end, then the connection.
  void drain();

  // --- of its streams ---
  void stream_has_more(Http2Stream& stream);
  const net::Endpoint& peer() const { return stream_.peer(); }
  const net::StreamSecurity* security() const { return stream_.security(); }

 private:
  friend struct Http2Callbacks;
  enum class Drain : std::uint8_t { no, announced, final };
  // Of content in the connection's plan: whose, where a cache reader waits for its release.
  struct Queued {
    std::int32_t stream;
    std::uint64_t end;  // counted from the connection's first byte
    std::uint64_t bytes;
  };
  // Readers of streams that ended, until what they read is released.
  struct Lingering {
    std::uint64_t end;
    std::vector<cache::BlobReader> readers;
  };

  // http2_session.cc
  void feed(std::span<const std::byte> bytes);
  void prepare_streams();
  void submit_head(Http2Stream& stream);
  void submit_interim(std::int32_t id, std::string_view heads);
  std::int64_t read_content(Http2Stream& stream, std::size_t most, std::uint32_t* flags);
  int send_content(Http2Stream& stream, const std::uint8_t* frame_head, std::size_t bytes);
  void end_stream(Http2Stream& stream, bool cut_short);
  void forget_ready(Http2Stream& stream);
  Http2Stream* find(std::int32_t id);

  // http2_requests.cc
  bool begin_request(std::int32_t id);
  int take_field(Http2Stream& stream, bool trailer, std::string_view name, std::string_view value);
  void head_complete(Http2Stream& stream, bool ended);
  void take_content(Http2Stream& stream, std::span<const std::byte> bytes);
  void request_complete(Http2Stream& stream);
  void refuse(Http2Stream& stream, std::uint16_t status, std::string_view reason);
  void drop_content(Http2Stream& stream);
  void reset_stream(std::int32_t id, std::uint32_t error_code);
  void note_reset(std::int32_t id);
  bool is_reset_here(std::int32_t id) const;
  static bool watches(std::uint8_t type);
  void judge_frame(const Http2FrameWatch::Head& head);
  void frame_begins(std::uint8_t type, std::uint8_t flags, std::int32_t id);
  void judge_closed(std::uint8_t type, std::int32_t id);
  std::int64_t initial_window() const;
  void note_windows();
  void settings_taken();
  void charge_frame();
  void charge_reset();
  void stream_closed(std::int32_t id, std::uint32_t error_code);

  // http2_clock.cc
  void expect(MonotonicTime deadline);
  void begin_rest();
  void wait_for(Http2Stream& stream, Http2Stream::Wait wait);
  void on_timer();
  MonotonicTime check_connection(MonotonicTime now);
  MonotonicTime check_stream(Http2Stream& stream, MonotonicTime now);
  void drain_finally();

  // The connection ends with GOAWAY and this code. `count`: why, may be null.
  void fail(std::uint32_t error_code, std::atomic<std::uint64_t>* why);
  void close();
  void close_if_done();
  bool quiet() const { return streams_.empty() && outstanding_bytes_ == 0; }
  const Limits& limits() const { return context_.settings->limits; }

  WorkerContext& context_;
  SessionOwner& owner_;
  net::Stream& stream_;
  Http2Memory memory_;
  nghttp2_session* library_ = nullptr;
  net::Timer timer_;
  net::SendPlan* plan_ = nullptr;  // while the transport asks
  std::uint64_t plan_limit_bytes_ = 0;
  std::vector<std::unique_ptr<Http2Stream>> streams_;
  std::vector<Http2Stream*> ready_;
  std::vector<Queued> queued_;
  std::size_t queued_first_ = 0;
  std::vector<Lingering> lingering_;
  std::uint64_t appended_total_ = 0;
  std::uint64_t released_total_ = 0;
  std::uint64_t outstanding_bytes_ = 0;
  std::uint64_t content_end_ = 0;  // of the last content of a stream, counted as appended_total_
  std::uint64_t held_body_bytes_ = 0;  // of requests, in all streams

  Http2FrameWatch watch_;
  bool block_ends_ = true;  // the last frame of a header block has begun
  Http2Guard guard_;
  ReadingPace pace_;
  MonotonicTime began_{};
  MonotonicTime quiet_since_{};
  MonotonicTime rest_at_{};             // {}: has begun, or is not due
  MonotonicTime send_check_at_{};       // {}: nothing is owed
  MonotonicTime header_block_since_{};  // {}: none is open
  MonotonicTime drain_at_{};
  std::uint32_t requests_ = 0;
  std::int32_t last_stream_ = 0;   // highest the listener opened
  std::int32_t skipped_from_ = 0;  // the last identifiers it left out, both included; 0: none
  std::int32_t skipped_to_ = 0;
  std::int64_t above_initial_window_ = 0;  // the widest window of a stream, while SETTINGS are read
  std::uint32_t reset_here_next_ = 0;
  // The last streams that were reset from here, by us or by the library: frames for them may be on
  // the way. Null: none.
  std::unique_ptr<std::array<std::int32_t, 128>> reset_here_;
  Drain drain_ = Drain::no;
  bool secure_ = false;
  bool settings_seen_ = false;
  bool settings_open_ = false;  // the head of some was read, their values were not
  bool settings_acknowledged_ = false;
  bool failed_ = false;       // a last GOAWAY is on its way; nothing more is read
  bool peer_leaves_ = false;  // GOAWAY or FIN from the listener
  bool closing_ = false;
};

}  // namespace nearfield::proxy
