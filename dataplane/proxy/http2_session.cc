// See http2_session.h. This file: the connection's life and what is sent.
#include "dataplane/proxy/http2_session.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <utility>

#include "cache/base/assert.h"
#include "cache/base/take_out.h"
#include "dataplane/http/fields.h"
#include "dataplane/proxy/http2_callbacks.h"

namespace nearfield::proxy {

namespace {

// Queued at once beyond what the plan holds: eight full frames. The transport asks again when it
// runs low, so this bounds what a more urgent stream has to wait for, not the throughput.
constexpr std::uint64_t kTurnBytes = 128 * 1024;
// A frame needs a piece for its head and some for its content.
constexpr std::size_t kPiecesPerFrame = 8;
// Streams of content whose readers wait; a listener whose acknowledgments do not come is asked for
// no more than this.
constexpr std::size_t kMaximumQueued = 1024;
// Of one entry: readers move on when it is released.
constexpr std::uint64_t kQueuedBytes = 64 * 1024;
// Less content than this in a frame earns its listener nothing.
constexpr std::size_t kCrumbBytes = 1024;

nghttp2_nv field(std::string_view name, std::string_view value) {
  // The library copies both, and the name in lower case (RFC 9113 8.2.1).
  return {reinterpret_cast<std::uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<std::uint8_t*>(const_cast<char*>(value.data())), name.size(),
          value.size(), NGHTTP2_NV_FLAG_NONE};
}

// The lines of "HTTP/1.1 200 OK\r\nName: value\r\n..." as fields of a HEADERS frame. The views
// point into `text`.
void append_fields(std::vector<nghttp2_nv>& out, std::string_view text) {
  NEARFIELD_ASSERT(text.size() >= 12);
  out.push_back(field(":status", text.substr(9, 3)));
  text.remove_prefix(text.find('\n') + 1);
  http::Fields::Iterator at(text);
  const http::Fields::Iterator end(text.substr(text.size()));
  for (; !(at == end); ++at) out.push_back(field(at->name, at->value));
}

// Reused by every head of a thread.
std::vector<nghttp2_nv>& scratch_fields() {
  thread_local std::vector<nghttp2_nv> fields;
  fields.clear();
  return fields;
}

}  // namespace

Http2Session::Http2Session(WorkerContext& context, SessionOwner& owner, net::Stream& stream,
                           bool secure)
    : context_(context),
      owner_(owner),
      stream_(stream),
      memory_(context.http2_frames),
      timer_([](void* self) { static_cast<Http2Session*>(self)->on_timer(); }, this),
      guard_(context.settings->limits, context.reactor.now()),
      began_(context.reactor.now()),
      quiet_since_(began_),
      secure_(secure) {
  library_ = make_http2_library(*this, memory_, limits());
  count(context_.counters.http2_connections);
  expect(began_ + limits().header_timeout);
  stream_.wake_sender();  // our SETTINGS
}

Http2Session::~Http2Session() { nghttp2_session_del(library_); }

std::size_t Http2Session::on_receive(std::span<const std::byte> bytes) {
  // The library gets what came in as few pieces as can be, but all before a frame that is judged.
  std::size_t given = 0;
  for (std::size_t at = 0; at < bytes.size() && !failed_ && !closing_;) {
    std::size_t taken = 0;
    Http2FrameWatch::Head head;
    const bool is_head = watch_.next(bytes.subspan(at), &taken, &head);
    if (is_head && (head.type == NGHTTP2_HEADERS || head.type == NGHTTP2_CONTINUATION))
      block_ends_ = (head.flags & NGHTTP2_FLAG_END_HEADERS) != 0;
    if (is_head && watches(head.type)) {
      if (at > given) feed(bytes.subspan(given, at - given));
      given = at;
      if (!failed_) judge_frame(head);
    }
    at += taken;
  }
  if (given < bytes.size() && !failed_ && !closing_) feed(bytes.subspan(given));
  // The library says nothing of a block that it read and ignored.
  if (block_ends_ && watch_.is_between()) header_block_since_ = {};
  stream_.wake_sender();
  return bytes.size();
}

void Http2Session::feed(std::span<const std::byte> bytes) {
  if (settings_open_) note_windows();
  const nghttp2_ssize taken = nghttp2_session_mem_recv2(
      library_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  Counters& counters = context_.counters;
  if (taken < 0 && !failed_) {
    switch (taken) {
      case NGHTTP2_ERR_FLOODED:
      case NGHTTP2_ERR_TOO_MANY_SETTINGS:
        fail(NGHTTP2_ENHANCE_YOUR_CALM, &counters.http2_limit_frames);
        break;
      case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
        fail(NGHTTP2_ENHANCE_YOUR_CALM, &counters.http2_limit_headers);
        break;
      default:
        fail(NGHTTP2_PROTOCOL_ERROR, &counters.http2_protocol_errors);
        break;
    }
  }
}

void Http2Session::on_receive_end() {
  peer_leaves_ = true;
  // Requests that are not whole will never be; those that are may still be answered.
  for (std::size_t at = streams_.size(); at-- > 0;) {
    if (!streams_[at]->request_ended) reset_stream(streams_[at]->id, NGHTTP2_CANCEL);
  }
  stream_.wake_sender();
}

void Http2Session::on_closed() {
  closing_ = true;
  context_.reactor.cancel(timer_);
  while (!streams_.empty()) end_stream(*streams_.back(), true);
}

void Http2Session::drain() {
  if (drain_ != Drain::no || closing_) return;
  drain_ = Drain::announced;
  nghttp2_submit_shutdown_notice(library_);
  // What follows its answer was sent by one who has read the notice.
  nghttp2_submit_ping(library_, NGHTTP2_FLAG_NONE, nullptr);
  drain_at_ = context_.reactor.now() + std::chrono::seconds(1);
  expect(drain_at_);
  stream_.wake_sender();
}

void Http2Session::fail(std::uint32_t error_code, std::atomic<std::uint64_t>* why) {
  if (std::exchange(failed_, true)) return;
  if (why != nullptr) count(*why);
  nghttp2_session_terminate_session(library_, error_code);
  stream_.wake_sender();
}

void Http2Session::close() {
  if (std::exchange(closing_, true)) return;
  while (!streams_.empty()) end_stream(*streams_.back(), true);
  send_check_at_ = context_.reactor.now() + limits().send_timeout;
  pace_.restart();
  expect(send_check_at_);
  stream_.close_after_send();
}

void Http2Session::close_if_done() {
  if (closing_ || nghttp2_session_want_write(library_) != 0) return;
  const bool over = nghttp2_session_want_read(library_) == 0;
  const bool left = streams_.empty() && (peer_leaves_ || drain_ == Drain::final);
  if (over || left) close();
}

// --- sending ---

void Http2Session::stream_has_more(Http2Stream& stream) {
  if (closing_) return;
  if (!std::exchange(stream.ready, true)) ready_.push_back(&stream);
  stream_.wake_sender();
}

void Http2Session::on_send_ready(net::SendPlan& plan) {
  if (closing_) return;
  const std::uint64_t before = plan.size_bytes();
  plan_ = &plan;
  plan_limit_bytes_ = before + kTurnBytes;
  for (;;) {
    prepare_streams();
    if (plan.room() < kPiecesPerFrame || plan.size_bytes() >= plan_limit_bytes_) break;
    const std::uint64_t plan_before = plan.size_bytes();
    const std::uint8_t* bytes = nullptr;
    const nghttp2_ssize size = nghttp2_session_mem_send2(library_, &bytes);
    if (size < 0) {  // out of memory
      plan_ = nullptr;
      stream_.abort();
      return;
    }
    if (size > 0) {
      plan.append_text({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
      appended_total_ += static_cast<std::uint64_t>(size);
    } else if (plan.size_bytes() == plan_before && ready_.empty()) {
      break;
    }
  }
  plan_ = nullptr;
  const std::uint64_t added = plan.size_bytes() - before;
  outstanding_bytes_ += added;
  if (added > 0 && send_check_at_ == MonotonicTime{}) {
    send_check_at_ = context_.reactor.now() + limits().send_timeout;
    pace_.restart();
    expect(send_check_at_);
  }
  close_if_done();
}

// What the exchanges have made since: heads, and word that content goes on.
void Http2Session::prepare_streams() {
  while (!ready_.empty()) {
    Http2Stream& stream = *ready_.back();
    ready_.pop_back();
    stream.ready = false;
    if (!stream.exchange.running()) continue;
    if (stream.head_sent) {
      nghttp2_session_resume_data(library_, stream.id);
      continue;
    }
    if (const std::string interim = stream.exchange.take_interim(); !interim.empty())
      submit_interim(stream.id, interim);
    if (stream.exchange.head_ready()) submit_head(stream);
  }
}

void Http2Session::submit_interim(std::int32_t id, std::string_view heads) {
  while (!heads.empty()) {
    const std::size_t end = heads.find("\r\n\r\n");
    if (end == std::string_view::npos) return;
    std::vector<nghttp2_nv>& fields = scratch_fields();
    append_fields(fields, heads.substr(0, end + 2));
    nghttp2_submit_headers(library_, NGHTTP2_FLAG_NONE, id, nullptr, fields.data(), fields.size(),
                           nullptr);
    heads.remove_prefix(end + 4);
  }
}

void Http2Session::submit_head(Http2Stream& stream) {
  std::vector<nghttp2_nv>& fields = scratch_fields();
  append_fields(fields, stream.exchange.head_text());
  for (const nghttp2_nv& each : fields) {
    const std::string_view name(reinterpret_cast<const char*>(each.name), each.namelen);
    if (!http::equals_ignoring_case(name, "Priority")) continue;
    // The origin knows better than the player what is urgent (RFC 9218 8).
    nghttp2_extpri priority{};
    if (nghttp2_session_get_extpri_stream_priority(library_, &priority, stream.id) == 0 &&
        nghttp2_extpri_parse_priority(&priority, each.value, each.valuelen) == 0) {
      nghttp2_session_change_extpri_stream_priority(library_, stream.id, &priority, 0);
    }
  }
  stream.head_sent = true;
  // A response without content ends with its head.
  const Exchange::Progress progress = stream.exchange.produce(stream.plan);
  stream.finished = progress == Exchange::Progress::finished;
  const bool broken = progress == Exchange::Progress::broken;
  const bool empty = stream.finished && stream.plan.size_bytes() == 0;
  nghttp2_data_provider2 content{};
  content.source.ptr = &stream;
  content.read_callback = http2_content_callback();
  const int failure = nghttp2_submit_response2(library_, stream.id, fields.data(), fields.size(),
                                               empty ? nullptr : &content);
  // A head the library cannot send: larger than a header block may be.
  if (failure != 0 || broken) reset_stream(stream.id, NGHTTP2_INTERNAL_ERROR);
  wait_for(stream, Http2Stream::Wait::sending);
}

std::int64_t Http2Session::read_content(Http2Stream& stream, std::size_t most,
                                        std::uint32_t* flags) {
  net::SendPlan& plan = *plan_;
  if (plan.room() < kPiecesPerFrame || plan.size_bytes() >= plan_limit_bytes_ ||
      queued_.size() - queued_first_ >= kMaximumQueued) {
    return NGHTTP2_ERR_PAUSE;
  }
  if (stream.plan.size_bytes() < most && !stream.finished) {
    stream.exchange.released(stream.plan.size_bytes() + stream.queued_bytes);
    const Exchange::Progress progress = stream.exchange.produce(stream.plan);
    stream.finished = progress == Exchange::Progress::finished;
    if (progress == Exchange::Progress::broken) {
      reset_stream(stream.id, NGHTTP2_INTERNAL_ERROR);
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
  }
  const std::uint64_t bytes =
      std::min<std::uint64_t>(most, stream.plan.front_bytes(plan.room() - 2));
  const bool last = stream.finished && bytes == stream.plan.size_bytes();
  if (bytes == 0 && !last) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (last) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<std::int64_t>(bytes);
}

int Http2Session::send_content(Http2Stream& stream, const std::uint8_t* frame_head,
                               std::size_t bytes) {
  constexpr std::size_t kFrameHeadBytes = 9;
  plan_->append_text({reinterpret_cast<const char*>(frame_head), kFrameHeadBytes});
  stream.plan.move_front(bytes, *plan_);
  stream.moved_bytes += bytes;
  appended_total_ += kFrameHeadBytes + bytes;
  content_end_ = appended_total_;
  if (stream.exchange.holds_readers() && bytes > 0) {
    stream.queued_bytes += bytes;
    if (queued_.size() > queued_first_ && queued_.back().stream == stream.id &&
        queued_.back().bytes < kQueuedBytes) {
      queued_.back().end = appended_total_;
      queued_.back().bytes += bytes;
    } else {
      queued_.push_back({stream.id, appended_total_, bytes});
    }
  }
  // A listener's window updates are for content, not for crumbs of it (CVE-2019-9511).
  if (bytes >= kCrumbBytes) guard_.earn_frames(limits());
  return 0;
}

void Http2Session::on_released(std::uint64_t bytes) {
  outstanding_bytes_ -= std::min(bytes, outstanding_bytes_);
  // Acknowledgments of PING and SETTINGS alone keep no idle connection.
  if (content_end_ > released_total_) quiet_since_ = context_.reactor.now();
  released_total_ += bytes;
  count(context_.counters.sent_bytes, bytes);
  while (queued_first_ < queued_.size() && queued_[queued_first_].end <= released_total_) {
    const Queued& front = queued_[queued_first_++];
    if (Http2Stream* stream = find(front.stream)) {
      stream->queued_bytes -= std::min(front.bytes, stream->queued_bytes);
      stream->exchange.released(stream->plan.size_bytes() + stream->queued_bytes);
    }
  }
  if (queued_first_ == queued_.size()) {
    // An idle connection keeps nothing.
    std::vector<Queued>().swap(queued_);
    queued_first_ = 0;
  } else if (queued_first_ > queued_.size() / 2) {
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(queued_first_));
    queued_first_ = 0;
  }
  std::erase_if(lingering_, [this](const Lingering& each) { return each.end <= released_total_; });
  if (outstanding_bytes_ == 0 && !closing_) {
    send_check_at_ = {};
    if (streams_.empty()) begin_rest();
  }
}

void Http2Session::end_stream(Http2Stream& stream, bool cut_short) {
  forget_ready(stream);
  drop_content(stream);
  if (stream.exchange.running()) {
    if (stream.exchange.holds_readers()) {
      Lingering last{appended_total_, {}};
      stream.exchange.take_readers(last.readers);
      if (!last.readers.empty() && last.end > released_total_)
        lingering_.push_back(std::move(last));
    }
    stream.exchange.end(cut_short);
  }
  NEARFIELD_ASSERT(streams_[stream.index].get() == &stream);
  std::unique_ptr<Http2Stream> ended = take_out(
      streams_, stream.index, [](Http2Stream& moved, std::size_t index) { moved.index = index; });
  if (library_ != nullptr) nghttp2_session_set_stream_user_data(library_, ended->id, nullptr);
  owner_.return_stream(std::move(ended));
  if (streams_.empty() && !closing_) {
    std::vector<std::unique_ptr<Http2Stream>>().swap(streams_);
    std::vector<Http2Stream*>().swap(ready_);
    quiet_since_ = context_.reactor.now();
    if (outstanding_bytes_ == 0) begin_rest();
  }
}

void Http2Session::forget_ready(Http2Stream& stream) {
  if (std::exchange(stream.ready, false)) std::erase(ready_, &stream);
}

Http2Stream* Http2Session::find(std::int32_t id) {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(library_, id));
}

void Http2Stream::exchange_has_more() { session->stream_has_more(*this); }
const net::Endpoint& Http2Stream::exchange_peer() const { return session->peer(); }
const net::StreamSecurity* Http2Stream::exchange_security() const { return session->security(); }

}  // namespace nearfield::proxy
