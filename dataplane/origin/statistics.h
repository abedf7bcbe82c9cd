// OriginStatistics: what happened with one server, for metrics and status. One for each server of a
// group, shared by all workers; counters are relaxed atomics that any thread may read any time:
// each is exact, together they are a snapshot of no one moment.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "cache/base/clock.h"
#include "dataplane/origin/client.h"

namespace nearfield::origin {

inline constexpr std::size_t kFailureKinds = 6;                // of OriginFailureKind
inline const char* failure_kind_text(OriginFailureKind kind);  // "timed_out": a metrics label

class OriginStatistics {
 public:
  using Counter = std::atomic<std::uint64_t>;

  // Upper bounds of the first-byte histogram, seconds; one more bucket is above the last.
  static constexpr std::array<double, 13> kFirstByteBounds = {
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

  // --- counters ---
  Counter requests = 0;   // written to a connection, repeats included
  Counter responses = 0;  // final heads
  Counter completed = 0;  // responses that came whole
  Counter retries = 0;    // attempts that followed a failed one at this server
  Counter stale_connections =
      0;                  // kept connections that had died unnoticed; the call went on with another
  Counter cancelled = 0;  // calls given up by their caller with the response under way
  Counter request_bytes = 0;     // heads and bodies
  Counter response_bytes = 0;    // decoded bodies
  Counter unexpected_bytes = 0;  // connections closed because more came than was asked for
  Counter connections_opened = 0;
  Counter connections_reused = 0;  // calls that found a kept connection
  Counter resolve_failures = 0;
  Counter handshakes_failed = 0;                  // of TLS
  std::array<Counter, kFailureKinds> failures{};  // attempts that failed, by kind

  // --- gauges ---
  std::atomic<std::int64_t> connections_open = 0;
  std::atomic<std::int64_t> connections_idle = 0;
  std::atomic<std::int64_t> calls_waiting = 0;

  // --- from the request written to the final head read ---
  std::array<Counter, kFirstByteBounds.size() + 1>
      first_byte_buckets{};  // each by itself, not cumulative
  Counter first_byte_count = 0;
  Counter first_byte_microseconds = 0;

  void add_failure(OriginFailureKind kind) { add(failures[static_cast<std::size_t>(kind)]); }
  void add_first_byte(Duration elapsed);
  static void add(Counter& counter, std::uint64_t amount = 1) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }
  static void move(std::atomic<std::int64_t>& gauge, std::int64_t by) {
    gauge.fetch_add(by, std::memory_order_relaxed);
  }
};

inline void OriginStatistics::add_first_byte(Duration elapsed) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  std::size_t bucket = 0;
  while (bucket < kFirstByteBounds.size() && seconds > kFirstByteBounds[bucket]) ++bucket;
  add(first_byte_buckets[bucket]);
  add(first_byte_count);
  add(first_byte_microseconds,
      static_cast<std::uint64_t>(
          std::chrono::duration_cast<std::chrono::microseconds>(elapsed).count()));
}

inline const char* failure_kind_text(OriginFailureKind kind) {
  switch (kind) {
    case OriginFailureKind::no_origin:
      return "no_origin";
    case OriginFailureKind::unreachable:
      return "unreachable";
    case OriginFailureKind::timed_out:
      return "timed_out";
    case OriginFailureKind::broken:
      return "broken";
    case OriginFailureKind::malformed:
      return "malformed";
    case OriginFailureKind::overloaded:
      return "overloaded";
  }
  return "?";
}

}  // namespace nearfield::origin
