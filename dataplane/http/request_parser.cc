#include "dataplane/http/request_parser.h"

#include <algorithm>
#include <array>

#include "cache/base/assert.h"
#include "dataplane/http/authority.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/message_reader.h"

namespace nearfield::http {
namespace {

using Fault = MessageReader::Fault;
using Event = MessageReader::Event;

MessageReader::Limits reader_limits(const RequestLimits& limits) {
  return {limits.max_head_bytes,    limits.max_target_bytes,  limits.max_field_count,
          limits.max_trailer_bytes, limits.max_trailer_count, limits.max_chunk_line_bytes};
}

std::uint16_t status_of(Fault fault) {
  switch (fault) {
    case Fault::kTargetBytes:
      return 414;
    case Fault::kHeadBytes:
    case Fault::kFieldCount:
    case Fault::kTrailerBytes:
    case Fault::kTrailerCount:
      return 431;
    case Fault::kMethod:
      return 501;
    case Fault::kVersion:
      return 505;
    case Fault::kNone:
    case Fault::kGrammar:
    case Fault::kChunkLine:
      return 400;
  }
  return 400;
}

}  // namespace

struct RequestParser::State {
  // kUnknownMethod: until the line ends, because its end says whose method that may be.
  enum class Phase : std::uint8_t { kStart, kHead, kUnknownMethod, kBody, kComplete, kFailed };

  State(const RequestLimits& request_limits, Scheme request_scheme)
      : limits(request_limits),
        scheme(request_scheme),
        reader(MessageReader::Kind::kRequest, reader_limits(request_limits)) {
    head.scheme = scheme;
  }

  ParseStep fail(std::uint16_t status, std::string_view reason) {
    phase = Phase::kFailed;
    error = {status, reason};
    return {ParseEvent::kError, 0, {}};
  }
  ParseStep reader_fault() {
    std::uint16_t status = status_of(reader.fault());
    // What does not even begin like a method is no HTTP (a TLS handshake on a plain port).
    if (status == 501 && !first_byte_is_token) status = 400;
    return fail(status, reader.fault_reason());
  }

  ParseStep feed_start(std::span<const std::byte> input);
  ParseStep feed_head(std::span<const std::byte> input);
  ParseStep feed_unknown_method(std::span<const std::byte> input);
  ParseStep feed_body(std::span<const std::byte> input);
  // Checks and fills in the head. Empty reason: fine.
  RequestError take_head();
  RequestError take_target();
  RequestError take_framing();

  RequestLimits limits;
  Scheme scheme;
  MessageReader reader;
  RequestHead head;
  RequestError error;
  Phase phase = Phase::kStart;
  std::uint8_t leading_bytes = 0;  // of the one CRLF that may precede a request
  bool first_byte_is_token = false;
  bool is_foreign = false;
  std::uint32_t line_bytes = 0;    // of a request line with an unknown method
  std::array<char, 9> line_end{};  // its last bytes, as many as " HTTP/1.1" has
  std::uint64_t body_bytes = 0;
  Fields trailers;
};

ParseStep RequestParser::State::feed_start(std::span<const std::byte> input) {
  std::size_t skipped = 0;
  while (skipped < input.size()) {
    const char c = static_cast<char>(input[skipped]);
    const bool is_line_end = c == '\r' || c == '\n';
    if (leading_bytes == 1 ? c == '\n' : (c == '\r' && leading_bytes == 0)) {
      ++leading_bytes;
      ++skipped;
      continue;
    }
    if (is_line_end || leading_bytes == 1) return fail(400, "line end before the request line");
    phase = Phase::kHead;
    first_byte_is_token = is_token_char(c);
    ParseStep step = feed_head(input.subspan(skipped));
    step.consumed += step.event == ParseEvent::kError ? 0 : skipped;
    return step;
  }
  return {ParseEvent::kNeedMore, skipped, {}};
}

ParseStep RequestParser::State::feed_head(std::span<const std::byte> input) {
  const MessageReader::Read read = reader.read_head(input);
  if (read.event == Event::kFault) {
    if (reader.fault() != Fault::kMethod || !first_byte_is_token) return reader_fault();
    phase = Phase::kUnknownMethod;
    line_bytes = reader.head_bytes();
    return feed_unknown_method(input);
  }
  if (read.event == Event::kNeedMore) return {ParseEvent::kNeedMore, read.consumed, {}};
  const RequestError wrong = take_head();
  if (!wrong.reason.empty()) return fail(wrong.status, wrong.reason);
  phase = Phase::kBody;
  reader.continue_with(head.framing, head.content_length);
  return {ParseEvent::kHead, read.consumed, {}};
}

// The version lies behind the space where the method was found wrong at the latest, so that what
// was read before need not be kept.
ParseStep RequestParser::State::feed_unknown_method(std::span<const std::byte> input) {
  for (const std::byte byte : input) {
    const char c = static_cast<char>(byte);
    if (c == '\n') {
      const std::string_view end(line_end.data(), line_end.size());
      const auto is_digit = [](char each) { return each >= '0' && each <= '9'; };
      is_foreign =
          !(end.starts_with(" HTTP/") && is_digit(end[6]) && end[7] == '.' && is_digit(end[8]));
      if (is_foreign) return fail(400, "not HTTP");
      return reader_fault();
    }
    if (++line_bytes >= limits.max_head_bytes) return fail(431, "head too large");
    if (c == '\r') continue;
    std::ranges::rotate(line_end, line_end.begin() + 1);
    line_end.back() = c;
  }
  return {ParseEvent::kNeedMore, input.size(), {}};
}

ParseStep RequestParser::State::feed_body(std::span<const std::byte> input) {
  const MessageReader::Read read = reader.read_body(input);
  switch (read.event) {
    case Event::kFault:
      return reader_fault();
    case Event::kBody:
      body_bytes += read.body.size();
      if (body_bytes > limits.max_body_bytes) return fail(413, "request body too large");
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

RequestError RequestParser::State::take_head() {
  head.method_text = reader.method();
  head.method = method_from(head.method_text);
  head.version_minor = reader.version_minor();
  if (head.method == Method::kConnect) return {501, "CONNECT is not implemented"};
  // Swapped, not copied: both keep their memory from request to request.
  std::swap(head.fields, reader.fields());
  if (RequestError wrong = take_target(); !wrong.reason.empty()) return wrong;
  if (RequestError wrong = take_framing(); !wrong.reason.empty()) return wrong;
  head.keep_alive = wants_keep_alive(head.fields, head.version_minor);
  head.expect_continue =
      head.version_minor >= 1 && head.fields.list_contains("Expect", "100-continue");
  return {};
}

RequestError RequestParser::State::take_target() {
  const std::size_t hosts = head.fields.count("Host");
  if (hosts > 1) return {400, "more than one Host"};
  if (hosts == 0 && head.version_minor >= 1) return {400, "no Host"};
  head.authority.clear();
  if (hosts == 1 && !append_authority(head.authority, *head.fields.find("Host"), scheme)) {
    return {400, "malformed Host"};
  }

  std::string_view text = reader.line_text();
  if (!is_request_target(text)) return {400, "forbidden character in the request target"};
  if (text == "*") {
    if (head.method != Method::kOptions) return {400, "asterisk form is for OPTIONS"};
    head.target = "*";
    head.path_size = 1;
    return {};
  }
  if (text.front() != '/') {
    // Absolute form (RFC 9112 3.2.2); anything else would be the authority form of CONNECT.
    const std::string_view name = scheme_text(scheme);
    if (text.size() <= name.size() + 3 ||
        !equals_ignoring_case(text.substr(0, name.size()), name) ||
        text.substr(name.size(), 3) != "://") {
      return {400, "request target is neither a path nor a URI of this scheme"};
    }
    text.remove_prefix(name.size() + 3);
    const std::size_t end = std::min(text.find_first_of("/?"), text.size());
    std::string authority;
    if (!append_authority(authority, text.substr(0, end), scheme)) {
      return {400, "malformed authority in the request target"};
    }
    if (hosts == 1 && authority != head.authority) {
      return {400, "request target and Host name different authorities"};
    }
    head.authority = authority;
    text.remove_prefix(end);
    head.target = "/";
    // OPTIONS on a URI without path and query asks about the server as a whole (RFC 9112 3.2.4).
    if (text.empty() && head.method == Method::kOptions) head.target = "*";
    if (text.starts_with('/')) text.remove_prefix(1);
    head.target += text;
  } else {
    head.target = text;
  }
  head.path_size = static_cast<std::uint32_t>(std::min(head.target.find('?'), head.target.size()));
  return {};
}

RequestError RequestParser::State::take_framing() {
  const FramingFields framing = read_framing(head.fields, head.version_minor);
  if (!framing.fault.empty()) {
    return {static_cast<std::uint16_t>(framing.unknown_coding ? 501 : 400), framing.fault};
  }
  if (framing.chunked != reader.saw_chunked() || framing.has_length != reader.saw_length() ||
      (framing.has_length && framing.length != reader.seen_length())) {
    return {400, "ambiguous framing"};
  }
  head.framing = framing.chunked      ? BodyFraming::kChunked
                 : framing.has_length ? BodyFraming::kLength
                                      : BodyFraming::kNone;
  head.content_length = framing.length;
  if (framing.length > limits.max_body_bytes) return {413, "request body too large"};
  return {};
}

RequestParser::RequestParser(const RequestLimits& limits, Scheme scheme)
    : state_(std::make_unique<State>(limits, scheme)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

ParseStep RequestParser::feed(std::span<const std::byte> input) {
  switch (state_->phase) {
    case State::Phase::kStart:
      return state_->feed_start(input);
    case State::Phase::kHead:
      return state_->feed_head(input);
    case State::Phase::kUnknownMethod:
      return state_->feed_unknown_method(input);
    case State::Phase::kBody:
      return state_->feed_body(input);
    case State::Phase::kComplete:
      NEARFIELD_ASSERT(false && "feed() after kComplete without reset()");
    case State::Phase::kFailed:
      return {ParseEvent::kError, 0, {}};
  }
  return {ParseEvent::kError, 0, {}};
}

void RequestParser::set_scheme(Scheme scheme) {
  NEARFIELD_ASSERT(!started());
  state_->scheme = scheme;
  state_->head.scheme = scheme;
}

bool RequestParser::started() const { return state_->phase != State::Phase::kStart; }

bool RequestParser::head_complete() const {
  return state_->phase == State::Phase::kBody || state_->phase == State::Phase::kComplete;
}

RequestHead& RequestParser::head() { return state_->head; }
const RequestHead& RequestParser::head() const { return state_->head; }
const Fields& RequestParser::trailers() const { return state_->trailers; }
const RequestError& RequestParser::error() const { return state_->error; }
bool RequestParser::is_foreign() const { return state_->is_foreign; }

void RequestParser::reset() {
  state_->reader.reset();
  state_->head.clear();
  state_->trailers.clear();
  state_->error = {};
  state_->phase = State::Phase::kStart;
  state_->leading_bytes = 0;
  state_->first_byte_is_token = false;
  state_->is_foreign = false;
  state_->line_bytes = 0;
  state_->line_end = {};
  state_->body_bytes = 0;
}

std::size_t RequestParser::memory_bytes() const {
  return sizeof(State) + state_->reader.memory_bytes() + state_->head.fields.memory_bytes() +
         state_->head.target.capacity() + state_->head.authority.capacity() +
         state_->trailers.memory_bytes();
}

}  // namespace nearfield::http
