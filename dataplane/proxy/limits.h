// Limits: every bound and wait of the listener's side, with its default. All are configurable
// ([limits] of the configuration, see docs/configuration.md); what happens at each is said beside
// it. Every refusal is counted (counters.h).
#pragma once

#include <chrono>
#include <cstdint>

namespace nearfield::proxy {

struct Limits {
  // Connections of this process; beyond it a new one is reset. 0 means none are taken.
  std::uint32_t connections = 100'000;
  // Connections of one client prefix (/24 or /56); beyond it a new one is reset. Carrier-grade NAT
  // puts many listeners behind one address, so the default is generous. 0: not limited.
  std::uint32_t connections_per_prefix = 4096;
  int prefix_v4_bits = 24;
  int prefix_v6_bits = 56;

  // Request line and fields. Over: 431 (fields), 414 (target).
  std::uint32_t header_bytes = 16 * 1024;
  std::uint32_t header_count = 100;
  std::uint32_t target_bytes = 8 * 1024;
  // Body of a forwarded request, held whole so that it can be sent again safely. Over: 413.
  std::uint32_t request_body_bytes = 1024 * 1024;
  // Such bodies held by this process in all, from their first byte until their fetch ended. Over:
  // 503 with Retry-After. (A stream or connection that waited for room instead would hold what it
  // has, and so could all of them, for body_timeout.)
  std::uint64_t held_request_bytes = 64 * 1024 * 1024;
  // Requests on one connection before it is closed in order; bounds what one peer can make us
  // remember. 0: not limited.
  std::uint32_t requests_per_connection = 0;

  // HTTP/2. Streams of one connection at one time: what RFC 9113 6.5.2 names as the least that
  // should be allowed, and what clients count on. Over: the stream is refused (REFUSED_STREAM) as
  // long as the listener has not acknowledged our SETTINGS; afterwards it knows better, and the
  // connection ends with GOAWAY, PROTOCOL_ERROR (RFC 9113 5.1.2, 5.4.1).
  std::uint32_t http2_streams = 100;
  // Request bodies held on one connection in all its streams. Over: the stream is reset
  // (REFUSED_STREAM).
  std::uint32_t http2_body_bytes = 4 * 1024 * 1024;
  // Streams that a listener may open and reset, or break, at once and per second: one who leaves a
  // page or seeks cancels all it has, once; a rapid reset (CVE-2023-44487) goes on. Over: GOAWAY
  // with ENHANCE_YOUR_CALM.
  std::uint32_t http2_resets_burst = 200;
  std::uint32_t http2_resets_per_second = 20;
  // Frames that ask for nothing (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown ones;
  // CVE-2019-9512, 9515, 9518), at once and per second. Each request and each DATA frame sent
  // to the listener earns some more, so that window updates for what was sent are never too many.
  // Over: GOAWAY with ENHANCE_YOUR_CALM.
  std::uint32_t http2_frames_burst = 1000;
  std::uint32_t http2_frames_per_second = 100;
  // CONTINUATION frames of one header block (CVE-2024-27316): header_bytes fit in two. Over: as
  // above.
  std::uint32_t http2_continuations = 8;
  // Members of one SETTINGS frame; there are ten registered ones (CVE-2020-11080). Over: as above.
  std::uint32_t http2_settings = 32;
  // Acknowledgments of PING and SETTINGS that wait to be sent because the listener reads nothing.
  // Over: as above.
  std::uint32_t http2_acknowledgments = 200;

  // From the first byte of a request to the end of its head, and of its body. Over: 408 and close
  // (slowloris).
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{30'000};
  // Without a request. Over: close.
  std::chrono::milliseconds idle_timeout{75'000};
  // A response of which the peer takes nothing for this long, or less than minimum_send_rate over
  // it: reset (slow read).
  std::chrono::milliseconds send_timeout{20'000};
  std::uint32_t minimum_send_bytes_per_second = 1024;
  // A listener waits this long for the head of a response. Over: 504. The origin's own time-outs
  // are usually shorter.
  std::chrono::milliseconds response_timeout{60'000};

  // Fetches from origins under way, of this process. Over: 503 with Retry-After.
  std::uint32_t fetches = 4096;
  // Listeners waiting for the head of one fetch. Over: 503 with Retry-After.
  std::uint32_t waiting_per_fetch = 65'536;
  // Concurrent origin requests that fill different places of one object (listeners who seek in a
  // cold object).
  std::uint32_t parts_per_fetch = 4;
  // A listener who asks for bytes this far ahead of a running fetch waits for it rather than
  // starting another part.
  std::uint64_t seek_ahead_bytes = 1024 * 1024;
  // Ranges in one request; more are answered with the whole representation (RFC 9110 14.2).
  std::uint32_t ranges_per_request = 16;
  // Attempts to resume one broken body.
  std::uint32_t resumes_per_fetch = 4;
};

}  // namespace nearfield::proxy
