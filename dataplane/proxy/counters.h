// Counters: what one worker did, for `status`, `/metrics` and the live line. Written by its worker
// only, read by anyone: relaxed atomics, summed over workers by whoever shows them.
//
// The table below is the single list; control/ turns it into names, help texts and types, so that a
// counter added here is shown everywhere at once.
#pragma once

#include <atomic>
#include <cstdint>

#include "cache/base/count.h"

namespace nearfield::proxy {

// X(name, "help")
#define NEARFIELD_PROXY_COUNTERS(X)                                                            \
  X(connections_accepted, "Connections taken from listeners")                                  \
  X(connections_closed, "Listener connections that ended")                                     \
  X(connections_refused_total, "Connections reset because the node has its maximum")           \
  X(connections_refused_prefix, "Connections reset because the client prefix has its maximum") \
  X(requests, "Requests whose head was read")                                                  \
  X(requests_malformed,                                                                        \
    "Requests answered with 400, 414, 431, 501 or 505, and what was no HTTP and was not "      \
    "answered, which is not in requests")                                                      \
  X(responses_2xx, "Responses with a 2xx status")                                              \
  X(responses_3xx, "Responses with a 3xx status")                                              \
  X(responses_4xx, "Responses with a 4xx status")                                              \
  X(responses_5xx, "Responses with a 5xx status")                                              \
  X(responses_broken, "Responses cut short because their body could not be completed")         \
  X(sent_bytes, "Bytes sent to listeners, heads included")                                     \
  X(cache_hits, "Requests answered from the cache without waiting for an origin")              \
  X(cache_hits_stale, "Of these, answered with a stale response that was allowed")             \
  X(cache_hits_validated, "Requests answered from the cache after the origin confirmed it")    \
  X(cache_collapsed, "Requests that shared the fetch of another request")                      \
  X(cache_misses, "Requests that started a fetch")                                             \
  X(cache_passes, "Requests forwarded without the cache")                                      \
  X(cache_hit_bytes, "Body bytes sent from the cache")                                         \
  X(cache_miss_bytes, "Body bytes sent while they were fetched")                               \
  X(fetches_started, "Fetches begun")                                                          \
  X(fetches_stored, "Fetches whose response was kept whole")                                   \
  X(fetches_streamed, "Fetches whose response passed through without being kept")              \
  X(fetches_failed, "Fetches that ended without a usable or whole response")                   \
  X(fetches_resumed, "Times a broken body was continued with Range and If-Range")              \
  X(fetches_background, "Validations done behind a stale response")                            \
  X(listeners_cut_loose, "Listeners whose slow reading held up others of a body not kept")     \
  X(listeners_continued, "Responses whose rest was fetched for one listener alone")            \
  X(origin_body_bytes, "Body bytes received from origins")                                     \
  X(invalidations, "Stored responses removed because an unsafe method succeeded")              \
  X(limit_fetches, "Requests refused because too many fetches are under way")                  \
  X(limit_waiting, "Requests refused because too many listeners wait for one fetch")           \
  X(limit_request_body, "Requests refused with 413")                                           \
  X(limit_request_bodies,                                                                      \
    "Requests refused because the content of others takes up what may be held")                \
  X(http2_connections, "Listener connections that speak HTTP/2")                               \
  X(http2_streams, "Streams that listeners opened over HTTP/2")                                \
  X(http2_streams_reset, "Streams that listeners reset before the response was whole")         \
  X(http2_streams_refused, "Streams refused because of how they were asked, or over a limit")  \
  X(http2_protocol_errors, "HTTP/2 connections ended because the listener broke its rules")    \
  X(http2_limit_resets, "HTTP/2 connections ended because too many streams were reset")        \
  X(http2_limit_frames, "HTTP/2 connections ended because of frames that ask for nothing")     \
  X(http2_limit_headers, "HTTP/2 connections ended because of header blocks without end")      \
  X(http2_rests, "Times an idle HTTP/2 connection gave its frame buffer back")                 \
  X(http2_stalled_streams, "Streams ended because the listener gave no window for too long")   \
  X(https_redirects, "Requests in clear text sent to https")                                   \
  X(timeout_header, "Connections closed because a request head took too long")                 \
  X(timeout_body, "Connections closed because a request body took too long")                   \
  X(timeout_idle, "Idle connections closed")                                                   \
  X(timeout_send, "Connections reset because the listener read too slowly")                    \
  X(timeout_response, "Requests answered with 504 because no response head came in time")

struct Counters {
#define NEARFIELD_DECLARE_COUNTER(name, help) std::atomic<std::uint64_t> name{0};
  NEARFIELD_PROXY_COUNTERS(NEARFIELD_DECLARE_COUNTER)
#undef NEARFIELD_DECLARE_COUNTER

  // Gauges.
  std::atomic<std::int64_t> connections_open{0};
  std::atomic<std::int64_t> fetches_open{0};
};

// As count().
inline void adjust(std::atomic<std::int64_t>& gauge, std::int64_t amount) {
  gauge.store(gauge.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace nearfield::proxy
