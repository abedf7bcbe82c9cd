// Counters of one worker's TCP: what happened since the start, one noun a line, so that every drop
// has a reason and every retransmission a cause. Written by the worker alone; others read copies
// that it publishes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace nearfield::net::tcp {

struct Counters {
  // --- segments ---
  std::uint64_t segments_received = 0;
  std::uint64_t segments_sent = 0;           // a super-segment counts once
  std::uint64_t payload_bytes_received = 0;  // in order, given to the application
  std::uint64_t payload_bytes_sent = 0;      // retransmissions included
  std::uint64_t pure_acknowledgments_sent = 0;

  // --- connections ---
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;          // by the acceptor
  std::uint64_t table_overflows = 0;  // handshakes that found no free connection
  std::uint64_t resets_received = 0;
  std::uint64_t resets_sent = 0;
  std::uint64_t given_up = 0;  // the peer did not answer any more
  std::uint64_t time_wait_reused = 0;

  // --- handshakes ---
  std::uint64_t syns_received = 0;
  std::uint64_t syn_acks_sent = 0;
  std::uint64_t syn_acks_repeated = 0;
  std::uint64_t half_open_expired = 0;
  std::uint64_t cookies_sent = 0;
  std::uint64_t cookies_accepted = 0;
  std::uint64_t cookies_refused = 0;

  // --- loss, by cause ---
  std::uint64_t retransmitted_bytes = 0;
  std::uint64_t fast_recoveries = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t loss_probes = 0;
  std::uint64_t window_probes = 0;
  std::uint64_t path_mtu_reductions = 0;
  std::uint64_t spurious_recoveries = 0;  // taken back
  std::uint64_t echo_reductions = 0;      // ECN
  std::uint64_t duplicates_reported = 0;  // D-SACK blocks

  // --- receiving ---
  std::uint64_t out_of_order_segments = 0;
  std::uint64_t duplicate_segments = 0;

  // --- drops, by reason ---
  std::uint64_t dropped_malformed = 0;
  std::uint64_t dropped_no_listener = 0;
  std::uint64_t dropped_out_of_window = 0;
  std::uint64_t dropped_old_timestamp = 0;  // PAWS
  std::uint64_t dropped_unacceptable_acknowledgment = 0;
  std::uint64_t dropped_no_acknowledgment = 0;
  std::uint64_t dropped_no_memory = 0;  // reassembly was full
  std::uint64_t challenges_sent = 0;    // RFC 5961
  std::uint64_t challenges_withheld = 0;
  std::uint64_t errors_ignored = 0;  // ICMP about nothing we sent (RFC 5927)

  std::uint64_t output_refusals = 0;  // the device had no room

  // Smoothed round trips of acknowledgments: [i] counts those below 2^i times 64 us.
  static constexpr std::size_t kRoundTripBuckets = 20;
  std::array<std::uint64_t, kRoundTripBuckets> round_trips{};
};

}  // namespace nearfield::net::tcp
