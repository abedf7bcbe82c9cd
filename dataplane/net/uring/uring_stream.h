// UringStream: one TCP socket on the ring.
//
// Invariant: the slot is reused only after every operation that names it has completed (operations_
// and notifications_ are zero), and plan bytes are released only when the kernel reads them no
// more. What is made just in time (net/staging.h) is never left with the kernel: such a send takes
// what the socket has room for, and the rest is made again when there is more, so that a slow peer
// holds none of it. The awkward part is the end: a close has to cancel what is under way, wait for
// it, and with zero copy wait for the peer's acknowledgement too, before the handler may hear
// on_closed() and let go of the blobs.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "dataplane/net/stream.h"
#include "dataplane/net/timer.h"
#include "dataplane/net/uring/core.h"

namespace nearfield::net::uring {

class alignas(16) UringStream final : public Stream {
 public:
  explicit UringStream(Core& core) : core_(core) {}
  UringStream(const UringStream&) = delete;
  UringStream& operator=(const UringStream&) = delete;

  // --- beginning; takes over the descriptor ---
  void accept(int descriptor);
  // After accept(): who listens. Without it, refuse().
  void start(StreamHandler& handler);
  void refuse();
  void connect(int descriptor, const Endpoint& peer, Duration timeout, StreamHandler& handler);

  // --- from the loop ---
  void process();  // makes at most Core::kSubmissionsPerStream submissions
  void complete(Operation operation, const io_uring_cqe& cqe);
  bool in_use() const { return phase_ != Phase::free; }
  void close(CloseReason reason);
  // For a reactor that ends without its ring: closes and tells the handler at once.
  void drop();

  // --- Stream ---
  void wake_sender() override;
  void resume_receive() override;
  void close_after_send() override;
  void abort() override;
  std::uint64_t acknowledged_bytes() override;
  const Endpoint& peer() const override { return peer_; }
  const Endpoint& local() const override;
  Staging* staging() override { return &core_.staging; }

 private:
  friend class Core;

  // free -> [connecting ->] open -> [ending -> lingering ->] closing -> free; any but free may go
  // to closing.
  enum class Phase : std::uint8_t {
    free,
    connecting,
    open,
    ending,     // close_after_send() was called; the plan drains
    lingering,  // FIN sent; what comes is dropped
    closing     // operations are being cancelled, then on_closed()
  };
  // A socket's first large send finds out.
  enum class ZeroCopyState : std::uint8_t { unknown, probing, on, off };

  static constexpr unsigned kSends =
      4;  // completed ones whose notification is outstanding, and the running one
  struct Send {
    std::uint32_t bytes = 0;
    bool done = false;  // may be released
  };

  void ready() { core_.mark_ready(*this); }
  bool closing() const { return phase_ == Phase::closing; }

  void process_connecting();
  void process_receiving();
  void process_sending();
  void process_closing();
  void start_send(std::uint64_t unsent);
  void await_room();
  bool choose_zero_copy(std::uint64_t bytes);
  void begin_lingering();
  void announce_end_if_due();

  void complete_connect(int result);
  void complete_receive(const io_uring_cqe& cqe);
  void complete_send(unsigned number, const io_uring_cqe& cqe);
  void receive(std::span<const std::byte> bytes);
  void release_done();
  void reset_slot();

  static void on_timer(void* context);

  Core& core_;
  StreamHandler* handler_ = nullptr;
  SendPlan plan_;
  std::uint64_t sent_bytes_ = 0;               // of the plan, given to the kernel, not yet released
  Timer timer_{&UringStream::on_timer, this};  // connecting, lingering, or repeating a cancellation
  UringStream* next_ready_ = nullptr;
  UringStream* next_free_ = nullptr;
  std::vector<std::byte> leftover_;  // not taken by a paused handler; empty otherwise
  std::array<Send, kSends> sends_{};
  int descriptor_ = -1;
  std::uint32_t lingered_bytes_ = 0;
  // As a send buffer of the kernel's grows (tcp_wmem).
  static constexpr std::uint32_t kFirstMadeBytes = 64 * 1024;
  std::uint32_t made_limit_bytes_ = kFirstMadeBytes;
  std::uint16_t operations_ = 0;    // that will post a last completion
  std::uint8_t notifications_ = 0;  // of zero-copy sends to come
  std::uint8_t sends_first_ = 0;
  std::uint8_t sends_count_ = 0;
  Phase phase_ = Phase::free;
  CloseReason reason_ = CloseReason::finished;
  ZeroCopyState zero_copy_ = ZeroCopyState::off;
  bool queued_ : 1 = false;
  bool from_origin_ : 1 = false;  // made by connect()
  bool connect_submitted_ : 1 = false;
  bool send_running_ : 1 = false;
  bool room_wanted_ : 1 = false;   // the socket took less than it was given
  bool room_awaited_ : 1 = false;  // and says when there is room
  bool receive_armed_ : 1 = false;
  bool receive_multishot_ : 1 = false;  // how it is armed
  bool receive_cancelled_ : 1 = false;
  bool paced_ : 1 = false;  // paused once: single receives from then on
  bool paused_ : 1 = false;
  bool resume_requested_ : 1 = false;
  bool receive_ended_ : 1 = false;
  bool end_announced_ : 1 = false;
  bool cancel_submitted_ : 1 = false;
  mutable bool local_known_ : 1 = false;
  Endpoint peer_;
  mutable Endpoint local_;
};

}  // namespace nearfield::net::uring
