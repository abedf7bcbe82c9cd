#include "dataplane/net/uring/ring.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "cache/base/assert.h"

namespace nearfield::net::uring {
namespace {

constexpr unsigned kNeeded = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER |
                             IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                             IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "unknown";
}

Error setup_error(int number) {
  switch (number) {
    case ENOSYS:
      return Error{"io_uring is absent from this kernel (" + kernel_release() +
                   "): boot a kernel with CONFIG_IO_URING, 6.1 or newer"};
    case EPERM:
    case EACCES:
      return Error{
          "io_uring is not permitted here: set sysctl kernel.io_uring_disabled=0, or allow "
          "io_uring_setup, "
          "io_uring_enter and io_uring_register in the container's seccomp profile"};
    case EINVAL:
      return Error{"the io_uring of this kernel (" + kernel_release() +
                   ") is too old: nearfield needs Linux 6.1 or newer"};
    case ENOMEM:
      return Error{
          "no memory for an io_uring: raise LimitMEMLOCK (ulimit -l) or use fewer workers"};
    case EMFILE:
    case ENFILE:
      return Error{"no file descriptor left for an io_uring: raise LimitNOFILE (ulimit -n)"};
    default:
      return Error{std::string("cannot make an io_uring: ") + std::strerror(number)};
  }
}

}  // namespace

Result<std::unique_ptr<Ring>> Ring::create(unsigned submissions, unsigned completions) {
  std::unique_ptr<Ring> ring(new Ring);
  int result = -EINVAL;
  // NO_SQARRAY (6.6) saves an indirection and a cache line a batch.
  for (const unsigned extra : {static_cast<unsigned>(IORING_SETUP_NO_SQARRAY), 0U}) {
    io_uring_params parameters{};
    parameters.flags = kNeeded | extra;
    parameters.cq_entries = completions;
    result = io_uring_queue_init_params(submissions, &ring->ring_, &parameters);
    if (result != -EINVAL) break;
  }
  if (result < 0) return std::unexpected(setup_error(-result));
  ring->enabled_ = true;
  if (io_uring_probe* probe = io_uring_get_probe_ring(&ring->ring_); probe != nullptr) {
    ring->supports_zero_copy_send_ = io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC) != 0;
    io_uring_free_probe(probe);
  }
  return ring;
}

Ring::~Ring() {
  if (enabled_) io_uring_queue_exit(&ring_);
}

Result<void> Ring::enable() {
  if (const int result = io_uring_enable_rings(&ring_); result < 0) {
    return std::unexpected(setup_error(-result));
  }
  // Spares a descriptor lookup each turn; without it everything works too.
  io_uring_register_ring_fd(&ring_);
  return {};
}

io_uring_sqe* Ring::submission() {
  io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
  NEARFIELD_ASSERT(sqe != nullptr);
  return sqe;
}

int Ring::submit_and_wait(Duration longest) {
  if (longest <= Duration::zero()) {
    // A loop that polls comes here a million times a second: the system call is for when there is
    // something to hand over or, as the kernel's flags say, to take.
    constexpr unsigned kToTake = IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW;
    if (io_uring_sq_ready(&ring_) == 0 &&
        (__atomic_load_n(ring_.sq.kflags, __ATOMIC_ACQUIRE) & kToTake) == 0) {
      return 0;
    }
    return io_uring_submit_and_get_events(&ring_);
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  __kernel_timespec limit{.tv_sec = seconds.count(), .tv_nsec = (longest - seconds).count()};
  io_uring_cqe* cqe = nullptr;
  return io_uring_submit_and_wait_timeout(&ring_, &cqe, 1, &limit, nullptr);
}

}  // namespace nearfield::net::uring
