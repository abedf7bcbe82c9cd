#include "dataplane/http/request_head.h"

namespace nearfield::http {

void RequestHead::clear() {
  method = Method::kGet;
  method_text = "GET";
  authority.clear();
  target = "/";
  path_size = 1;
  version_minor = 1;
  framing = BodyFraming::kNone;
  keep_alive = true;
  expect_continue = false;
  content_length = 0;
  fields.clear();
}

}  // namespace nearfield::http
