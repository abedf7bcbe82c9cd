#include "dataplane/http/message_reader.h"

#include <algorithm>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::http {

// What llhttp calls back. A non-zero return stops it; fault_ says why when it was us.
struct MessageReader::Callbacks {
  static MessageReader& reader(llhttp_t* parser) {
    return *static_cast<MessageReader*>(parser->data);
  }

  static int on_method(llhttp_t* parser, const char* at, std::size_t size) {
    reader(parser).method_.append(at, size);
    return 0;
  }

  static int on_url(llhttp_t* parser, const char* at, std::size_t size) {
    MessageReader& self = reader(parser);
    // llhttp skips further spaces here; RFC 9112 3 has exactly one.
    if (self.line_text_.empty() && self.offset_of(at) != self.method_.size() + 1) {
      return self.fail(Fault::kGrammar, "more than one space after the method");
    }
    if (self.line_text_.size() + size > self.limits_.max_target_bytes) {
      return self.fail(Fault::kTargetBytes, "request target too long");
    }
    self.line_text_.append(at, size);
    return 0;
  }

  static int on_version(llhttp_t* parser, const char* at, std::size_t) {
    MessageReader& self = reader(parser);
    constexpr std::size_t kBeforeVersion = 6;  // " HTTP/"
    if (self.kind_ == Kind::kRequest && !self.version_seen_ &&
        self.offset_of(at) != self.method_.size() + 1 + self.line_text_.size() + kBeforeVersion) {
      return self.fail(Fault::kGrammar, "more than one space before the version");
    }
    // llhttp also reads RTSP, whose requests look the same.
    if (self.kind_ == Kind::kRequest && !self.version_seen_ && self.protocol_initial() != 'H') {
      return self.fail(Fault::kGrammar, "another protocol than HTTP");
    }
    self.version_seen_ = true;
    return 0;
  }

  static int on_version_complete(llhttp_t* parser) {
    MessageReader& self = reader(parser);
    self.version_known_ = parser->http_major == 1 && parser->http_minor <= 1;
    if (self.version_known_) return 0;
    return self.fail(Fault::kVersion, "HTTP version is neither 1.0 nor 1.1");
  }

  static int on_status(llhttp_t* parser, const char* at, std::size_t size) {
    reader(parser).line_text_.append(at, size);
    return 0;
  }

  static int on_header_field(llhttp_t* parser, const char* at, std::size_t size) {
    reader(parser).name_.append(at, size);
    return 0;
  }

  static int on_header_value(llhttp_t* parser, const char* at, std::size_t size) {
    reader(parser).value_.append(at, size);
    return 0;
  }

  static int on_header_value_complete(llhttp_t* parser) { return reader(parser).finish_field(); }

  static int on_headers_complete(llhttp_t* parser) {
    MessageReader& self = reader(parser);
    // llhttp takes "GET /path" for HTTP/0.9 and reads on as if fields belonged to it.
    if (!self.version_known_) return self.fail(Fault::kGrammar, "no HTTP version");
    self.saw_chunked_ = (parser->flags & F_CHUNKED) != 0;
    self.saw_length_ = (parser->flags & F_CONTENT_LENGTH) != 0;
    self.seen_length_ = parser->content_length;
    // No protocol is ever switched here; without this llhttp would stop reading after the message.
    parser->upgrade = 0;
    return HPE_PAUSED;
  }

  static int on_chunk_header(llhttp_t* parser) {
    MessageReader& self = reader(parser);
    // The same bound as for Content-Length; waiting for so much would only look like patience.
    if (parser->content_length > INT64_MAX) {
      return self.fail(Fault::kGrammar, "chunk size out of range");
    }
    self.body_left_ = parser->content_length;
    self.part_bytes_ = 0;
    self.in_trailers_ = self.body_left_ == 0;
    self.chunk_part_ = self.in_trailers_ ? ChunkPart::kTrailers : ChunkPart::kData;
    return 0;
  }

  static int on_chunk_complete(llhttp_t* parser) {
    MessageReader& self = reader(parser);
    if (self.chunk_part_ == ChunkPart::kDataEnd) {
      self.part_bytes_ = 0;
      self.chunk_part_ = ChunkPart::kLine;
    }
    return 0;
  }

  static int on_message_complete(llhttp_t*) { return HPE_PAUSED; }

  static const llhttp_settings_t* settings() {
    static const llhttp_settings_t kSettings = [] {
      llhttp_settings_t settings;
      llhttp_settings_init(&settings);
      settings.on_method = on_method;
      settings.on_url = on_url;
      settings.on_version = on_version;
      settings.on_version_complete = on_version_complete;
      settings.on_status = on_status;
      settings.on_header_field = on_header_field;
      settings.on_header_value = on_header_value;
      settings.on_header_value_complete = on_header_value_complete;
      settings.on_headers_complete = on_headers_complete;
      settings.on_chunk_header = on_chunk_header;
      settings.on_chunk_complete = on_chunk_complete;
      settings.on_message_complete = on_message_complete;
      return settings;
    }();
    return &kSettings;
  }
};

MessageReader::MessageReader(Kind kind, const Limits& limits) : limits_(limits), kind_(kind) {
  llhttp_init(&parser_, kind == Kind::kRequest ? HTTP_REQUEST : HTTP_RESPONSE,
              Callbacks::settings());
  parser_.data = this;
}

int MessageReader::fail(Fault fault, const char* reason) {
  fault_ = fault;
  fault_reason_ = reason;
  return -1;
}

int MessageReader::finish_field() {
  Fields& section = in_trailers_ ? trailers_ : fields_;
  const std::uint32_t limit = in_trailers_ ? limits_.max_trailer_count : limits_.max_field_count;
  if (section.size() >= limit) {
    return in_trailers_ ? fail(Fault::kTrailerCount, "too many trailer fields")
                        : fail(Fault::kFieldCount, "too many fields");
  }
  if (!section.add_received(name_.text(), value_.text())) {
    return fail(Fault::kGrammar, "field name is not a token or its value has a control character");
  }
  name_.clear();
  value_.clear();
  return 0;
}

bool MessageReader::execute(std::span<const std::byte> input, std::size_t& consumed, bool& paused) {
  input_ = reinterpret_cast<const char*>(input.data());
  const llhttp_errno_t result = llhttp_execute(&parser_, input_, input.size());
  name_.keep();
  value_.keep();
  paused = false;
  consumed = input.size();
  if (result == HPE_OK) return true;
  if (result == HPE_PAUSED) {
    paused = true;
    consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - input_);
    return true;
  }
  if (fault_ != Fault::kNone) return false;
  const char* reason = llhttp_get_error_reason(&parser_);
  if (result == HPE_INVALID_METHOD) {
    fail(Fault::kMethod, "unknown method");
  } else if ((result == HPE_INVALID_VERSION && !version_known_) ||
             result == HPE_PAUSED_H2_UPGRADE) {
    fail(Fault::kVersion, "HTTP version is neither 1.0 nor 1.1");
  } else {
    fail(Fault::kGrammar, reason != nullptr && *reason != '\0' ? reason : "malformed message");
  }
  return false;
}

MessageReader::Read MessageReader::read_head(std::span<const std::byte> input) {
  if (fault_ != Fault::kNone) return fault_read();
  if (input.empty()) return {};
  const std::size_t allowed = limits_.max_head_bytes - head_bytes_;
  input = input.first(std::min(input.size(), allowed));
  std::size_t consumed = 0;
  bool paused = false;
  if (!execute(input, consumed, paused)) return fault_read();
  if (!version_seen_ && protocol_offset() - head_bytes_ < consumed) {
    protocol_initial_ = static_cast<char>(input[protocol_offset() - head_bytes_]);
  }
  head_bytes_ += static_cast<std::uint32_t>(consumed);
  if (paused) return {Event::kHead, consumed, {}};
  if (head_bytes_ == limits_.max_head_bytes) {
    fail(Fault::kHeadBytes, "head too large");
    return fault_read();
  }
  return {Event::kNeedMore, consumed, {}};
}

void MessageReader::continue_with(BodyFraming framing, std::uint64_t content_length) {
  framing_ = framing;
  body_left_ = framing == BodyFraming::kLength ? content_length : 0;
  if (framing == BodyFraming::kChunked) {
    NEARFIELD_ASSERT(saw_chunked_);
    chunk_part_ = ChunkPart::kLine;
    part_bytes_ = 0;
    llhttp_resume(&parser_);
  }
}

MessageReader::Read MessageReader::read_body(std::span<const std::byte> input) {
  if (fault_ != Fault::kNone) return fault_read();
  switch (framing_) {
    case BodyFraming::kNone:
      return {Event::kComplete, 0, {}};
    case BodyFraming::kLength: {
      if (body_left_ == 0) return {Event::kComplete, 0, {}};
      if (input.empty()) return {};
      const auto piece =
          input.first(static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), body_left_)));
      body_left_ -= piece.size();
      return {Event::kBody, piece.size(), piece};
    }
    case BodyFraming::kChunked:
      return read_chunked(input);
    case BodyFraming::kUntilClose:
      if (input.empty()) return {};
      return {Event::kBody, input.size(), input};
  }
  return fault_read();
}

MessageReader::Read MessageReader::read_chunked(std::span<const std::byte> input) {
  std::size_t done = 0;
  while (done < input.size()) {
    std::span<const std::byte> rest = input.subspan(done);
    std::size_t consumed = 0;
    bool paused = false;
    switch (chunk_part_) {
      case ChunkPart::kLine: {
        const std::size_t window =
            std::min<std::size_t>(rest.size(), limits_.max_chunk_line_bytes - part_bytes_);
        const void* newline = std::memchr(rest.data(), '\n', window);
        const std::size_t size =
            newline == nullptr
                ? window
                : static_cast<std::size_t>(static_cast<const std::byte*>(newline) - rest.data()) +
                      1;
        if (!execute(rest.first(size), consumed, paused)) return fault_read();
        done += size;
        if (chunk_part_ != ChunkPart::kLine) break;  // the line ended
        part_bytes_ += static_cast<std::uint32_t>(size);
        if (newline != nullptr || part_bytes_ == limits_.max_chunk_line_bytes) {
          fail(newline != nullptr ? Fault::kGrammar : Fault::kChunkLine, "chunk line too long");
          return fault_read();
        }
        break;
      }
      case ChunkPart::kData: {
        rest =
            rest.first(static_cast<std::size_t>(std::min<std::uint64_t>(rest.size(), body_left_)));
        if (!execute(rest, consumed, paused)) return fault_read();
        body_left_ -= rest.size();
        if (body_left_ == 0) {
          chunk_part_ = ChunkPart::kDataEnd;
          part_bytes_ = 0;
        }
        return {Event::kBody, done + rest.size(), rest};
      }
      case ChunkPart::kDataEnd: {
        // Byte by byte: whatever is not CRLF is llhttp's error, and what follows belongs to the
        // next line.
        if (!execute(rest.first(1), consumed, paused)) return fault_read();
        ++done;
        if (chunk_part_ == ChunkPart::kDataEnd && ++part_bytes_ == 2) {
          fail(Fault::kGrammar, "chunk data without a line end");
          return fault_read();
        }
        break;
      }
      case ChunkPart::kTrailers: {
        rest =
            rest.first(std::min<std::size_t>(rest.size(), limits_.max_trailer_bytes - part_bytes_));
        if (!execute(rest, consumed, paused)) return fault_read();
        done += consumed;
        part_bytes_ += static_cast<std::uint32_t>(consumed);
        if (paused) return {Event::kComplete, done, {}};
        if (part_bytes_ == limits_.max_trailer_bytes) {
          fail(Fault::kTrailerBytes, "trailer section too large");
          return fault_read();
        }
        break;
      }
    }
  }
  return {Event::kNeedMore, done, {}};
}

void MessageReader::reset() {
  llhttp_reset(&parser_);
  framing_ = BodyFraming::kNone;
  chunk_part_ = ChunkPart::kLine;
  fault_ = Fault::kNone;
  fault_reason_ = "";
  in_trailers_ = saw_chunked_ = saw_length_ = version_seen_ = version_known_ = false;
  head_bytes_ = part_bytes_ = 0;
  seen_length_ = body_left_ = 0;
  method_.clear();
  line_text_.clear();
  name_.clear();
  value_.clear();
  fields_.clear();
  trailers_.clear();
}

std::size_t MessageReader::memory_bytes() const {
  return line_text_.capacity() + name_.memory_bytes() + value_.memory_bytes() +
         fields_.memory_bytes() + trailers_.memory_bytes();
}

}  // namespace nearfield::http
