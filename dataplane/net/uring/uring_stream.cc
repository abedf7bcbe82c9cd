#include "dataplane/net/uring/uring_stream.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/socket_address.h"
#include "dataplane/net/uring/tcp_information.h"

namespace nearfield::net::uring {
namespace {

// Stream::close_after_send(): how long and how much a peer may still send after our FIN. One round
// trip of the slowest phone is enough.
constexpr Duration kLingerTime = std::chrono::seconds(1);
constexpr std::uint32_t kLingerBytes = 64 * 1024;
// A cancellation that missed (the operation was just being retried) is repeated.
constexpr Duration kCancelAgain = std::chrono::milliseconds(100);
// One send of bytes made for it: as much as of others, since what a send costs by itself depends on
// the congestion control (with BBR, sends of 128 KiB cost twice the CPU a gigabyte, measured); half
// of the staging, so that streams share a submission; and no less than a record. In between it
// follows what the socket took: what it has no room for is made for nothing.
constexpr std::uint32_t kMostMadeBytes = Core::kStagingBytes / 2;
constexpr std::uint32_t kLeastMadeBytes = 20 * 1024;
// A multishot receive can post 32 buffers (the kernel's own limit) in each of the few wake-ups that
// pass before its cancellation counts; afterwards a stream receives singly. More than this means
// the kernel does not stop.
constexpr std::size_t kMaximumLeftoverBytes = 1024 * 1024;

CloseReason reason_of(int error) {
  switch (error) {
    case ETIMEDOUT:
      return CloseReason::timed_out;
    case ENOMEM:
    case ENOBUFS:
      return CloseReason::out_of_resources;
    default:
      return CloseReason::peer_reset;
  }
}

// So that close() sends a RST and forgets what is queued.
void reset_on_close(int descriptor) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

}  // namespace

// --- beginning ---

void UringStream::accept(int descriptor) {
  descriptor_ = descriptor;
  peer_ = peer_endpoint(descriptor);
  phase_ = Phase::open;
  zero_copy_ = core_.may_probe_zero_copy() ? ZeroCopyState::unknown : ZeroCopyState::off;
}

void UringStream::start(StreamHandler& handler) {
  handler_ = &handler;
  ready();
}

void UringStream::refuse() {
  reset_on_close(descriptor_);
  ::close(descriptor_);
  // The acceptor may have called methods of the stream before it refused; then it is queued and
  // ends there.
  if (queued_) {
    descriptor_ = -1;
    phase_ = Phase::closing;
    return;
  }
  reset_slot();
}

void UringStream::connect(int descriptor, const Endpoint& peer, Duration timeout,
                          StreamHandler& handler) {
  descriptor_ = descriptor;
  peer_ = peer;
  handler_ = &handler;
  from_origin_ = true;
  phase_ = Phase::connecting;
  core_.wheel.arm(timer_, core_.now + timeout);
  ready();
}

// --- what the handler calls: marks only ---

void UringStream::wake_sender() { ready(); }

void UringStream::resume_receive() {
  resume_requested_ = true;
  ready();
}

void UringStream::close_after_send() {
  if (phase_ == Phase::connecting) return close(CloseReason::aborted);
  if (phase_ != Phase::open) return;
  phase_ = Phase::ending;
  ready();
}

void UringStream::abort() { close(CloseReason::aborted); }

std::uint64_t UringStream::acknowledged_bytes() {
  return descriptor_ < 0 ? 0 : uring::acknowledged_bytes(descriptor_);
}

const Endpoint& UringStream::local() const {
  if (!local_known_ && descriptor_ >= 0) {
    local_ = local_endpoint(descriptor_);
    local_known_ = true;
  }
  return local_;
}

void UringStream::close(CloseReason reason) {
  if (closing() || phase_ == Phase::free) return;
  phase_ = Phase::closing;
  reason_ = reason;
  if (reason == CloseReason::peer_reset) core_.counters.resets_received.add();
  ready();
}

// --- the loop's turn ---

void UringStream::process() {
  switch (phase_) {
    case Phase::free:
      return;
    case Phase::connecting:
      return process_connecting();
    case Phase::open:
    case Phase::ending:
    case Phase::lingering:
      process_receiving();
      if (phase_ == Phase::open || phase_ == Phase::ending) process_sending();
      return;
    case Phase::closing:
      return process_closing();
  }
}

void UringStream::process_connecting() {
  if (connect_submitted_) return;
  connect_submitted_ = true;
  ++operations_;
  SocketAddress address;
  const socklen_t length = to_socket_address(peer_, &address);
  // The kernel copies the address while the entry is prepared for execution, which is in submit; so
  // it must live until then.
  SendScratch& scratch = core_.take_scratch();
  static_assert(sizeof(scratch.vectors) >= sizeof(SocketAddress));
  auto* kept = new (scratch.vectors.data()) SocketAddress(address);
  io_uring_sqe* sqe = core_.ring->submission();
  io_uring_prep_connect(sqe, descriptor_, &kept->any, length);
  io_uring_sqe_set_data64(sqe, tag(this, Operation::connect));
}

void UringStream::announce_end_if_due() {
  if (!receive_ended_ || end_announced_ || paused_ || !leftover_.empty() || closing()) return;
  end_announced_ = true;
  if (phase_ != Phase::lingering) handler_->on_receive_end();
}

void UringStream::process_receiving() {
  if (paused_ && resume_requested_) {
    paused_ = false;
    std::vector<std::byte> bytes = std::exchange(leftover_, {});
    if (!bytes.empty()) {
      const std::size_t taken = handler_->on_receive(bytes);
      NEARFIELD_ASSERT(taken <= bytes.size());
      if (taken < bytes.size()) {
        paused_ = true;
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
        leftover_ = std::move(bytes);
      }
    }
    announce_end_if_due();
  }
  resume_requested_ = false;
  if (closing() || receive_ended_) return;
  if (paused_) {
    if (receive_armed_ && receive_multishot_ && !receive_cancelled_) {
      receive_cancelled_ = true;
      io_uring_sqe* sqe = core_.ring->submission();
      io_uring_prep_cancel64(sqe, tag(this, Operation::receive), 0);
      io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
      io_uring_sqe_set_data64(sqe, tag(nullptr, Operation::ignored));
    }
    return;
  }
  if (receive_armed_) return;
  const ReceiveBuffers& buffers = from_origin_ ? *core_.origin_buffers : *core_.client_buffers;
  receive_multishot_ = !from_origin_ && !paced_;
  receive_cancelled_ = false;
  receive_armed_ = true;
  ++operations_;
  io_uring_sqe* sqe = core_.ring->submission();
  if (receive_multishot_) {
    io_uring_prep_recv_multishot(sqe, descriptor_, nullptr, 0, 0);
  } else {
    io_uring_prep_recv(sqe, descriptor_, nullptr, buffers.buffer_bytes(), 0);
  }
  io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
  sqe->buf_group = static_cast<std::uint16_t>(buffers.group());
  io_uring_sqe_set_data64(sqe, tag(this, Operation::receive));
}

void UringStream::process_sending() {
  if (send_running_ || room_awaited_) return;
  if (room_wanted_) return await_room();
  if (phase_ == Phase::open && plan_.size_bytes() - sent_bytes_ < core_.options.send_bytes) {
    handler_->on_send_ready(plan_);
    if (closing()) return;
  }
  const std::uint64_t unsent = plan_.size_bytes() - sent_bytes_;
  if (unsent > 0) {
    if (sends_count_ < kSends) start_send(unsent);
  } else if (phase_ == Phase::ending) {
    begin_lingering();
  }
}

bool UringStream::choose_zero_copy(std::uint64_t bytes) {
  if (zero_copy_ == ZeroCopyState::off || bytes < core_.options.zero_copy_from_bytes) return false;
  if (zero_copy_ == ZeroCopyState::on) return true;
  if (zero_copy_ == ZeroCopyState::probing) return false;  // until its report is there
  zero_copy_ = ZeroCopyState::probing;
  return true;
}

void UringStream::await_room() {
  room_wanted_ = false;
  room_awaited_ = true;
  ++operations_;
  io_uring_sqe* sqe = core_.ring->submission();
  io_uring_prep_poll_add(sqe, descriptor_, POLLOUT);
  io_uring_sqe_set_data64(sqe, tag(this, Operation::writable));
}

void UringStream::start_send(std::uint64_t unsent) {
  SendScratch& scratch = core_.take_scratch();
  const bool made = plan_.has_source();
  const std::uint64_t most = made ? made_limit_bytes_ : core_.options.send_bytes;
  std::uint64_t covered = 0;
  const std::size_t used =
      plan_.peek(sent_bytes_, std::min(unsent, most), scratch.vectors, &covered);
  if (made && covered == 0) {  // the staging is full until this turn's submission
    core_.counters.staging_waits.add();
    return ready();
  }
  NEARFIELD_ASSERT(used > 0 && covered > 0);
  const bool zero_copy = !made && choose_zero_copy(covered);
  // What follows is in the plan already and goes out in the next turn: no need for a short segment
  // between.
  const int flags =
      MSG_NOSIGNAL | (made ? MSG_DONTWAIT : MSG_WAITALL) | (covered < unsent ? MSG_MORE : 0);
  io_uring_sqe* sqe = core_.ring->submission();
  if (used == 1 && !zero_copy) {
    io_uring_prep_send(sqe, descriptor_, scratch.vectors[0].iov_base, scratch.vectors[0].iov_len,
                       flags);
  } else {
    scratch.message = {};
    scratch.message.msg_iov = scratch.vectors.data();
    scratch.message.msg_iovlen = used;
    if (zero_copy) {
      io_uring_prep_sendmsg_zc(sqe, descriptor_, &scratch.message, static_cast<unsigned>(flags));
      sqe->ioprio |= IORING_SEND_ZC_REPORT_USAGE;
      core_.counters.zero_copy_sends.add();
    } else {
      io_uring_prep_sendmsg(sqe, descriptor_, &scratch.message, static_cast<unsigned>(flags));
    }
  }
  const unsigned number = (sends_first_ + sends_count_) % kSends;
  sends_[number] = {.bytes = static_cast<std::uint32_t>(covered), .done = false};
  ++sends_count_;
  io_uring_sqe_set_data64(sqe, tag(this, Operation::send, number));
  send_running_ = true;
  ++operations_;
  core_.counters.sends.add();
}

void UringStream::begin_lingering() {
  phase_ = Phase::lingering;
  ::shutdown(descriptor_, SHUT_WR);
  paused_ = false;
  leftover_ = {};
  // With zero copy the plan empties only when the peer has acknowledged: until then the session's
  // own time-outs watch.
  if (plan_.size_bytes() == 0) {
    if (receive_ended_) return close(CloseReason::finished);
    core_.wheel.arm(timer_, core_.now + kLingerTime);
  }
  ready();  // may have to receive again
}

void UringStream::process_closing() {
  if (operations_ > 0) {
    if (cancel_submitted_) return;
    cancel_submitted_ = true;
    core_.wheel.arm(timer_, core_.now + kCancelAgain);
    io_uring_sqe* sqe = core_.ring->submission();
    io_uring_prep_cancel_fd(sqe, descriptor_, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, tag(nullptr, Operation::ignored));
    return;
  }
  if (descriptor_ >= 0) {
    if (reason_ != CloseReason::finished) reset_on_close(descriptor_);
    ::close(std::exchange(descriptor_, -1));
  }
  if (notifications_ > 0) return;  // the kernel still reads the plan's bytes
  StreamHandler* handler = handler_;
  const CloseReason reason = reason_;
  plan_.clear();
  core_.wheel.cancel(timer_);
  if (handler != nullptr) handler->on_closed(reason);
  reset_slot();
}

void UringStream::drop() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  core_.wheel.cancel(timer_);
  plan_.clear();
  phase_ = Phase::closing;
  StreamHandler* handler = std::exchange(handler_, nullptr);
  if (handler != nullptr) handler->on_closed(CloseReason::aborted);
  phase_ = Phase::free;
}

void UringStream::reset_slot() {
  handler_ = nullptr;
  sent_bytes_ = 0;
  leftover_ = {};
  descriptor_ = -1;
  lingered_bytes_ = 0;
  made_limit_bytes_ = kFirstMadeBytes;
  sends_first_ = 0;
  sends_count_ = 0;
  phase_ = Phase::free;
  from_origin_ = false;
  connect_submitted_ = false;
  send_running_ = false;
  room_wanted_ = false;
  room_awaited_ = false;
  receive_armed_ = false;
  receive_multishot_ = false;
  receive_cancelled_ = false;
  paced_ = false;
  paused_ = false;
  resume_requested_ = false;
  receive_ended_ = false;
  end_announced_ = false;
  cancel_submitted_ = false;
  local_known_ = false;
  local_ = {};
  core_.return_stream(*this);
}

void UringStream::on_timer(void* context) {
  auto* stream = static_cast<UringStream*>(context);
  switch (stream->phase_) {
    case Phase::connecting:
      stream->core_.counters.connect_failures.add();
      return stream->close(CloseReason::timed_out);
    case Phase::lingering:
      return stream->close(CloseReason::finished);
    case Phase::closing:
      stream->cancel_submitted_ = false;
      return stream->ready();
    default:
      return;
  }
}

// --- completions ---

void UringStream::complete(Operation operation, const io_uring_cqe& cqe) {
  switch (operation) {
    case Operation::connect:
      --operations_;
      complete_connect(cqe.res);
      break;
    case Operation::receive:
      complete_receive(cqe);
      break;
    case Operation::writable:
      --operations_;
      room_awaited_ = false;
      ready();
      break;
    default:
      complete_send(static_cast<unsigned>(operation) - static_cast<unsigned>(Operation::send), cqe);
      break;
  }
  if (closing() && operations_ == 0) ready();
}

void UringStream::complete_connect(int result) {
  if (closing()) return;
  core_.wheel.cancel(timer_);
  if (result < 0) {
    core_.counters.connect_failures.add();
    return close(result == -ECONNREFUSED ? CloseReason::connect_refused
                 : result == -ETIMEDOUT  ? CloseReason::timed_out
                                         : CloseReason::connect_failed);
  }
  phase_ = Phase::open;
  zero_copy_ = core_.may_probe_zero_copy() ? ZeroCopyState::unknown : ZeroCopyState::off;
  handler_->on_connected();
  ready();
}

void UringStream::complete_receive(const io_uring_cqe& cqe) {
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
    receive_armed_ = false;
    --operations_;
    ready();  // to arm it again
  }
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    ReceiveBuffers& buffers = from_origin_ ? *core_.origin_buffers : *core_.client_buffers;
    const unsigned id = cqe.flags >> IORING_CQE_BUFFER_SHIFT;
    if (cqe.res > 0) receive(buffers.filled(id, static_cast<std::size_t>(cqe.res)));
    buffers.give_back(id);
  }
  if (closing() || cqe.res > 0) return;
  switch (cqe.res) {
    case 0:
      receive_ended_ = true;
      announce_end_if_due();
      if (phase_ == Phase::lingering && plan_.size_bytes() == 0) close(CloseReason::finished);
      return;
    case -ENOBUFS:
      core_.counters.receive_buffer_exhaustions.add();
      return;
    case -ECANCELED:
    case -EINTR:
    case -EAGAIN:
      return;
    default:
      return close(reason_of(-cqe.res));
  }
}

void UringStream::receive(std::span<const std::byte> bytes) {
  core_.counters.receives.add();
  core_.counters.received_bytes.add(bytes.size());
  if (closing()) return;
  if (phase_ == Phase::lingering) {
    lingered_bytes_ += static_cast<std::uint32_t>(bytes.size());
    if (lingered_bytes_ > kLingerBytes) close(CloseReason::finished);
    return;
  }
  if (!paused_) {
    const std::size_t taken = handler_->on_receive(bytes);
    NEARFIELD_ASSERT(taken <= bytes.size());
    bytes = bytes.subspan(taken);
    if (bytes.empty() || closing()) return;
    paused_ = true;
    paced_ = true;
    core_.counters.receive_pauses.add();
    ready();  // to disarm, or to resume if the handler asked for it already
  }
  if (leftover_.size() + bytes.size() > kMaximumLeftoverBytes)
    return close(CloseReason::out_of_resources);
  leftover_.insert(leftover_.end(), bytes.begin(), bytes.end());
}

void UringStream::complete_send(unsigned number, const io_uring_cqe& cqe) {
  Send& send = sends_[number];
  if ((cqe.flags & IORING_CQE_F_NOTIF) != 0) {
    --notifications_;
    send.done = true;
    const bool copied = (static_cast<unsigned>(cqe.res) & IORING_NOTIF_USAGE_ZC_COPIED) != 0;
    if (copied) core_.counters.zero_copy_copied.add();
    if (zero_copy_ == ZeroCopyState::probing) core_.note_zero_copy(copied);
    if (zero_copy_ != ZeroCopyState::off)
      zero_copy_ = copied ? ZeroCopyState::off : ZeroCopyState::on;
  } else {
    send_running_ = false;
    --operations_;
    send.done = (cqe.flags & IORING_CQE_F_MORE) == 0;
    if (!send.done) ++notifications_;
    const auto wanted =
        std::exchange(send.bytes, cqe.res > 0 ? static_cast<std::uint32_t>(cqe.res) : 0);
    sent_bytes_ += send.bytes;
    core_.counters.sent_bytes.add(send.bytes);
    const bool made = plan_.has_source();
    if (send.bytes < wanted) {
      core_.counters.short_sends.add();
      room_wanted_ = made;
      if (made) made_limit_bytes_ = std::clamp(2 * send.bytes, kLeastMadeBytes, kMostMadeBytes);
    } else if (made && send.bytes >= made_limit_bytes_ / 2) {
      made_limit_bytes_ = std::min(2 * made_limit_bytes_, kMostMadeBytes);
    }
    if (cqe.res < 0 && !closing()) {
      const bool without_copy =
          zero_copy_ == ZeroCopyState::probing || zero_copy_ == ZeroCopyState::on;
      if (without_copy && (cqe.res == -ENOBUFS || cqe.res == -ENOMEM || cqe.res == -EOPNOTSUPP)) {
        zero_copy_ = ZeroCopyState::off;  // no memory may be pinned: copy from now on
      } else if (cqe.res != -EINTR && cqe.res != -EAGAIN && cqe.res != -ECANCELED) {
        close(reason_of(-cqe.res));
      }
    }
  }
  release_done();
  ready();
}

void UringStream::release_done() {
  std::uint64_t bytes = 0;
  while (sends_count_ > 0 && sends_[sends_first_].done) {
    bytes += sends_[sends_first_].bytes;
    sends_first_ = static_cast<std::uint8_t>((sends_first_ + 1) % kSends);
    --sends_count_;
  }
  if (bytes == 0) return;
  plan_.release(bytes);
  sent_bytes_ -= bytes;
  if (closing()) return;
  handler_->on_released(bytes);
  if (phase_ == Phase::lingering && plan_.size_bytes() == 0) {
    if (receive_ended_) return close(CloseReason::finished);
    core_.wheel.arm(timer_, core_.now + kLingerTime);
  }
}

}  // namespace nearfield::net::uring
