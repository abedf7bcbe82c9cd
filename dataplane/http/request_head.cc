#include "dataplane/http/request_head.h"

namespace nearfield::http {

void RequestHead::clear() {
  method = Method::kGet;
  method_text = "GET";
  authority.clear();
  target = "/";
  path_size = 1;
  version_major = 1;
  version_minor = 1;
  framing = BodyFraming::kNone;
  keep_alive = true;
  expect_continue = false;
  content_length = 0;
  fields.clear();
}

bool is_request_target(std::string_view target) {
  unsigned char forbidden = 0;
  for (char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    forbidden |= static_cast<unsigned char>((byte <= 0x20) | (byte >= 0x7f) | (byte == '#'));
  }
  return forbidden == 0 && !target.empty();
}

}  // namespace nearfield::http
