// ResponseParser: bytes of an origin connection -> interim heads, one final head and its body.
// Framing that two readers could understand differently (two lengths, length with chunked, codings
// other than "chunked") is an error: the response is unusable and the connection must be closed.
// Whether the body arrived whole is said by kComplete, or by finish() when the origin closed:
// nothing else may ever be kept as complete.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/http/request_parser.h"
#include "dataplane/http/response_head.h"

namespace nearfield::http {

struct ResponseLimits {
  std::uint32_t max_head_bytes = 64 * 1024;  // of one head, interim or final
  std::uint32_t max_field_count = 256;
  std::uint32_t max_interim_count = 16;
  std::uint32_t max_trailer_bytes = 8 * 1024;
  std::uint32_t max_trailer_count = 64;
  std::uint32_t max_chunk_line_bytes = 1024;
};

// What the end of the connection meant.
enum class ResponseEnd : std::uint8_t {
  kComplete,   // the message had ended, or runs until close and ends here
  kTruncated,  // in the middle of a head or a body
  kNothing,    // before the first byte of a response: a safe request may be tried again on another
               // connection
};

class ResponseParser {
 public:
  explicit ResponseParser(const ResponseLimits& limits = {});
  ~ResponseParser();
  ResponseParser(ResponseParser&&) noexcept;
  ResponseParser& operator=(ResponseParser&&) noexcept;

  // Before each response: the method decides whether a body follows. Memory is kept. CONNECT is a
  // programming error.
  void begin(Method request_method);

  // One event a call, as RequestParser::feed; kInterim for each 1xx but 101 (which nobody asked
  // for: an error). After kHead call it again even with nothing left. Bytes after kComplete are no
  // answer to anything: close the connection.
  ParseStep feed(std::span<const std::byte> input);
  // The origin closed its side (or the connection broke: then only kTruncated and kNothing are
  // meaningful).
  ResponseEnd finish();

  bool started() const;  // a byte of this response was seen
  ResponseHead& head();
  const ResponseHead& head() const;
  const Fields& trailers() const;
  // After kError: one line, static text.
  std::string_view error() const;
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield::http
