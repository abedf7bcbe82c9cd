#include "dataplane/net/uring/uring_acceptor.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "dataplane/net/uring/uring_stream.h"

namespace nearfield::net::uring {
namespace {

// Without a free descriptor every accept fails at once and the queue stays: look again when some
// connections have ended.
constexpr Duration kFailurePause = std::chrono::milliseconds(100);

}  // namespace

UringAcceptor::UringAcceptor(Core& core, int descriptor, Acceptor& acceptor)
    : core_(core), descriptor_(descriptor), acceptor_(acceptor) {}

void UringAcceptor::process() {
  if (!wants_accepts_ || stopped_) return;
  wants_accepts_ = false;
  arm();
}

void UringAcceptor::arm() {
  ++operations_;
  io_uring_sqe* sqe = core_.ring->submission();
  // Not SOCK_NONBLOCK: io_uring would fail with EAGAIN instead of waiting for readiness.
  io_uring_prep_multishot_accept(sqe, descriptor_, nullptr, nullptr, SOCK_CLOEXEC);
  io_uring_sqe_set_data64(sqe, tag(this, Operation::accept));
}

void UringAcceptor::cancel() {
  io_uring_sqe* sqe = core_.ring->submission();
  io_uring_prep_cancel64(sqe, tag(this, Operation::accept), IORING_ASYNC_CANCEL_ALL);
  io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
  io_uring_sqe_set_data64(sqe, tag(nullptr, Operation::ignored));
}

void UringAcceptor::stop() {
  if (stopped_) return;
  stopped_ = true;
  core_.wheel.cancel(pause_);
  cancel();
  // A fresh accept takes all that is queued while it is submitted; the cancellation behind it finds
  // it waiting.
  arm();
  cancel();
}

void UringAcceptor::complete(const io_uring_cqe& cqe) {
  const bool last = (cqe.flags & IORING_CQE_F_MORE) == 0;
  if (last) --operations_;
  if (cqe.res >= 0) {
    take(cqe.res);
    if (last) wants_accepts_ = true;
    return;
  }
  if (!last || stopped_) return;
  switch (cqe.res) {
    case -EMFILE:
    case -ENFILE:
    case -ENOBUFS:
    case -ENOMEM:
    case -EINVAL:  // shut down by somebody else
    case -EBADF:
      core_.counters.accept_failures.add();
      core_.wheel.arm(pause_, core_.now + kFailurePause);
      return;
    default:  // the connection was gone again (ECONNABORTED), a network error of it, a signal
      wants_accepts_ = true;
      return;
  }
}

void UringAcceptor::take(int descriptor) {
  UringStream* stream = core_.stopping ? nullptr : core_.take_stream();
  if (stream == nullptr) {
    core_.counters.accept_overflows.add();
    const linger now{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    ::close(descriptor);
    return;
  }
  stream->accept(descriptor);
  StreamHandler* handler = acceptor_.on_accept(*stream);
  if (handler == nullptr) {
    core_.counters.accept_refused.add();
    stream->refuse();
    return;
  }
  core_.counters.accepted.add();
  stream->start(*handler);
}

void UringAcceptor::on_timer(void* context) {
  static_cast<UringAcceptor*>(context)->wants_accepts_ = true;
}

}  // namespace nearfield::net::uring
