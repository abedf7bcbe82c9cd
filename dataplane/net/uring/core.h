// Core: what the streams and listeners of one UringReactor share: the ring, buffers, time,
// counters, and the queue of streams that have something to prepare.
//
// Submissions are made in one place of the turn only, by streams taken from the ready queue while
// there is room for all that one stream may want; everything else (completions, calls of handlers,
// timers) marks a stream ready. So a full submission queue is never met halfway, and no handler is
// called from within its own call.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "dataplane/net/inbox.h"
#include "dataplane/net/staging.h"
#include "dataplane/net/timer_wheel.h"
#include "dataplane/net/uring/receive_buffers.h"
#include "dataplane/net/uring/ring.h"
#include "dataplane/net/uring/uring_reactor.h"

namespace nearfield::net::uring {

class UringStream;

// One writer, many readers: no locked instruction.
class Counter {
 public:
  void add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t count) { add(-count); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// As UringStatistics.
struct Counters {
  Counter turns, completions, streams_now, accepted, accept_refused, accept_overflows,
      accept_failures, connects, connect_failures, received_bytes, receives,
      receive_buffer_exhaustions, receive_pauses, sent_bytes, sends, short_sends, zero_copy_sends,
      zero_copy_copied, resets_received, completion_overflows, staging_waits;
};

// The low four bits of user_data; the rest is the address of a stream or listener, which stays
// until its operations ended.
enum class Operation : std::uint64_t {
  ignored = 0,  // cancellations
  wake = 1,
  accept = 2,
  receive = 3,
  connect = 4,
  watch = 5,
  writable = 6,
  send = 8,  // to 11: which of the stream's sends, because notifications of zero copy come in any
             // order
};
inline constexpr std::uint64_t kOperationMask = 15;

inline std::uint64_t tag(const void* object, Operation operation, unsigned number = 0) {
  return reinterpret_cast<std::uint64_t>(object) | (static_cast<std::uint64_t>(operation) + number);
}

// What sendmsg() needs until the kernel has read it, which it does while submitting
// (IORING_FEAT_SUBMIT_STABLE): reused every turn, from the front, so that it stays in the cache.
struct SendScratch {
  static constexpr std::size_t kVectors = 16;  // a head and 512 KiB of 64 KiB extents are ten
  msghdr message;
  std::array<iovec, kVectors> vectors;
};

class Core {
 public:
  // The most submissions one stream makes at a time: see UringStream::process().
  static constexpr unsigned kSubmissionsPerStream = 4;
  static constexpr std::size_t kScratches = 256;
  // For what is made to be sent: stays in a core's second-level cache, and is submitted whenever it
  // is full. Half of it made 256 KiB on 256 connections cost a quarter more CPU, twice as much
  // nothing less (measured over loopback).
  static constexpr std::size_t kStagingBytes = 1024 * 1024;

  explicit Core(const UringOptions& wanted);
  ~Core();

  // After each submission: what was prepared for it is the kernel's, unless it took less than all.
  void note_submitted();
  void mark_ready(UringStream& stream);
  // Lets ready streams prepare, each once, as long as there is room.
  void process_ready();
  bool has_ready() const { return ready_first_ != nullptr; }
  SendScratch& take_scratch();

  // Null when maximum_streams are in use or memory is short.
  UringStream* take_stream();
  void return_stream(UringStream& stream);
  void for_each_stream(const std::function<void(UringStream&)>& function);  // that is in use

  // Whether a new socket should try to send without copies (see UringStream::start_send()).
  bool may_probe_zero_copy() const;
  void note_zero_copy(bool copied);

  const UringOptions options;
  const std::unique_ptr<std::byte[]> staging_memory;
  std::unique_ptr<Ring> ring;
  std::unique_ptr<ReceiveBuffers> client_buffers;
  std::unique_ptr<ReceiveBuffers> origin_buffers;
  MonotonicTime now;
  TimerWheel wheel;
  Counters counters;
  // Bytes made for sends that do not wait: the kernel has read them when it has taken the
  // submission, so the ring is free again every turn.
  Staging staging;
  bool stopping = false;

 private:
  struct Slab;
  std::vector<std::unique_ptr<Slab>> slabs_;
  std::size_t slab_limit_;
  UringStream* free_first_ = nullptr;
  UringStream* ready_first_ = nullptr;
  UringStream* ready_last_ = nullptr;
  std::unique_ptr<std::array<SendScratch, kScratches>> scratches_;
  std::size_t scratches_used_ = 0;
  std::uint64_t submissions_ = 0;  // rounds of process_ready(): the staging's uses
  int copied_in_a_row_ = 0;
  MonotonicTime probe_again_at_{};
};

}  // namespace nearfield::net::uring
