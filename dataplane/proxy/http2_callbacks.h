// What nghttp2 calls, and how its sessions are made for an Http2Session. Internal to HTTP/2.
#pragma once

#include <nghttp2/nghttp2.h>

#include "dataplane/proxy/http2_session.h"

namespace nearfield::proxy {

// A server session that calls `session`, its SETTINGS submitted. Never null; the caller deletes it.
nghttp2_session* make_http2_library(Http2Session& session, const Limits& limits);

// Reads the content of a response; its source is the Http2Stream.
nghttp2_data_source_read_callback2 http2_content_callback();

}  // namespace nearfield::proxy
