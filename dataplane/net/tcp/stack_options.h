// StackOptions: the bounds and habits of one worker's TCP, all fixed when it starts.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cache/base/clock.h"
#include "cache/base/siphash.h"

namespace nearfield::net::tcp {

struct StackOptions {
  // --- memory; all of it is taken at the start ---
  std::size_t maximum_connections = 16384;
  // Half-open connections that are remembered; beyond them SYN cookies answer (RFC 4987 3.6).
  std::size_t maximum_half_open = 4096;
  std::size_t maximum_time_wait = 16384;
  // Ranges of sent data beyond the two each connection has (48 bytes each): a connection that loses
  // one packet in two of a 1 MiB flight takes about 720.
  std::size_t shared_transmissions = 262144;
  // 2 KiB each: what requests that came out of order, or faster than they were read, may hold.
  std::size_t receive_chunks = 4096;
  std::size_t remembered_path_mtus = 4096;

  // --- the wire ---
  // Largest IP packet the device takes; 1280 to 65535.
  std::uint16_t packet_bytes = 1500;
  // What one transmission names at most; the output cuts it into packets. At least one packet.
  std::uint32_t burst_bytes = 64 * 1024;
  // Offered receive window, at most 65535: requests are small, and no scaling is needed then.
  std::uint16_t receive_window_bytes = 65535;
  bool ecn = true;         // RFC 3168, when the peer asks
  bool timestamps = true;  // RFC 7323, when the peer offers
  bool sack = true;        // RFC 2018, when the peer offers
  bool pacing = true;
  // Answer every SYN with a cookie, as if the half-open table were full.
  bool always_cookies = false;

  // --- waits ---
  Duration time_wait = std::chrono::seconds(60);
  // How long a peer that answers nothing is believed to be there (RFC 9293 3.8.3, R2: at least
  // 100 s).
  Duration give_up_after = std::chrono::seconds(120);
  // A quiet connection is probed after this long (RFC 9293 3.8.4: at least two hours when on).
  Duration keep_alive = Duration::zero();                         // 0: never
  Duration acknowledgment_delay = std::chrono::milliseconds(40);  // RFC 9293 3.8.6.3: below 500 ms
  // After our FIN: how long the peer may take to end too, and how much it may still send.
  Duration linger = std::chrono::seconds(1);
  std::uint32_t linger_bytes = 64 * 1024;

  // --- strangers ---
  std::uint32_t challenges_per_second = 1000;  // RFC 5961 7
  std::uint32_t resets_per_second = 1000;      // for segments of no connection

  // Keys the tables, initial sequence numbers and cookies. Secret, and different each start.
  SipHashKey secret;
};

}  // namespace nearfield::net::tcp
