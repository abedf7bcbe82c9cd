// What nghttp2 calls, and how its sessions are made for an Http2Session. Internal to HTTP/2.
#pragma once

#include <nghttp2/nghttp2.h>

#include "dataplane/proxy/http2_session.h"

namespace nearfield::proxy {

// A server session that calls `session` and has its memory from `memory`, its SETTINGS submitted.
// Never null; the caller deletes it.
nghttp2_session* make_http2_library(Http2Session& session, Http2Memory& memory,
                                    const Limits& limits);

// What a session of nghttp2 is made with, to have its memory from `memory`.
nghttp2_mem hooks_of(Http2Memory& memory);

// Reads the content of a response; its source is the Http2Stream.
nghttp2_data_source_read_callback2 http2_content_callback();

}  // namespace nearfield::proxy
