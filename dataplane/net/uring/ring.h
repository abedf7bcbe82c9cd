// Ring: one io_uring of one worker, set up with what the kernel offers, and errors that say what to
// do where it offers none.
//
// The ring is made disabled, on any thread, and belongs from enable() on to the thread that calls
// it (IORING_SETUP_SINGLE_ISSUER). Completions are posted only while that thread waits for them
// (DEFER_TASKRUN), so that a turn of the loop sees one batch. Space for submissions is the caller's
// to check (room()): nothing here submits behind its back.
#pragma once

#include <liburing.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "cache/base/clock.h"
#include "cache/base/error.h"

namespace nearfield::net::uring {

class Ring {
 public:
  // Needs Linux 6.1 (DEFER_TASKRUN); uses what newer kernels add.
  static Result<std::unique_ptr<Ring>> create(unsigned submissions, unsigned completions);
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  // On the thread that will use the ring.
  Result<void> enable();

  unsigned room() { return io_uring_sq_space_left(&ring_); }
  // Whether entries wait that the kernel has not read.
  bool has_unsubmitted() { return io_uring_sq_ready(&ring_) > 0; }
  // A cleared entry; there must be room().
  io_uring_sqe* submission();
  // Submits, and waits for a completion for at most `longest`; zero does not wait. Returns how many
  // were submitted or -errno; -ETIME, -EINTR, -EAGAIN and -EBUSY are no errors, only less than was
  // asked for.
  int submit_and_wait(Duration longest);

  // Calls `handle(cqe)` for up to `budget` completions; how many there were.
  template <typename Handle>
  std::size_t completions(std::size_t budget, Handle&& handle);
  bool has_completions() { return io_uring_cq_ready(&ring_) > 0; }
  // Completions that found the queue full, as far as the kernel tells: it keeps them and this only
  // says that it happened.
  bool overflowed() const { return io_uring_cq_has_overflow(&ring_); }

  bool supports_zero_copy_send() const { return supports_zero_copy_send_; }
  io_uring& raw() { return ring_; }

 private:
  Ring() = default;
  io_uring ring_{};
  bool enabled_ = false;
  bool supports_zero_copy_send_ = false;
};

template <typename Handle>
std::size_t Ring::completions(std::size_t budget, Handle&& handle) {
  std::size_t count = 0;
  unsigned head;
  io_uring_cqe* cqe;
  io_uring_for_each_cqe(&ring_, head, cqe) {
    if (count == budget) break;
    handle(*cqe);
    ++count;
  }
  io_uring_cq_advance(&ring_, static_cast<unsigned>(count));
  return count;
}

}  // namespace nearfield::net::uring
