// HandshakePool: the helper threads that run handshake steps, so that workers never do. One job is
// one step of one handshake.
//
// Invariants: no call by a worker waits for a helper (the mutex is held for list operations only);
// the number of jobs is bounded, in all and per prefix of the peer; prefixes take turns, so that a
// flood from one delays the others by at most one step a turn. Beside what listeners may have there
// is a part for our own handshakes with origins (Handshake::is_client()), and their prefixes are
// others than those of listeners: a flood of listeners does not cut the node off from its origins.
// What is refused is refused at once and counted: the caller drops the connection. Only a
// handshake's first step is refused: for the others there are no more jobs than handshakes that
// were let in, and work done.
//
// Ownership: submit() takes the job, with its handshake; the worker's HandshakeMailbox gives it
// back. In between the worker may cancel() it by its address.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "cache/base/clock.h"
#include "cache/base/ref.h"
#include "cache/base/signal.h"
#include "dataplane/net/endpoint.h"
#include "dataplane/tls/handshake.h"

namespace nearfield::tls {

class HandshakeMailbox;

// May be submitted again for the next step of its handshake.
struct HandshakeJob {
  std::unique_ptr<Handshake> handshake;
  net::Address client;            // the peer, whole: the pool truncates it
  WallTime now{};                 // for Handshake::step()
  void* owner = nullptr;          // the submitter's
  Ref<HandshakeMailbox> mailbox;  // where the job goes afterwards

  // Results.
  Handshake::Step result = Handshake::Step::need_more;
  Duration cpu{};  // of all steps so far

 private:
  friend class HandshakePool;
  friend class HandshakeMailbox;
  // Whose turn it is part of.
  struct Prefix {
    net::Address address;
    bool is_client = false;  // of an origin, we being the client
    bool operator==(const Prefix&) const = default;
  };
  enum class Place : std::uint8_t { outside, queued, running, returned };
  Place place_ = Place::outside;
  bool cancelled_ = false;
  Prefix prefix_{};
  HandshakeMailbox* home_ = nullptr;  // of the worker, which outlives its jobs
  HandshakeJob* next_ = nullptr;
  HandshakeJob* previous_ = nullptr;
};

// One per worker, which alone takes from it. Raises `signal` for every job put in. Jobs left in it
// when it dies die with it.
class HandshakeMailbox : public RefCounted<HandshakeMailbox> {
 public:
  explicit HandshakeMailbox(Ref<Signal> signal);
  ~HandshakeMailbox();
  // Null when there is none.
  std::unique_ptr<HandshakeJob> take();

 private:
  friend class HandshakePool;
  void link(std::unique_ptr<HandshakeJob> job);  // raise() is the caller's, with no mutex held
  void raise() { signal_->raise(); }
  void remove(HandshakeJob* job);  // and frees it

  const Ref<Signal> signal_;
  std::mutex mutex_;
  HandshakeJob* first_ = nullptr;
  HandshakeJob* last_ = nullptr;
};

struct HandshakePoolOptions {
  unsigned threads = 2;  // 1 to 64; 0: run_one() does it, for simulations
  // Jobs of listeners, queued or running; each holds about 45 KiB. Origins' are taken as long as
  // all together are less than this and an eighth of it (at least 16). As many as HandshakeLimits
  // lets in: who was let in is not refused for coming in a crowd. Prefixes take turns, so that a
  // crowd delays itself.
  std::size_t maximum_jobs = 4096;
  std::size_t maximum_jobs_per_prefix = 512;
  int prefix_v4_bits = 24;  // 0 to 32
  int prefix_v6_bits = 56;  // 0 to 128
  // Added to the threads' nice value (0 to 19): listeners that are there come first.
  int nice = 5;

  bool operator==(const HandshakePoolOptions&) const = default;
};

struct HandshakePoolCounts {
  std::uint64_t submitted = 0;
  std::uint64_t refused_full = 0;
  std::uint64_t refused_prefix = 0;
  std::uint64_t cancelled = 0;
  // Handshakes, not steps.
  std::uint64_t finished_full = 0;
  std::uint64_t finished_resumed = 0;
  // By HandshakeFailure, also those of which no helper ever heard; not those refused or evicted.
  std::array<std::uint64_t, kHandshakeFailures> failed{};
  std::size_t queued = 0;  // now
  std::size_t jobs = 0;    // now: queued or running
  // All steps of those handshakes.
  std::chrono::nanoseconds cpu_full{};
  std::chrono::nanoseconds cpu_resumed{};
  std::chrono::nanoseconds cpu_failed{};
};

class HandshakePool {
 public:
  explicit HandshakePool(const HandshakePoolOptions& options);
  HandshakePool(const HandshakePool&) = delete;
  HandshakePool& operator=(const HandshakePool&) = delete;
  ~HandshakePool();  // stop()

  enum class Submitted : std::uint8_t { yes, full, prefix_full, stopped };
  // Any thread. On anything but `yes`, `job` stays the caller's.
  Submitted submit(std::unique_ptr<HandshakeJob>& job);

  // By the worker whose mailbox the job has, for a job it submitted and has not taken back: the job
  // is dropped now, or by the helper that runs it; it never comes back.
  void cancel(HandshakeJob* job);

  // By the worker, once for a handshake that failed, in whatever way. Any thread.
  void note_failure(HandshakeFailure failure);

  // Without helpers: the next job, on the caller's thread. False when there is none.
  bool run_one();

  // Joins the helpers; what is queued is dropped. Any thread but a helper; again is harmless.
  void stop();

  HandshakePoolCounts counts() const;

 private:
  struct Turn {
    HandshakeJob* first = nullptr;
    HandshakeJob* last = nullptr;
    std::size_t jobs = 0;  // queued or running
    // The ring of prefixes with something queued.
    Turn* next = nullptr;
    Turn* previous = nullptr;
  };
  struct PrefixHash {
    std::size_t operator()(const HandshakeJob::Prefix& prefix) const;
  };

  void run(unsigned number);
  void run_job(std::unique_lock<std::mutex>& lock);  // the next, which there is
  // With the mutex held.
  HandshakeJob* pop();  // null: nothing is queued
  void append(HandshakeJob& job, Turn& prefix);
  void unlink(HandshakeJob& job, Turn& prefix);
  void uncount(const HandshakeJob& job);
  void count_result(const HandshakeJob& job);

  const HandshakePoolOptions options_;
  const std::size_t maximum_all_jobs_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::unordered_map<HandshakeJob::Prefix, Turn, PrefixHash> prefixes_;
  Turn* turn_ = nullptr;
  std::size_t listeners_jobs_ = 0;  // of counts_.jobs
  HandshakePoolCounts counts_;
  std::array<std::atomic<std::uint64_t>, kHandshakeFailures> failed_{};
  std::vector<std::thread> threads_;
};

}  // namespace nearfield::tls
