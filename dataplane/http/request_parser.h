// RequestParser: bytes of a client connection -> one RequestHead and its body, or the status to
// refuse with. llhttp (all lenient flags off) does the grammar; on top of it everything ambiguous
// is refused (RFC 9112 3.2, 5.2, 6.3, 11.2): missing, repeated or odd Host, an absolute form that
// contradicts Host, any second Content-Length, a length beside Transfer-Encoding, codings other
// than exactly "chunked", obs-fold, bare CR or LF, control bytes. The framing is computed twice, by
// llhttp and from the fields here, and a disagreement is an error. After an error the connection
// must be closed. A result never depends on how the bytes were split. No I/O, no clock; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/http/request_head.h"

namespace nearfield::http {

struct RequestLimits {
  std::uint32_t max_head_bytes = 16 * 1024;    // request line and fields with all delimiters -> 431
  std::uint32_t max_target_bytes = 8 * 1024;   // -> 414
  std::uint32_t max_field_count = 100;         // -> 431
  std::uint32_t max_trailer_bytes = 4 * 1024;  // -> 431
  std::uint32_t max_trailer_count = 32;        // -> 431
  std::uint32_t max_chunk_line_bytes = 256;    // size and extensions of one chunk -> 400
  std::uint64_t max_body_bytes =
      8 * 1024 * 1024;  // -> 413, from the length where it is known, else as it arrives
};

enum class ParseEvent : std::uint8_t {
  kNeedMore,  // all input consumed, nothing to say yet
  kInterim,   // responses only: a complete 1xx head stands in head(); the final one follows
  kHead,      // head() is complete and valid; stays until reset()
  kBody,      // `body` is the next piece
  kComplete,  // the message ended; trailers() are there. Further input belongs to the next message:
              // reset() first
  kError,     // see error(); sticky
};

struct ParseStep {
  ParseEvent event = ParseEvent::kNeedMore;
  // Bytes of the input that are done with; the rest must be offered again (before or with what
  // follows it).
  std::size_t consumed = 0;
  // A view into the input of this call. Counted in `consumed`.
  std::span<const std::byte> body;
};

// Why a request is refused: the status to answer before closing, and one line for the log.
struct RequestError {
  std::uint16_t status = 400;  // 400, 413, 414, 431, 501, 505
  std::string_view reason;     // static text, or llhttp's (static as well)
};

class RequestParser {
 public:
  explicit RequestParser(const RequestLimits& limits = {}, Scheme scheme = Scheme::kHttp);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  // One event a call. Call again with the unconsumed rest until kNeedMore, kComplete or kError;
  // after kHead call it even with an empty rest: a request without a body gives kComplete then.
  // Must not be called after kComplete without reset(). One CRLF before a request line is skipped
  // (RFC 9112 2.2), a second is an error.
  ParseStep feed(std::span<const std::byte> input);

  // Of the connection it reads from now on; before a request has begun.
  void set_scheme(Scheme scheme);

  // True from the first byte of a request (other than a skipped CRLF) until reset(): tells an idle
  // connection from one that is slow with its head, and whether a parser may go back to the pool.
  bool started() const;
  bool head_complete() const;

  // Valid from kHead until reset(). The session may edit it (forwarding) or move it out.
  RequestHead& head();
  const RequestHead& head() const;
  const Fields& trailers() const;  // valid after kComplete
  const RequestError& error() const;
  // After an error: the first line is of another protocol. Its method is unknown, and it does not
  // end in an HTTP version.
  bool is_foreign() const;

  // Ready for the next message; memory is kept. Limits stay.
  void reset();
  // Heap bytes held, including this object's own state.
  std::size_t memory_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nearfield::http
