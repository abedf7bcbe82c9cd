// MessageReader: the part of HTTP/1.1 reading that requests and responses share: llhttp fed within
// bounds, fields collected, bodies cut out. Internal to this folder; RequestParser and
// ResponseParser decide what is acceptable. llhttp reads heads, chunk lines and trailers; the bytes
// of a body are counted here and only shown to it where its state needs them. The awkward part is
// that every bound must hit at the same byte however the input was split, so llhttp is never given
// more than what the nearest bound still allows.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

class MessageReader {
 public:
  enum class Kind : std::uint8_t { kRequest, kResponse };

  struct Limits {
    std::uint32_t max_head_bytes;
    std::uint32_t max_target_bytes;
    std::uint32_t max_field_count;
    std::uint32_t max_trailer_bytes;
    std::uint32_t max_trailer_count;
    std::uint32_t max_chunk_line_bytes;
  };

  enum class Fault : std::uint8_t {
    kNone,
    kGrammar,
    kMethod,
    kVersion,
    kHeadBytes,
    kTargetBytes,
    kFieldCount,
    kTrailerBytes,
    kTrailerCount,
    kChunkLine,
  };

  enum class Event : std::uint8_t { kNeedMore, kHead, kBody, kComplete, kFault };
  struct Read {
    Event event = Event::kNeedMore;
    std::size_t consumed = 0;
    std::span<const std::byte> body;
  };

  MessageReader(Kind kind, const Limits& limits);
  // llhttp keeps a pointer to this.
  MessageReader(const MessageReader&) = delete;
  MessageReader& operator=(const MessageReader&) = delete;

  // Until kHead. Must not be called after it.
  Read read_head(std::span<const std::byte> input);
  // What follows the head. kNone completes with the next read_body.
  void continue_with(BodyFraming framing, std::uint64_t content_length);
  // Until kComplete; with kUntilClose there is none.
  Read read_body(std::span<const std::byte> input);
  void reset();

  // Of the head being or having been read.
  Fields& fields() { return fields_; }
  const Fields& trailers() const { return trailers_; }
  // The method's text (requests).
  const std::string& method() const { return method_; }
  // The request target, or the reason phrase.
  const std::string& line_text() const { return line_text_; }
  std::uint8_t version_major() const { return parser_.http_major; }
  std::uint8_t version_minor() const { return parser_.http_minor; }
  std::uint16_t status() const { return parser_.status_code; }
  std::uint32_t head_bytes() const { return head_bytes_; }
  // llhttp's reading of the framing, to be compared with our own.
  bool saw_chunked() const { return saw_chunked_; }
  bool saw_length() const { return saw_length_; }
  std::uint64_t seen_length() const { return seen_length_; }

  Fault fault() const { return fault_; }
  // Static text.
  const char* fault_reason() const { return fault_reason_; }
  std::size_t memory_bytes() const;

 private:
  // Text that llhttp hands over in one span or, where the input was cut, in several. Only then it
  // is copied.
  class Piece {
   public:
    void append(const char* at, std::size_t size) {
      if (whole_.empty() && stitched_.empty()) {
        whole_ = {at, size};
      } else {
        keep();
        stitched_.append(at, size);
      }
    }
    // Before the input goes away.
    void keep() {
      stitched_ += whole_;
      whole_ = {};
    }
    std::string_view text() const {
      return stitched_.empty() ? whole_ : std::string_view(stitched_);
    }
    void clear() {
      whole_ = {};
      stitched_.clear();
    }
    std::size_t memory_bytes() const { return stitched_.capacity(); }

   private:
    std::string_view whole_;
    std::string stitched_;
  };
  enum class ChunkPart : std::uint8_t { kLine, kData, kDataEnd, kTrailers };
  struct Callbacks;
  friend struct Callbacks;

  // Runs llhttp over these bytes. True: all of them or, when paused, `consumed` of them are done.
  // False: fault() is set.
  bool execute(std::span<const std::byte> input, std::size_t& consumed, bool& paused);
  // -1, for a callback to return.
  int fail(Fault fault, const char* reason);
  Read fault_read() const { return {Event::kFault, 0, {}}; }
  Read read_chunked(std::span<const std::byte> input);
  // Offset of a callback's pointer in the head.
  std::size_t offset_of(const char* at) const {
    return head_bytes_ + static_cast<std::size_t>(at - input_);
  }
  // Offset of the protocol's name in the request line, once the target is whole.
  std::size_t protocol_offset() const { return method_.size() + 1 + line_text_.size() + 1; }
  char protocol_initial() const {
    const std::size_t at = protocol_offset();
    return at < head_bytes_ ? protocol_initial_ : input_[at - head_bytes_];
  }
  int finish_field();

  llhttp_t parser_;
  Limits limits_;
  Kind kind_;
  BodyFraming framing_ = BodyFraming::kNone;
  ChunkPart chunk_part_ = ChunkPart::kLine;
  Fault fault_ = Fault::kNone;
  bool in_trailers_ = false;
  bool saw_chunked_ = false;
  bool saw_length_ = false;
  bool version_seen_ = false;
  bool version_known_ = false;  // and one we speak
  char protocol_initial_ = 0;   // of a request line whose input was cut behind it
  std::uint32_t head_bytes_ = 0;
  std::uint32_t part_bytes_ = 0;   // of the chunk line, chunk end or trailer section under way
  std::uint64_t seen_length_ = 0;  // llhttp's Content-Length
  std::uint64_t body_left_ = 0;    // of the body (kLength) or of the chunk
  const char* input_ = nullptr;    // of the llhttp call under way
  const char* fault_reason_ = "";
  std::string method_;
  std::string line_text_;
  Piece name_;
  Piece value_;
  Fields fields_;
  Fields trailers_;
};

}  // namespace nearfield::http
