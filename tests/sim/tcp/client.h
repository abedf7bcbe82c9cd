// Client: an active-open TCP for the simulation, simple in what it sends (go-back-N, a fixed
// window) and strict or perverse in what it receives, as its profile says. It verifies every byte
// it takes; what the server may send at all is watched at the server's door (watch.h).
//
// Positions count bytes of a stream from 0; the SYN is before position 0, the FIN takes the
// position after the last byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cache/base/clock.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/tcp/exchange.h"
#include "tests/sim/tcp/interval_set.h"
#include "tests/sim/tcp/packet.h"

namespace nearfield::sim::tcp {

enum class Closing {
  after_requests,  // FIN right behind the last request: half-closed while the answers come
  after_answers,   // FIN when every answer is there
  after_server,    // FIN when the server's FIN is there; the last request asks it to close
  crossing         // FIN a moment before the server's can arrive; the last request asks it to close
};

struct ClientProfile {
  // --- the exchange ---
  std::vector<std::uint64_t> answer_bytes;  // one request each; at least one
  // What follows each request, uploaded while its answer may come already; fewer than requests:
  // the others have none. With any, the client keeps to a congestion window of its own.
  std::vector<std::uint32_t> body_bytes;
  bool pipelined = true;  // else each request waits for the answer before, and `think`
  Duration think{};
  Closing closing = Closing::after_answers;
  // --- offered in the SYN ---
  std::optional<std::uint16_t> maximum_segment_bytes = 1460;  // none: 536, or 1220 over IPv6
  std::optional<std::uint8_t> window_scale = 7;
  bool sack = true;
  bool timestamps = true;
  bool ecn = false;
  // --- receiving ---
  bool duplicate_sack = true;      // RFC 2883, where SACK is on
  unsigned acknowledge_every = 2;  // segments; 1: at once; more than 2: stretched
  Duration acknowledge_delay = std::chrono::milliseconds(40);
  std::size_t receive_buffer_bytes = 256 * 1024;  // 1 or more; at least 1 << window_scale
  std::uint64_t read_bytes_per_second = 0;        // 0: at once
  // Reads nothing for a while, once so many bytes have come.
  struct Hold {
    std::uint64_t after_bytes = 0;
    Duration time{};
    bool shrinks = false;  // takes back the window it had promised (RFC 9293 3.8.6: the sender
                           // must bear it), and drops what comes
  };
  std::optional<Hold> hold;
  // Forgets once what it had acknowledged by SACK only, when so many bytes have come (RFC 2018
  // section 8).
  std::optional<std::uint64_t> reneges_after_bytes;
  // --- sending ---
  std::size_t smallest_split_bytes = 16;  // requests leave in pieces between these two
  std::size_t largest_split_bytes = 160;
  Duration split_pause{};
  bool overlaps = false;  // pieces begin a little before what was acknowledged
  std::size_t largest_body_piece_bytes = 1400;  // bodies leave in pieces of half this to this
  bool urgent = false;  // URG on pieces of requests; the server is to ignore it
  Duration retransmit_time = std::chrono::milliseconds(500);  // doubled up to 8 s
  // --- keep-alive and junk ---
  std::optional<Duration> keep_alive;  // probes while nothing of ours is outstanding
  unsigned junk_segments = 0;  // out of window, spoofed RST and SYN, impossible acknowledgments
  Duration junk_pause = std::chrono::milliseconds(20);
  // --- what may happen on the way ---
  // A middlebox takes timestamps away that were agreed on: the client goes on without them, and
  // the server may as well.
  bool may_lose_timestamps = false;
  // The server has not room for everyone: it may reset, or keep waiting, a client that it has
  // given nothing yet.
  bool may_be_refused = false;
  // --- ends early ---
  std::optional<std::uint64_t> reset_after_bytes;
  std::optional<std::uint64_t> vanish_after_bytes;

  std::uint64_t expected_bytes() const;
  std::uint64_t request_bytes() const;  // all that the client sends, bodies included
  // Where in that the request begins whose answer is this one; `index` up to their number, which
  // gives the end of all.
  std::uint64_t request_begin(std::size_t index) const;
  bool server_closes() const {
    return closing == Closing::after_server || closing == Closing::crossing;
  }
};

struct ClientCounters {
  std::uint64_t segments_sent = 0;
  std::uint64_t segments_received = 0;
  std::uint64_t damaged = 0;          // dropped for their checksum or shape
  std::uint64_t duplicate_bytes = 0;  // received again
  std::uint64_t out_of_order = 0;     // segments
  std::uint64_t timeouts = 0;         // our own retransmissions
  std::uint64_t fast_retransmissions = 0;
  std::uint64_t keep_alives = 0;
  std::uint64_t keep_alives_answered = 0;
  std::uint64_t junk = 0;
  std::uint64_t congestion_marks = 0;
  std::uint64_t old_timestamps = 0;  // dropped by PAWS
  std::uint64_t zero_windows = 0;    // acknowledgments sent with a closed window
};

class Client {
 public:
  enum class State { waiting, opening, established, finished, reset, vanished, reset_by_server };
  struct Identity {
    Endpoint local;
    Endpoint server;
    std::uint32_t connection = 0;  // chooses the pattern
    std::uint32_t initial_sequence = 0;
    std::uint32_t timestamp_offset = 0;  // milliseconds, added to the clock's
    std::uint64_t seed = 0;
  };

  Client(const ClientProfile& profile, const Identity& identity,
         std::function<void(Bytes packet)> send, std::function<void(std::string what)> violation);

  void start(MonotonicTime now);
  void receive(std::span<const std::byte> packet, MonotonicTime now);
  void run(MonotonicTime now);
  // Falls silent for ever: who waited for a place in vain.
  void give_up() {
    state_ = State::vanished;
    acknowledge_at_.reset();
  }
  std::optional<MonotonicTime> next_deadline() const;

  State state() const { return state_; }
  bool is_over() const { return state_ >= State::finished; }
  std::uint64_t received_bytes() const { return received_in_order_; }
  std::uint64_t expected_bytes() const { return expected_bytes_; }
  // The first sequence number a successor may use (RFC 9293 3.4.1).
  std::uint32_t next_initial_sequence() const;
  const ClientCounters& counters() const { return counters_; }

 private:
  // client.cc: life and sending
  void build_requests();
  Segment blank() const;
  void transmit(Segment segment);
  void send_syn(MonotonicTime now);
  void send_requests(MonotonicTime now);
  void send_piece(std::uint64_t begin, std::uint64_t end, bool fin, MonotonicTime now);
  void send_reset(std::uint32_t sequence);
  void send_keep_alive(MonotonicTime now);
  void send_junk(MonotonicTime now);
  void retransmit(MonotonicTime now);
  void retransmit_first(MonotonicTime now);
  void note_progress(std::uint64_t acknowledged_bytes);
  void release_requests(MonotonicTime now);
  void consider_ending(MonotonicTime now);
  std::uint64_t sendable_end() const;
  void arm_retransmit(MonotonicTime now);
  std::uint64_t next_expected() const { return received_in_order_ + (server_fin_taken_ ? 1 : 0); }
  // client_receive.cc
  void receive_opening(const Segment& segment, MonotonicTime now);
  bool receive_acknowledgment(const Segment& segment, MonotonicTime now);
  void receive_established(const Segment& segment, MonotonicTime now);
  void receive_payload(const Segment& segment, std::int64_t begin, MonotonicTime now);
  void take_in_order(std::uint64_t begin, std::uint64_t end);
  void obey_profile(MonotonicTime now);  // hold, renege, reset, vanish
  void read_application(MonotonicTime now);
  void renege();
  bool is_shrunk() const;
  std::uint64_t free_bytes() const;
  void add_sack_blocks(Segment& segment);
  void send_acknowledgment(MonotonicTime now);
  // Window, acknowledgment, timestamps and ECE of the moment; remembers what it promised.
  void dress(Segment& segment, MonotonicTime now);
  std::int64_t position_of(std::uint32_t sequence) const;
  std::uint32_t sequence_at(std::uint64_t position) const {
    return server_initial_ + 1 + static_cast<std::uint32_t>(position);
  }

  const ClientProfile profile_;
  const Identity identity_;
  const std::function<void(Bytes)> send_;
  const std::function<void(std::string)> violation_;
  Random random_;
  State state_ = State::waiting;
  ClientCounters counters_;

  // sending
  Bytes requests_;
  std::vector<std::uint64_t> request_begins_;  // and the end of all
  std::uint64_t released_ = 0;                 // bytes of requests_ that may be sent
  std::size_t asked_ = 0;                      // requests
  std::uint64_t expected_bytes_ = 0;
  std::vector<std::uint64_t> answer_ends_;
  std::optional<MonotonicTime> think_until_;
  std::uint64_t unacknowledged_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t farthest_ = 0;
  std::uint64_t server_edge_ = 0;
  // RFC 5681 and 6582 as plainly as can be; with bodies only.
  std::uint64_t congestion_window_ = UINT64_MAX;
  std::uint64_t slow_start_threshold_ = UINT64_MAX;
  unsigned duplicate_acknowledgments_ = 0;
  std::optional<std::uint64_t> recovers_to_;
  std::uint8_t server_scale_ = 0;
  std::size_t server_segment_bytes_ = 536;
  bool fin_wanted_ = false;
  bool fin_sent_ = false;
  std::optional<MonotonicTime> retransmit_at_;
  Duration retransmit_time_;
  MonotonicTime next_piece_at_{};
  std::optional<MonotonicTime> keep_alive_at_;
  bool keep_alive_waits_ = false;
  std::optional<MonotonicTime> junk_at_;
  unsigned junk_left_ = 0;
  bool window_reduced_due_ = false;  // CWR

  // receiving
  std::uint32_t server_initial_ = 0;
  bool sack_on_ = false;
  bool timestamps_on_ = false;
  bool ecn_on_ = false;
  std::uint8_t scale_ = 0;
  std::uint32_t recent_timestamp_ = 0;
  std::uint64_t received_in_order_ = 0;
  std::uint64_t read_ = 0;
  std::uint64_t edge_ = 0;          // the farthest promised
  std::uint64_t offered_edge_ = 0;  // the last promised
  std::uint64_t last_acknowledged_ = 0;
  std::optional<std::uint64_t> server_fin_at_;
  bool server_fin_kept_ = false;  // arrived, perhaps behind a hole
  bool server_fin_taken_ = false;
  IntervalSet out_of_order_;
  std::vector<std::uint64_t> recent_blocks_;  // one position in each, the latest first
  std::optional<IntervalSet::Range> duplicate_;
  unsigned unacknowledged_segments_ = 0;
  std::optional<MonotonicTime> acknowledge_at_;
  MonotonicTime next_read_at_{};
  std::optional<MonotonicTime> hold_until_;
  bool held_ = false;
  bool reneged_ = false;
  bool congestion_echo_ = false;
};

}  // namespace nearfield::sim::tcp
