// Http2RequestReader: the fields of an HTTP/2 request (RFC 9113 8.3.1), one after the other as they
// are decoded -> one RequestHead as from HTTP/1.1, or the status to refuse with. Knows nothing of
// frames. What makes a message malformed for every implementation (order and repetition of pseudo
// fields, upper case, fields of the connection) is refused before, by the framing library, and
// where it is cheap here again; what only an HTTP server knows is checked here: the authority, the
// target, the scheme against the connection's, the size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/http/request_head.h"
#include "dataplane/http/request_parser.h"

namespace nearfield::http {

class Http2RequestReader {
 public:
  // `limits`: those of head, target and field count; a field counts as in SETTINGS_MAX_HEADER_LIST_
  // SIZE, its bytes and 32 (RFC 9113 6.5.2). `scheme`: of the connection. The head is cleared.
  void begin(RequestHead& head, const RequestLimits& limits, Scheme scheme);

  // The next field, pseudo fields with their colon. False: not a field of a well-formed request,
  // the stream is to be reset (RFC 9113 8.1.1). Beyond a limit the rest is taken and dropped.
  bool add(RequestHead& head, std::string_view name, std::string_view value);
  // A field that is of no use (of a trailer section): only counted.
  void skip(std::string_view name, std::string_view value);
  // Bytes of fields so far, counted as above, dropped ones included.
  std::uint64_t section_bytes() const { return section_bytes_; }

  // After the last field. `end_stream`: no content follows. An empty reason: `head` is complete.
  RequestError finish(RequestHead& head, bool end_stream);

 private:
  bool add_pseudo(RequestHead& head, std::string_view name, std::string_view value);
  RequestError take_authority(RequestHead& head);
  void refuse(std::uint16_t status, std::string_view reason) {
    if (error_.reason.empty()) error_ = {status, reason};
  }

  RequestLimits limits_;
  Scheme scheme_ = Scheme::kHttp;
  bool has_method_ = false;
  bool has_scheme_ = false;
  bool scheme_fits_ = false;
  bool has_path_ = false;
  bool has_authority_ = false;
  bool has_regular_ = false;
  std::uint32_t count_ = 0;
  std::uint64_t section_bytes_ = 0;
  std::string cookies_;  // crumbs joined (RFC 9113 8.2.3)
  RequestError error_{400, {}};
};

}  // namespace nearfield::http
