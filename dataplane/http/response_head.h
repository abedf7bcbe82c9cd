// ResponseHead: status and fields of one response, from an origin or made here. `reason` is kept
// for the log only: what goes to a listener uses the registered phrase.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/http/fields.h"
#include "dataplane/http/request_head.h"

namespace nearfield::http {

struct ResponseHead {
  std::uint16_t status = 200;
  std::uint8_t version_minor = 1;
  BodyFraming framing =
      BodyFraming::kNone;           // of the body on this connection; kNone for HEAD, 204, 304
  bool keep_alive = true;           // the connection may carry another exchange after this one
  bool has_content_length = false;  // also where no body follows (HEAD, 304)
  std::uint64_t content_length = 0;
  std::string reason;
  Fields fields;

  void clear();
};

// The registered phrase ("Partial Content"); "Unknown" for a status without one.
std::string_view reason_phrase(std::uint16_t status);
// "HTTP/1.1 206 Partial Content\r\n".
void append_status_line(std::string& out, std::uint16_t status);

}  // namespace nearfield::http
