// Watch: stands at the server's door and holds every packet that goes out against what came in.
// It knows only what the server can know (packets that were delivered to it), so a check is as
// sharp as the RFC: no byte beyond a window that has arrived, no answer to a request that has not,
// no acknowledgment of what did not come.
//
// Checked: shape and checksum of packets (by the reader), the SYN-ACK's options, silence before the
// handshake ends, bytes, windows (one byte beyond is a probe, RFC 9293 3.8.6.1), segment size, the
// initial window (RFC 6928), FIN and RST only where they belong, acknowledgments, SACK blocks,
// timestamps (RFC 7323), ECN marks (RFC 3168).
//
// A server that answers SYNs with cookies (RFC 4987 3.6) keeps nothing of them. So it may answer a
// stray SYN before the handshake has ended (RFC 9293 3.10.7.2: it is listening still), and when a
// connection has gone, a late duplicate of what ended its handshake begins it once more: a second
// life, which is watched from its beginning like the first.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/tcp/client.h"

namespace nearfield::sim::tcp {

// What has passed between the two since the handshake.
struct WatchedLife {
  // the client, as far as it has come
  IntervalSet arrived;  // bytes, and the FIN as the position behind them
  std::uint64_t edge = 0;
  std::uint64_t acknowledged = 0;
  std::optional<std::uint32_t> first_timestamp;
  std::uint32_t last_timestamp = 0;
  bool acknowledged_anything = false;
  bool reset_arrived = false;
  // the server
  std::uint64_t farthest = 0;
  std::optional<std::uint64_t> fin_at;
  std::int64_t last_acknowledgment = 0;
  std::optional<Timestamps> last_emitted_timestamps;
};

class Watch {
 public:
  // `before`: of the last connection from this address and port, if any; it is not kept.
  Watch(const ClientProfile& profile, const Client::Identity& identity, bool cookies,
        const Watch* before, std::function<void(std::string what)> violation);

  void delivered(const Segment& segment);  // undamaged, from the client, now at the server
  void emitted(const Segment& segment);    // by the server to the client
  // The client reset the connection or vanished: the server may give up.
  void client_left() { client_left_ = true; }

  std::uint64_t retransmitted_bytes() const { return retransmitted_bytes_; }
  std::uint64_t farthest_position() const { return life_.farthest; }
  // For traces: sequence numbers from here on are printed.
  std::uint32_t client_initial() const { return identity_.initial_sequence; }
  std::uint32_t server_initial() const { return initials_.empty() ? 0 : initials_.back(); }

 private:
  void check_syn(const Segment& segment);
  void check_agreement(const Segment& segment);
  void check_payload(const Segment& segment, std::int64_t begin);
  void check_fin(std::int64_t position);
  void check_acknowledgment(const Segment& segment);
  void check_timestamps(const Segment& segment);
  void check_congestion_marks(const Segment& segment, std::int64_t begin);
  void note_timestamps(WatchedLife& life, const Segment& segment) const;
  void note_delivery(WatchedLife& life, const Segment& segment) const;
  bool server_may_be_gone() const;
  bool has_ended() const;
  bool begins_again(const Segment& segment) const;
  std::int64_t server_position(const WatchedLife& life, std::uint32_t sequence) const;
  std::int64_t client_position(std::uint32_t sequence) const;

  const ClientProfile profile_;
  const Client::Identity identity_;
  const bool cookies_;
  const std::function<void(std::string)> violation_;
  const std::uint64_t request_bytes_;
  const std::uint64_t expected_bytes_;
  std::vector<std::uint64_t> header_ends_;  // of requests, bodies come behind
  std::vector<std::uint64_t> answer_ends_;
  bool client_left_ = false;

  std::vector<std::uint32_t> syns_;              // that arrived, also strays and earlier ones
  std::vector<std::uint32_t> initials_;          // of SYN-ACKs emitted; cookies may differ
  std::optional<std::uint32_t> server_initial_;  // the one the client chose
  bool spoke_ = false;                           // anything but SYN-ACKs
  bool another_began_ = false;                   // half open, by a SYN that came after the end
  bool sack_on_ = false;
  bool timestamps_on_ = false;
  bool ecn_on_ = false;
  bool scale_on_ = false;
  WatchedLife life_;
  std::optional<WatchedLife> next_life_;  // what a server without memory would know by now
  std::uint64_t retransmitted_bytes_ = 0;
};

}  // namespace nearfield::sim::tcp
