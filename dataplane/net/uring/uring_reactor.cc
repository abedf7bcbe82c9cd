#include "dataplane/net/uring/uring_reactor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "cache/base/assert.h"
#include "dataplane/net/uring/core.h"
#include "dataplane/net/uring/uring_acceptor.h"
#include "dataplane/net/uring/uring_stream.h"

namespace nearfield::net {

using namespace uring;

namespace {

// The work of one turn; what is left waits for the next, which then does not sleep.
constexpr std::size_t kCompletionsPerTurn = 512;
constexpr std::size_t kTimersPerTurn = 256;
constexpr std::size_t kSignalsPerTurn = 512;
constexpr unsigned kSubmissions = 1024;
constexpr unsigned kCompletions = 8192;
constexpr Duration kLongestWait = std::chrono::seconds(1);
// How long run() waits at its end for operations to be cancelled.
constexpr Duration kLongestEnd = std::chrono::seconds(3);

constexpr int kClientGroup = 0;
constexpr int kOriginGroup = 1;

// SplitMix64 (Steele, Lea, Flood 2014).
std::uint64_t next_random(std::uint64_t* state) {
  std::uint64_t value = *state += 0x9e3779b97f4a7c15;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
  value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
  return value ^ (value >> 31);
}

}  // namespace

struct UringReactor::Impl {
  explicit Impl(const UringOptions& options) : core(options), random_state(options.seed) {}
  ~Impl();

  void take_time();
  void arm_wake();
  bool turn(Duration longest);
  Duration longest_wait(Duration longest);
  void dispatch(const io_uring_cqe& cqe);
  void end();

  Core core;
  Ref<Inbox> inbox;
  int wake_descriptor = -1;
  bool wake_armed = false;
  bool watch_armed = false;
  bool ran = false;
  bool signals_left = false;
  std::uint64_t random_state;
  std::chrono::milliseconds wall_ms{};
  std::vector<std::unique_ptr<UringAcceptor>> acceptors;
};

UringReactor::Impl::~Impl() {
  core.for_each_stream([](UringStream& stream) { stream.drop(); });
  if (inbox) inbox->close();
  if (wake_descriptor >= 0) ::close(wake_descriptor);
}

void UringReactor::Impl::take_time() {
  core.now = std::chrono::steady_clock::now();
  wall_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::system_clock::now().time_since_epoch());
}

// The eventfd is polled, never read: each write completes the multishot poll again.
void UringReactor::Impl::arm_wake() {
  wake_armed = true;
  io_uring_sqe* sqe = core.ring->submission();
  io_uring_prep_poll_multishot(sqe, wake_descriptor, POLLIN);
  io_uring_sqe_set_data64(sqe, tag(nullptr, Operation::wake));
}

Duration UringReactor::Impl::longest_wait(Duration longest) {
  if (longest <= Duration::zero() || signals_left || core.has_ready() ||
      core.ring->has_completions()) {
    return {};
  }
  if (const std::optional<MonotonicTime> deadline = core.wheel.next_deadline()) {
    longest = std::min<Duration>(longest, *deadline - core.now);
  }
  if (longest <= Duration::zero() || !inbox->prepare_sleep()) return {};
  return longest;
}

bool UringReactor::Impl::turn(Duration longest) {
  const int result = core.ring->submit_and_wait(longest_wait(longest));
  NEARFIELD_ASSERT(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
                   result == -EBUSY);
  core.note_submitted();
  inbox->end_sleep();
  take_time();
  core.counters.turns.add();
  if (core.ring->overflowed()) core.counters.completion_overflows.add();
  const std::size_t completions = core.ring->completions(
      kCompletionsPerTurn, [this](const io_uring_cqe& cqe) { dispatch(cqe); });
  core.counters.completions.add(completions);
  const std::size_t fired = core.wheel.advance(core.now, kTimersPerTurn);
  signals_left = inbox->run(kSignalsPerTurn);
  const bool worked = completions > 0 || fired > 0 || signals_left || core.has_ready();
  if (core.ring->room() > acceptors.size()) {
    if (!wake_armed) arm_wake();
    for (const auto& acceptor : acceptors) acceptor->process();
  }
  core.process_ready();
  return worked;
}

void UringReactor::Impl::dispatch(const io_uring_cqe& cqe) {
  const auto operation = static_cast<Operation>(cqe.user_data & kOperationMask);
  void* object = reinterpret_cast<void*>(cqe.user_data & ~kOperationMask);
  switch (operation) {
    case Operation::ignored:
      return;
    case Operation::wake:
      if ((cqe.flags & IORING_CQE_F_MORE) == 0) wake_armed = false;
      return;
    case Operation::watch:
      watch_armed = false;
      return;
    case Operation::accept:
      return static_cast<UringAcceptor*>(object)->complete(cqe);
    default:
      return static_cast<UringStream*>(object)->complete(operation, cqe);
  }
}

void UringReactor::Impl::end() {
  for (const auto& acceptor : acceptors) {
    if (core.ring->room() < Core::kSubmissionsPerStream) core.ring->submit_and_wait({});
    acceptor->stop();
  }
  core.for_each_stream([](UringStream& stream) { stream.close(CloseReason::aborted); });
  const MonotonicTime deadline = core.now + kLongestEnd;
  const auto ended = [this] {
    return core.counters.streams_now.value() == 0 &&
           std::ranges::all_of(acceptors,
                               [](const auto& acceptor) { return acceptor->finished(); });
  };
  while (!ended() && core.now < deadline) turn(kLongestWait);
  inbox->close();
}

// --- UringReactor ---

Result<std::unique_ptr<UringReactor>> UringReactor::create(const UringOptions& options) {
  auto impl = std::make_unique<Impl>(options);
  Result<std::unique_ptr<Ring>> ring = Ring::create(kSubmissions, kCompletions);
  if (!ring) return std::unexpected(ring.error());
  impl->core.ring = std::move(*ring);
  const auto buffers = [&impl](int group, unsigned count, std::size_t bytes,
                               std::unique_ptr<ReceiveBuffers>* made) -> Result<void> {
    auto result = ReceiveBuffers::create(impl->core.ring->raw(), group, count, bytes);
    if (!result) return std::unexpected(result.error());
    *made = std::move(*result);
    return {};
  };
  const auto made = buffers(kClientGroup, options.client_buffers, options.client_buffer_bytes,
                            &impl->core.client_buffers)
                        .and_then([&] {
                          return buffers(kOriginGroup, options.origin_buffers,
                                         options.origin_buffer_bytes, &impl->core.origin_buffers);
                        });
  if (!made) return std::unexpected(made.error());
  impl->wake_descriptor = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (impl->wake_descriptor < 0) {
    return failure(std::string("cannot make an eventfd: ") + std::strerror(errno) +
                   "; raise LimitNOFILE (ulimit -n)");
  }
  impl->inbox = make_ref<Inbox>([descriptor = impl->wake_descriptor] {
    const std::uint64_t one = 1;
    // Cannot fail but for a counter near 2^64, which would wake as well.
    [[maybe_unused]] const ssize_t written = ::write(descriptor, &one, sizeof(one));
  });
  if (options.seed == 0 && ::getrandom(&impl->random_state, sizeof(impl->random_state), 0) !=
                               sizeof(impl->random_state)) {
    impl->random_state = static_cast<std::uint64_t>(impl->core.now.time_since_epoch().count());
  }
  impl->take_time();
  return std::unique_ptr<UringReactor>(new UringReactor(std::move(impl)));
}

UringReactor::UringReactor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UringReactor::~UringReactor() = default;

Result<void> UringReactor::run() {
  if (Result<void> begun = begin(); !begun) return begun;
  // The first turn does not sleep: what was prepared before has to be seen once.
  for (Duration longest{}; !stopping(); longest = kLongestWait) turn(longest);
  end();
  return {};
}

Result<void> UringReactor::begin() {
  NEARFIELD_ASSERT(!std::exchange(impl_->ran, true));
  return impl_->core.ring->enable();
}

// One completion, so that a descriptor that stays readable does not keep a busy loop busier.
bool UringReactor::wake_on(int descriptor) {
  if (impl_->watch_armed) return true;
  if (impl_->core.ring->room() == 0) return false;
  io_uring_sqe* sqe = impl_->core.ring->submission();
  io_uring_prep_poll_add(sqe, descriptor, POLLIN);
  io_uring_sqe_set_data64(sqe, tag(nullptr, Operation::watch));
  impl_->watch_armed = true;
  return true;
}

bool UringReactor::turn(Duration longest) { return impl_->turn(longest); }

std::optional<MonotonicTime> UringReactor::next_deadline() {
  return impl_->core.wheel.next_deadline();
}

bool UringReactor::stopping() const { return impl_->core.stopping; }

void UringReactor::end() { impl_->end(); }

void UringReactor::stop() {
  impl_->inbox->post([impl = impl_.get()] { impl->core.stopping = true; });
}

UringStatistics UringReactor::statistics() const {
  const Counters& from = impl_->core.counters;
  return {.turns = from.turns.value(),
          .completions = from.completions.value(),
          .streams_now = from.streams_now.value(),
          .accepted = from.accepted.value(),
          .accept_refused = from.accept_refused.value(),
          .accept_overflows = from.accept_overflows.value(),
          .accept_failures = from.accept_failures.value(),
          .connects = from.connects.value(),
          .connect_failures = from.connect_failures.value(),
          .received_bytes = from.received_bytes.value(),
          .receives = from.receives.value(),
          .receive_buffer_exhaustions = from.receive_buffer_exhaustions.value(),
          .receive_pauses = from.receive_pauses.value(),
          .sent_bytes = from.sent_bytes.value(),
          .sends = from.sends.value(),
          .short_sends = from.short_sends.value(),
          .zero_copy_sends = from.zero_copy_sends.value(),
          .zero_copy_copied = from.zero_copy_copied.value(),
          .resets_received = from.resets_received.value(),
          .staging_waits = from.staging_waits.value(),
          .completion_overflows = from.completion_overflows.value()};
}

MonotonicTime UringReactor::now() const { return impl_->core.now; }
WallTime UringReactor::wall_now() const {
  return WallTime(std::chrono::floor<std::chrono::seconds>(impl_->wall_ms));
}
std::chrono::milliseconds UringReactor::wall_now_ms() const { return impl_->wall_ms; }
std::uint64_t UringReactor::random() { return next_random(&impl_->random_state); }

void UringReactor::arm(Timer& timer, MonotonicTime deadline) {
  impl_->core.wheel.arm(timer, deadline);
}
void UringReactor::cancel(Timer& timer) { impl_->core.wheel.cancel(timer); }

Ref<Signal> UringReactor::make_signal(std::function<void()> callback) {
  return impl_->inbox->make_signal(std::move(callback));
}
void UringReactor::cancel_signal(const Ref<Signal>& signal) { Inbox::cancel_signal(signal); }
void UringReactor::post(std::function<void()> task) { impl_->inbox->post(std::move(task)); }

Stream* UringReactor::connect(const Endpoint& peer, const ConnectOptions& options,
                              StreamHandler& handler) {
  Core& core = impl_->core;
  core.counters.connects.add();
  int descriptor = -1;
  UringStream* stream = nullptr;
  if (!core.stopping) {
    const int family = peer.address.is_v4() ? AF_INET : AF_INET6;
    descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor >= 0) stream = core.take_stream();
  }
  if (stream == nullptr) {
    if (descriptor >= 0) ::close(descriptor);
    core.counters.connect_failures.add();
    return nullptr;
  }
  const int yes = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  stream->connect(descriptor, peer, options.timeout, handler);
  return stream;
}

void UringReactor::listen(const ListenPlace& place, Acceptor& acceptor) {
  NEARFIELD_ASSERT(place.descriptor >= 0);
  impl_->acceptors.push_back(
      std::make_unique<UringAcceptor>(impl_->core, place.descriptor, acceptor));
}

void UringReactor::stop_listening() {
  Core& core = impl_->core;
  if (!impl_->ran) {
    impl_->acceptors.clear();
    return;
  }
  for (const auto& acceptor : impl_->acceptors) {
    if (core.ring->room() < Core::kSubmissionsPerStream) core.ring->submit_and_wait({});
    acceptor->stop();
  }
  // At once, because the caller may close the descriptors; completions come with the next turn.
  core.ring->submit_and_wait({});
}

}  // namespace nearfield::net
