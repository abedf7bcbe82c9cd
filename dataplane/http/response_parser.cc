#include "dataplane/http/response_parser.h"

#include "cache/base/assert.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/message_reader.h"

namespace nearfield::http {
namespace {

using Event = MessageReader::Event;

MessageReader::Limits reader_limits(const ResponseLimits& limits) {
  return {limits.max_head_bytes,    0,
          limits.max_field_count,   limits.max_trailer_bytes,
          limits.max_trailer_count, limits.max_chunk_line_bytes};
}

}  // namespace

struct ResponseParser::State {
  enum class Phase : std::uint8_t { kHead, kBody, kComplete, kFailed };

  explicit State(const ResponseLimits& response_limits)
      : limits(response_limits),
        reader(MessageReader::Kind::kResponse, reader_limits(response_limits)) {}

  ParseStep fail(std::string_view reason) {
    phase = Phase::kFailed;
    error = reason;
    return {ParseEvent::kError, 0, {}};
  }
  ParseStep feed_head(std::span<const std::byte> input);
  ParseStep feed_body(std::span<const std::byte> input);
  // Empty: fine.
  std::string_view take_head();

  ResponseLimits limits;
  MessageReader reader;
  ResponseHead head;
  Fields trailers;
  std::string_view error;
  Method method = Method::kGet;
  Phase phase = Phase::kHead;
  bool started = false;
  std::uint32_t interim_count = 0;
};

std::string_view ResponseParser::State::take_head() {
  head.clear();
  head.status = reader.status();
  head.version_minor = reader.version_minor();
  head.reason = reader.line_text();
  std::swap(head.fields, reader.fields());
  if (head.status < 100 || head.status > 999) return "status code out of range";
  if (head.status == 101) return "101 without an Upgrade having been asked for";
  if (head.status < 200) return {};

  const FramingFields framing = read_framing(head.fields, head.version_minor);
  if (!framing.fault.empty()) return framing.fault;
  if (framing.chunked != reader.saw_chunked() || framing.has_length != reader.saw_length() ||
      (framing.has_length && framing.length != reader.seen_length())) {
    return "ambiguous framing";
  }
  head.has_content_length = framing.has_length;
  head.content_length = framing.length;
  head.keep_alive = wants_keep_alive(head.fields, head.version_minor);
  if (method == Method::kHead || head.status == 204 || head.status == 304) {
    head.framing = BodyFraming::kNone;
  } else if (framing.chunked) {
    head.framing = BodyFraming::kChunked;
  } else if (framing.has_length) {
    head.framing = BodyFraming::kLength;
  } else {
    head.framing = BodyFraming::kUntilClose;
    head.keep_alive = false;
  }
  return {};
}

ParseStep ResponseParser::State::feed_head(std::span<const std::byte> input) {
  if (input.empty()) return {};
  // llhttp tolerates line ends here. What an origin sends before a status line was never asked for.
  if (reader.head_bytes() == 0 && static_cast<char>(input.front()) != 'H') {
    return fail("response does not begin with a status line");
  }
  started = true;
  const MessageReader::Read read = reader.read_head(input);
  if (read.event == Event::kFault) return fail(reader.fault_reason());
  if (read.event == Event::kNeedMore) return {ParseEvent::kNeedMore, read.consumed, {}};
  if (const std::string_view wrong = take_head(); !wrong.empty()) return fail(wrong);
  if (head.status < 200) {
    if (++interim_count > limits.max_interim_count) return fail("too many interim responses");
    reader.reset();
    return {ParseEvent::kInterim, read.consumed, {}};
  }
  phase = Phase::kBody;
  reader.continue_with(head.framing, head.content_length);
  return {ParseEvent::kHead, read.consumed, {}};
}

ParseStep ResponseParser::State::feed_body(std::span<const std::byte> input) {
  const MessageReader::Read read = reader.read_body(input);
  switch (read.event) {
    case Event::kFault:
      return fail(reader.fault_reason());
    case Event::kBody:
      return {ParseEvent::kBody, read.consumed, read.body};
    case Event::kComplete:
      trailers = reader.trailers();
      remove_forbidden_trailers(trailers);
      phase = Phase::kComplete;
      return {ParseEvent::kComplete, read.consumed, {}};
    default:
      return {ParseEvent::kNeedMore, read.consumed, {}};
  }
}

ResponseParser::ResponseParser(const ResponseLimits& limits)
    : state_(std::make_unique<State>(limits)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

void ResponseParser::begin(Method request_method) {
  NEARFIELD_ASSERT(request_method != Method::kConnect);
  state_->reader.reset();
  state_->head.clear();
  state_->trailers.clear();
  state_->error = {};
  state_->method = request_method;
  state_->phase = State::Phase::kHead;
  state_->started = false;
  state_->interim_count = 0;
}

ParseStep ResponseParser::feed(std::span<const std::byte> input) {
  switch (state_->phase) {
    case State::Phase::kHead:
      return state_->feed_head(input);
    case State::Phase::kBody:
      return state_->feed_body(input);
    case State::Phase::kComplete:
      NEARFIELD_ASSERT(false && "feed() after kComplete without begin()");
    case State::Phase::kFailed:
      return {ParseEvent::kError, 0, {}};
  }
  return {ParseEvent::kError, 0, {}};
}

ResponseEnd ResponseParser::finish() {
  switch (state_->phase) {
    case State::Phase::kHead:
      return state_->started ? ResponseEnd::kTruncated : ResponseEnd::kNothing;
    case State::Phase::kBody:
      if (state_->head.framing == BodyFraming::kUntilClose) break;
      // A body that has all its bytes and was merely not asked for its kComplete yet.
      if (state_->head.framing != BodyFraming::kChunked &&
          state_->feed_body({}).event == ParseEvent::kComplete) {
        break;
      }
      return ResponseEnd::kTruncated;
    case State::Phase::kComplete:
      break;
    case State::Phase::kFailed:
      return ResponseEnd::kTruncated;
  }
  state_->phase = State::Phase::kComplete;
  return ResponseEnd::kComplete;
}

bool ResponseParser::started() const { return state_->started; }
ResponseHead& ResponseParser::head() { return state_->head; }
const ResponseHead& ResponseParser::head() const { return state_->head; }
const Fields& ResponseParser::trailers() const { return state_->trailers; }
std::string_view ResponseParser::error() const { return state_->error; }

std::size_t ResponseParser::memory_bytes() const {
  return sizeof(State) + state_->reader.memory_bytes() + state_->head.fields.memory_bytes() +
         state_->head.reason.capacity() + state_->trailers.memory_bytes();
}

}  // namespace nearfield::http
