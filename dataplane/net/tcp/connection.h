// Connection: one TCP connection of a server, from the end of its handshake on (RFC 9293). It is
// the Stream its handler sees, and the noun that ties together what each other file of this folder
// knows about one thing.
//
// Invariant: the send plan holds exactly the bytes from plan_begin_ on that the application wants
// delivered; unacknowledged_ <= next_ <= their end (one more with the FIN); and the transmission
// log covers [unacknowledged_, next_).
//
// The awkward part is time: a segment's arrival, an application's call and a timer may each make
// several things due. None of them sends or calls back by itself; they leave marks, and run() does
// what is due when it is the connection's turn. Only arriving bytes and their end are handed up at
// once.
//
// Sources, by rule: arrival of a segment connection_receive.cc (RFC 9293 3.10.7, RFC 5961, RFC
// 7323), acknowledgments and recovery connection_acknowledge.cc (RFC 5681, 6582, 6675, 9937, 8985,
// 2883, 3168), sending connection_transmit.cc (RFC 9293 3.8.6, RFC 1122 4.2.3.4), timers
// connection_timers.cc (RFC 6298, 8985 7), birth and end connection.cc.
//
// One thread. At most 1 KiB of what is needed while it sends, and 128 bytes beside it for the rest;
// what is not here is shared or pooled.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "dataplane/net/stream.h"
#include "dataplane/net/tcp/congestion.h"
#include "dataplane/net/tcp/core.h"
#include "dataplane/net/tcp/handshake.h"
#include "dataplane/net/tcp/output.h"
#include "dataplane/net/tcp/pacer.h"
#include "dataplane/net/tcp/path_mtu.h"
#include "dataplane/net/tcp/prr.h"
#include "dataplane/net/tcp/rack.h"
#include "dataplane/net/tcp/reassembly.h"
#include "dataplane/net/tcp/round_trip.h"
#include "dataplane/net/tcp/transmission_log.h"
#include "dataplane/net/timer.h"

namespace nearfield::net::tcp {

// The states a server's connection passes once it is established (RFC 9293 3.3.2). LISTEN and
// SYN-RECEIVED are the stack's, TIME-WAIT is a table of its own.
enum class State : std::uint8_t {
  free,  // the slot is nobody's
  established,
  fin_wait_1,
  fin_wait_2,
  close_wait,
  closing,
  last_ack,
  closed  // the flow is free; the handler has to hear of it, or a device still reads our bytes
};
const char* name_of(State state);

// What a handshake left.
struct Handshake {
  Flow flow;
  PeerOffer peer;
  SequenceNumber initial;  // ours
  std::uint32_t timestamp_offset = 0;
  std::uint32_t window = 0;  // of the ACK that completed it, shifted
  bool timestamps = false;
  bool sack = false;
  bool ecn = false;
  std::uint8_t syn_acks_repeated = 0;
  Duration round_trip{-1};  // negative: not known
};

// A connection as an operator sees it.
struct ConnectionView {
  Flow flow;
  State state = State::free;
  Duration smoothed_round_trip{};
  Duration minimum_round_trip{};
  Duration retransmission_timeout{};
  std::uint64_t congestion_window_bytes = 0;
  std::uint64_t slow_start_threshold_bytes = 0;
  std::uint64_t pacing_bytes_per_second = 0;
  std::uint64_t in_flight_bytes = 0;
  std::uint64_t lost_bytes = 0;
  std::uint64_t sacked_bytes = 0;
  std::uint64_t unsent_bytes = 0;
  std::uint64_t peer_window_bytes = 0;
  std::uint64_t receive_held_bytes = 0;
  std::uint64_t acknowledged_bytes = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t retransmitted_bytes = 0;
  std::uint32_t segment_bytes = 0;
  std::uint16_t packet_bytes = 0;
  std::uint8_t consecutive_timeouts = 0;
  bool sack = false;
  bool timestamps = false;
  bool ecn = false;
  const char* congestion_control = "";
  const char* recovery = "";
};

class Connection final : public Stream {
 public:
  static constexpr std::size_t kColdBytes = 128;  // the last members

  explicit Connection(Core& core) : core_(core) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // --- beginning ---
  void open(const Handshake& handshake);
  // After open(): who listens. Without it, refuse() sends a RST and frees the slot.
  void start(StreamHandler& handler);
  void refuse();

  // --- from the stack ---
  void receive(const Segment& segment, bool congestion_experienced);
  // A SYN came for this flow: RFC 5961 4.2.
  void challenge();
  // A router says that the packet with this number and length was too big (RFC 1191, RFC 8201).
  void on_packet_too_big(SequenceNumber quoted, std::uint32_t mtu, std::uint16_t quoted_bytes);
  enum class Turn {
    done,
    more,    // there is more to send: the others first
    blocked  // the output is full
  };
  Turn run();
  // The stack ends: tells the handler at once, sends nothing.
  void drop();

  State state() const { return state_; }
  bool in_use() const { return state_ != State::free; }
  const Flow& flow() const { return flow_; }
  ConnectionView view() const;
  // What TIME-WAIT has to know.
  SequenceNumber send_next() const { return ours_.number_of(next_); }
  SequenceNumber receive_next() const { return theirs_.number_of(receive_next_); }
  std::uint32_t recent_timestamp() const { return recent_timestamp_; }
  std::uint32_t timestamp_offset() const { return timestamp_offset_; }
  bool timestamps() const { return timestamps_; }
  // Aborts when an invariant does not hold; for tests.
  void check() const;

  // --- Stream ---
  void wake_sender() override;
  void resume_receive() override;
  void close_after_send() override;
  void abort() override;
  std::uint64_t acknowledged_bytes() override;
  const Endpoint& peer() const override { return flow_.peer; }
  const Endpoint& local() const override { return flow_.local; }
  Staging* staging() override { return core_.output.staging(); }

 private:
  friend struct Core;

  enum class Recovery : std::uint8_t { none, fast, timeout };
  enum class LossTimer : std::uint8_t { none, reordering, probe, retransmission, window };
  struct PendingRelease {
    StreamPosition to = 0;  // 0: none
    Ticket after = 0;
  };

  // connection.cc
  void ready() { core_.mark_ready(*this); }
  void finish(CloseReason reason, bool time_wait = false);
  void tell_end();
  void release_plan();
  Congestion& congestion() { return *reinterpret_cast<Congestion*>(congestion_); }
  const Congestion& congestion() const { return *reinterpret_cast<const Congestion*>(congestion_); }
  bool alive() const { return state_ != State::free && state_ != State::closed; }

  // connection_receive.cc
  bool check_timestamps(const Segment& segment);
  bool check_sequence(const Segment& segment, StreamPosition begin);
  bool check_acknowledgment(const Segment& segment, StreamPosition* acknowledged);
  void receive_payload(const Segment& segment, StreamPosition begin);
  void take_in_order(std::span<const std::byte> bytes);
  void drop_in_order(std::uint64_t bytes);
  void offer_held();
  void receive_fin();
  void announce_end_if_due();
  void acknowledge_now();
  void acknowledge_later(std::size_t payload_bytes);
  bool our_end_is_sent() const;
  StreamPosition receive_right() const;
  // Less than this of more room is not told (RFC 9293 3.8.6.2.2).
  std::uint64_t window_step() const {
    return std::min<std::uint64_t>(core_.options.receive_window_bytes / 2, segment_bytes_);
  }

  // connection_acknowledge.cc
  void process_acknowledgment(const Segment& segment, StreamPosition begin,
                              StreamPosition acknowledged);
  StreamPosition process_sacks(const Segment& segment, StreamPosition acknowledged,
                               TransmissionLog::Delivery* delivery);
  void on_duplicate_reported(StreamPosition begin, StreamPosition end);
  std::optional<std::uint32_t> echo_of(const Segment& segment) const;
  // `echo`: of an acknowledgment that advances.
  void sample_round_trip(const TransmissionLog::Delivery& delivery,
                         std::optional<std::uint32_t> echo);
  bool update_window(const Segment& segment, StreamPosition begin, StreamPosition acknowledged);
  std::uint64_t count_duplicate(const Segment& segment, bool advanced, bool window_changed,
                                std::uint64_t delivered_bytes);
  bool detect_losses(std::uint64_t in_flight_before);
  // With ECN: whether what begins here was under way at the last reduction. There is one for a
  // window of data, be there echoes, losses or both in it (RFC 3168 6.1.2).
  bool is_answered(StreamPosition position) const { return ecn_ && position + 1 < echo_end_; }
  void enter_recovery(std::uint64_t in_flight_before);
  void leave_recovery();
  void undo_recovery();
  void end_of_ours_acknowledged();
  Rack::Path path() const { return {round_trip_.smoothed(), round_trip_.minimum()}; }
  std::uint64_t in_flight() const;

  // connection_transmit.cc
  void fill_plan();
  Turn transmit_lost(std::uint64_t* budget);
  Turn transmit_new(std::uint64_t* budget);
  std::uint64_t congestion_allowance() const;
  bool pacer_allows(std::uint64_t wanted_bytes, std::uint64_t* allowance);
  std::uint64_t whole_segments(std::uint64_t bytes) const;
  bool transmit_range(TransmissionLog::Range range, bool again);
  void on_range_sent(TransmissionLog::Range range, bool again);
  bool transmit_acknowledgment(StreamPosition position);
  bool transmit_reset();
  Header make_header(StreamPosition position);
  void on_header_sent();
  StreamPosition data_end() const { return plan_begin_ + plan_.size_bytes(); }
  StreamPosition stream_end() const { return data_end() + (ending_ ? 1 : 0); }
  std::uint64_t peer_window() const { return window_right_ > next_ ? window_right_ - next_ : 0; }
  void update_segment_bytes();
  std::uint32_t full_packet_bytes() const;

  // connection_timers.cc
  static void on_loss_timer(void* context);
  static void on_pacing_timer(void* context);
  static void on_acknowledgment_timer(void* context);
  static void on_slow_timer(void* context);
  void arm_loss_timer();
  void arm_slow_timer();
  Duration retransmission_timeout() const;
  void retransmission_timed_out();
  bool probe_tail();
  bool probe_window();
  bool given_up(MonotonicTime since);

  Core& core_;
  Connection* next_ready_ = nullptr;
  StreamHandler* handler_ = nullptr;
  Flow flow_;
  State state_ = State::free;
  CloseReason close_reason_ = CloseReason::finished;

  // --- marks for run() ---
  bool queued_ : 1 = false;
  bool starved_ : 1 = false;  // the handler had nothing to send
  bool ending_ : 1 = false;   // close_after_send()
  bool aborting_ : 1 = false;
  bool acknowledgment_due_ : 1 = false;
  bool resume_requested_ : 1 = false;
  bool tail_probe_due_ : 1 = false;
  bool window_probe_due_ : 1 = false;
  bool keep_alive_due_ : 1 = false;
  // --- habits agreed in the handshake ---
  bool sack_ : 1 = false;
  bool timestamps_ : 1 = false;
  bool ecn_ : 1 = false;
  bool v4_ : 1 = false;
  // --- receiving ---
  bool paused_ : 1 = false;
  bool end_announced_ : 1 = false;
  bool echo_congestion_ : 1 = false;  // ECE until CWR (RFC 3168 6.1.3)
  // --- sending ---
  bool reduction_untold_ : 1 = false;  // CWR on the next new data (RFC 3168 6.1.2)
  bool window_limited_ : 1 = false;
  bool episode_reduced_ : 1 = false;   // the window, for losses of its own
  bool episode_unproven_ : 1 = false;  // no ACK since the episode's first retransmission
  bool partial_seen_ : 1 = false;      // an acknowledgment has advanced within this recovery
  bool congestion_made_ : 1 = false;

  Recovery recovery_ = Recovery::none;
  LossTimer loss_timer_for_ = LossTimer::none;
  std::uint8_t consecutive_timeouts_ = 0;  // without progress in between
  std::uint8_t back_off_ = 0;              // doublings of the time-out (RFC 6298 5.5)
  std::uint8_t peer_window_shift_ = 0;
  std::uint8_t unacknowledged_segments_ = 0;  // full ones received since our last ACK
  std::uint16_t peer_segment_bytes_ = 536;

  // --- sending ---
  SequenceSpace ours_;
  std::uint32_t segment_bytes_ = 536;    // payload of a full packet with our usual options
  StreamPosition unacknowledged_ = 0;    // SND.UNA
  StreamPosition next_ = 0;              // SND.NXT
  StreamPosition highest_sent_ = 0;      // next_, or beyond it after a window probe was undone
  StreamPosition window_right_ = 0;      // SND.UNA + SND.WND
  StreamPosition window_told_at_ = 0;    // SND.WL1, theirs
  StreamPosition window_told_with_ = 0;  // SND.WL2
  std::uint32_t largest_window_ = 0;     // ever offered to us
  std::uint32_t duplicate_acknowledgments_ = 0;
  StreamPosition plan_begin_ = 0;
  SendPlan plan_;
  TransmissionLog log_;
  Ticket last_ticket_ = 0;

  // --- recovery ---
  StreamPosition recovery_end_ = 0;  // leave when acknowledged
  StreamPosition echo_end_ = 0;      // with ECN: the next reduction for an echo not before
  StreamPosition round_end_ = 0;
  StreamPosition episode_begin_ = 0;               // SND.UNA when the episode began
  std::uint64_t episode_retransmitted_bytes_ = 0;  // not reported as duplicates so far
  StreamPosition episode_retransmitted_end_ = 0;   // nothing behind it was sent twice by us
  std::uint32_t episode_timestamp_ = 0;            // of the first retransmission (RFC 3522)
  Rack rack_;
  TailLossProbe tail_probe_;
  ProportionalRateReduction reduction_;
  RoundTrip round_trip_;
  Pacer pacer_;
  PathMtu path_mtu_;
  MonotonicTime last_sent_at_{};
  MonotonicTime last_heard_at_{};
  MonotonicTime retransmission_base_{};  // the retransmission timer counts from here (RFC 6298 5)
  MonotonicTime probe_base_{};           // the probe timer does (RFC 8985 7.2)
  MonotonicTime reordering_until_{};     // then some suspects are lost; the epoch: none
  MonotonicTime loss_due_{};             // the loss timer's, which may fire before

  // --- receiving ---
  SequenceSpace theirs_;
  std::uint32_t recent_timestamp_ = 0;           // TS.Recent
  StreamPosition receive_next_ = 0;              // RCV.NXT
  StreamPosition consumed_ = 0;                  // the application's
  StreamPosition offered_right_ = 0;             // the right edge we told, never taken back
  StreamPosition last_acknowledgment_sent_ = 0;  // Last.ACK.sent (RFC 7323 4.3)
  StreamPosition fin_position_ = 0;              // 0: no FIN so far
  MonotonicTime recent_timestamp_at_{};
  std::uint32_t timestamp_offset_ = 0;
  // Of our clock when everything that is not acknowledged was yet to be sent for the first time.
  std::uint32_t oldest_echo_ = 0;
  Reassembly reassembly_;

  Timer loss_timer_{&Connection::on_loss_timer, this};
  Timer pacing_timer_{&Connection::on_pacing_timer, this};
  Timer acknowledgment_timer_{&Connection::on_acknowledgment_timer, this};

  alignas(8) std::byte congestion_[kMaximumCongestionBytes];

  // --- cold: not touched by a segment that arrives in order ---
  Timer slow_timer_{&Connection::on_slow_timer, this};
  PendingRelease releases_[2];
  MonotonicTime linger_until_{};
  MonotonicTime challenged_at_{};
  MonotonicTime first_unanswered_at_{};  // of a series of time-outs or probes
  MonotonicTime path_changed_at_{};
  std::uint64_t retransmitted_bytes_ = 0;
  std::uint32_t lingered_bytes_ = 0;
};

static_assert(sizeof(Connection) <= 1024 + Connection::kColdBytes);

}  // namespace nearfield::net::tcp
