// UringReactor: the Reactor on kernel TCP sockets through io_uring, Linux 6.1 or newer.
//
// One turn of its loop: submit what the last turn prepared and wait; take a bounded batch of
// completions; fire timers; run signals and tasks; then let every stream that has something to do
// prepare its submissions. All submissions of a turn go to the kernel in the one system call that
// waits, and handlers are called only from the loop, never from within their own calls.
//
// Receiving: accepted streams share one ring of small buffers through a multishot receive,
// connecting streams one of large buffers through single receives; an idle connection holds no
// buffer. Sending: one send a stream at a time, of up to `send_bytes` pulled from the plan, which
// the kernel finishes alone (MSG_WAITALL); released when the kernel has copied the bytes, or, sent
// without a copy, when the peer has acknowledged them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "cache/base/error.h"
#include "dataplane/net/reactor.h"

namespace nearfield::net {

enum class ZeroCopy {
  automatic,  // where it is supported, and for a socket until its first report of a copy
  off
};

struct UringOptions {
  // Accepted and connecting streams together. Slots are made in slabs as needed and kept.
  std::size_t maximum_streams = 16384;
  // What one send hands to the kernel: large enough that 1 MiB takes few, small enough that one
  // listener's burst does not keep a worker from the others (512 KiB are about 50 us of copying).
  std::size_t send_bytes = 512 * 1024;
  // For requests: 4 KiB hold all of one nearly always. Powers of two.
  unsigned client_buffers = 1024;
  std::size_t client_buffer_bytes = 4 * 1024;
  // For responses of origins.
  unsigned origin_buffers = 64;
  std::size_t origin_buffer_bytes = 64 * 1024;
  ZeroCopy zero_copy = ZeroCopy::automatic;
  // Smaller sends are copied: pinning pages and the second completion cost more than copying them.
  std::size_t zero_copy_from_bytes = 32 * 1024;
  // Of Reactor::random(); 0 takes one from the kernel.
  std::uint64_t seed = 0;
};

// Since the start, except where it says now.
struct UringStatistics {
  std::uint64_t turns = 0;
  std::uint64_t completions = 0;
  std::uint64_t streams_now = 0;
  std::uint64_t accepted = 0;
  std::uint64_t accept_refused = 0;    // by the acceptor
  std::uint64_t accept_overflows = 0;  // no stream slot left: reset
  std::uint64_t accept_failures = 0;   // no descriptor or memory: accepting paused for a moment
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t received_bytes = 0;
  std::uint64_t receives = 0;
  std::uint64_t receive_buffer_exhaustions = 0;
  std::uint64_t receive_pauses = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t sends = 0;
  std::uint64_t short_sends = 0;
  std::uint64_t zero_copy_sends = 0;
  std::uint64_t zero_copy_copied = 0;  // reported by the kernel as copied all the same
  std::uint64_t resets_received = 0;
  std::uint64_t staging_waits = 0;         // sends put off a turn: no room to make their bytes in
  std::uint64_t completion_overflows = 0;  // turns that found the completion queue had been full
};

class UringReactor final : public Reactor {
 public:
  // Any thread; the reactor belongs to the thread that calls run(). Until then listen(), connect(),
  // arm() and make_signal() may be called by whoever starts that thread.
  static Result<std::unique_ptr<UringReactor>> create(const UringOptions& options = {});
  // Not while run() runs. Streams that are left (run() never ran) hear on_closed(aborted).
  ~UringReactor() override;

  // Runs until stop(), then resets every stream, whose handlers hear on_closed(aborted), and
  // returns. Once only.
  Result<void> run();
  // Any thread, any time, also before run().
  void stop();

  // --- instead of run(), for a loop that has more to drive than this reactor ---
  // Once, first, on the thread whose the reactor is from then on.
  Result<void> begin();
  // One turn: submits what is prepared; takes a bounded batch of completions; reads the clock;
  // fires what is due; runs signals and tasks; prepares the streams' submissions, which the next
  // turn submits. It never sleeps with `longest` zero, and makes no system call then when there is
  // nothing to submit or to take. Otherwise it sleeps first, when nothing is left to do, until
  // something comes, a timer is due, or for `longest`. Returns whether it found anything to do.
  bool turn(Duration longest = Duration::zero());
  // The next sleep also ends when `descriptor` is readable; for one turn() that sleeps, and perhaps
  // for one more. False: no room, ask again after a turn. Always the same descriptor, which
  // outlives the reactor or is never asked for again.
  bool wake_on(int descriptor);
  // When the next turn has timers to fire, never after the earliest deadline; nothing when none is
  // armed.
  std::optional<MonotonicTime> next_deadline();
  bool stopping() const;  // stop() was called, as of the last turn
  // Resets every stream and waits a bounded time for the kernel to be done with them, as run() does
  // at its end. Once, last.
  void end();

  UringStatistics statistics() const;  // any thread; each number for itself, not one moment

  MonotonicTime now() const override;
  WallTime wall_now() const override;
  std::chrono::milliseconds wall_now_ms() const override;
  std::uint64_t random() override;
  void arm(Timer& timer, MonotonicTime deadline) override;
  void cancel(Timer& timer) override;
  Ref<Signal> make_signal(std::function<void()> callback) override;
  void cancel_signal(const Ref<Signal>& signal) override;
  void post(std::function<void()> task) override;
  Stream* connect(const Endpoint& peer, const ConnectOptions& options,
                  StreamHandler& handler) override;
  // The place's descriptor may be closed after stop_listening(). It must be blocking: io_uring
  // takes O_NONBLOCK for "fail rather than wait".
  void listen(const ListenPlace& place, Acceptor& acceptor) override;
  void stop_listening() override;

 private:
  struct Impl;
  explicit UringReactor(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::net
