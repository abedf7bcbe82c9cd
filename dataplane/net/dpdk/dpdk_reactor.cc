#include "dataplane/net/dpdk/dpdk_reactor.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>

#include "cache/base/assert.h"
#include "dataplane/net/dpdk/eal.h"
#include "dataplane/net/dpdk/idle.h"
#include "dataplane/net/tcp/stack.h"
#include "dataplane/net/uring/uring_reactor.h"

namespace nearfield::net::dpdk {
namespace {

// The work of one turn (a Station and the helper have budgets of their own). A connection's turn
// names at most 64 KiB: 32 of them are 2 MiB, some 150 us, within which a queue of 1024 descriptors
// does not overflow at 10 Gb/s of full packets.
constexpr std::size_t kSendersPerTurn = 32;
constexpr std::size_t kTimersPerTurn = 256;
constexpr Duration kPublishEvery = std::chrono::milliseconds(100);
// How long run() goes on at its end, for resets to leave and the device to let go of our bytes.
constexpr Duration kLongestEnd = std::chrono::seconds(1);
// How long it goes on at least: a peer that misses bytes before our RST does not believe it and
// asks (RFC 5961 3.2); who is not there any more cannot answer, and it would wait for good.
constexpr Duration kShortestEnd = std::chrono::milliseconds(200);
constexpr std::size_t kMaximumShown = 1000;

}  // namespace

struct DpdkReactor::Impl {
  Impl(const DpdkOptions& options, Station& to, std::unique_ptr<UringReactor> helper_reactor)
      : station(to),
        helper(std::move(helper_reactor)),
        stack(stack_options(options), station.output(), helper->now()),
        idle(options.idle_sleep) {
    station.attach(&stack);
  }
  ~Impl() { station.attach(nullptr); }

  static tcp::StackOptions stack_options(const DpdkOptions& options);
  bool turn(Duration longest);
  Idle::Rest next_rest(bool worked);
  Duration until_due();
  bool sleep(Duration longest);
  bool wait(Duration longest);
  void publish(MonotonicTime now);
  void end();

  Station& station;
  std::unique_ptr<UringReactor> helper;
  tcp::Stack stack;
  Idle idle;
  MonotonicTime publish_at{};
  std::uint64_t turns = 0;
  std::uint64_t sleeps = 0;
  std::uint64_t waits = 0;
  Duration slept{};
  mutable std::mutex mutex;
  DpdkStatistics published;  // under it
};

tcp::StackOptions DpdkReactor::Impl::stack_options(const DpdkOptions& options) {
  tcp::StackOptions result;
  result.maximum_connections = options.maximum_connections;
  result.packet_bytes = options.mtu;
  result.secret = options.secret;
  return result;
}

bool DpdkReactor::Impl::turn(Duration longest) {
  bool worked = helper->turn(longest);
  const MonotonicTime now = helper->now();
  ++turns;
  station.begin_turn(now);
  worked |= station.receive();
  stack.advance(now, kTimersPerTurn);
  worked |= station.advance();
  if (stack.wants_to_run()) {
    stack.transmit(now, kSendersPerTurn);
    // With a full ring there is nothing to do but wait for the device.
    worked |= !stack.output_blocked();
  }
  station.flush();
  if (now >= publish_at) publish(now);
  return worked;
}

Idle::Rest DpdkReactor::Impl::next_rest(bool worked) {
  if (worked) return idle.after_turn(true, {}, false);
  // A full ring becomes empty without an interrupt.
  const bool can_wait = station.can_wait() && !stack.wants_to_run();
  return idle.after_turn(false, until_due(), can_wait);
}

Duration DpdkReactor::Impl::until_due() {
  MonotonicTime due = station.next_deadline();
  if (const auto deadline = stack.next_deadline()) due = std::min(due, *deadline);
  return due == MonotonicTime::max() ? Duration::max() : due - helper->now();
}

bool DpdkReactor::Impl::sleep(Duration longest) {
  const MonotonicTime before = helper->now();
  const bool worked = turn(longest);
  ++sleeps;
  slept += helper->now() - before;
  return worked;
}

// Until something comes, or for `longest`.
bool DpdkReactor::Impl::wait(Duration longest) {
  bool worked = false;
  const bool is_armed = station.arm();
  if (is_armed) worked = turn({});  // finds what came before the port was asked to wake us
  if (!worked && !helper->stopping()) {
    publish(helper->now());  // for a while nobody else will
    // Asked again, as timers may have filled the ring meanwhile.
    const bool can_wait =
        is_armed && station.can_wait() && !stack.wants_to_run() && helper->wake_on(station.bell());
    worked = sleep(std::min(can_wait ? longest : Idle::kShortSleep, until_due()));
    waits += can_wait;
  }
  if (is_armed) station.disarm();
  return worked;
}

void DpdkReactor::Impl::publish(MonotonicTime now) {
  publish_at = now + kPublishEvery;
  const UringStatistics of_helper = helper->statistics();
  const std::lock_guard lock(mutex);
  published = {.tcp = stack.counters(),
               .station = station.counters(),
               .receiver = station.receiver(),
               .transmitter = station.transmitter(),
               .neighbours = station.neighbours(),
               .tap = station.tap(),
               .connections = stack.connections(),
               .half_open = stack.half_open(),
               .time_wait = stack.time_wait(),
               .origin_streams = of_helper.streams_now,
               .turns = turns,
               .sleeps = sleeps,
               .waits = waits,
               .slept_us = static_cast<std::uint64_t>(
                   std::chrono::duration_cast<std::chrono::microseconds>(slept).count())};
}

// Whoever is left is told first: their abort() makes the RST that leaves in the turns that follow.
void DpdkReactor::Impl::end() {
  stack.stop_listening();
  const MonotonicTime begin = helper->now();
  while (helper->now() < begin + kShortestEnd ||
         (stack.connections() > 0 && helper->now() < begin + kLongestEnd)) {
    if (!turn({})) turn(Idle::kFirstSleep);
  }
  // And what has been aborted may still be read by the device.
  while (stack.slots_in_use() > stack.connections() && helper->now() < begin + 2 * kLongestEnd) {
    if (!turn({})) turn(Idle::kFirstSleep);
  }
  stack.shutdown();
  publish(helper->now());
  helper->end();
}

// --- DpdkReactor ---

Result<std::unique_ptr<DpdkReactor>> DpdkReactor::create(const DpdkOptions& options,
                                                         Station& station) {
  UringOptions of_helper;
  of_helper.maximum_streams = options.maximum_origin_streams;
  of_helper.client_buffers = 16;  // it accepts nobody
  of_helper.seed = options.seed;
  auto helper = UringReactor::create(of_helper);
  if (!helper) return std::unexpected(helper.error());
  return std::unique_ptr<DpdkReactor>(
      new DpdkReactor(std::make_unique<Impl>(options, station, *std::move(helper))));
}

DpdkReactor::DpdkReactor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DpdkReactor::~DpdkReactor() = default;

Result<void> DpdkReactor::run() {
  const auto thread = EalThread::enter();
  if (!thread) return std::unexpected(thread.error());
  if (auto begun = impl_->helper->begin(); !begun) return begun;
  Idle::Rest rest;
  while (!impl_->helper->stopping()) {
    const bool worked = rest.sleep <= Duration::zero() ? impl_->turn({})
                        : rest.until_packet            ? impl_->wait(rest.sleep)
                                                       : impl_->sleep(rest.sleep);
    rest = impl_->next_rest(worked);
  }
  impl_->end();
  return {};
}

void DpdkReactor::stop() { impl_->helper->stop(); }

DpdkStatistics DpdkReactor::statistics() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->published;
}

std::vector<tcp::ConnectionView> DpdkReactor::connections(std::size_t limit,
                                                          const Endpoint* peer) const {
  std::vector<tcp::ConnectionView> views;
  limit = std::min(limit, kMaximumShown);
  impl_->stack.for_each([&](const tcp::ConnectionView& view) {
    if (views.size() < limit && (peer == nullptr || view.flow.peer == *peer)) {
      views.push_back(view);
    }
  });
  return views;
}

MonotonicTime DpdkReactor::now() const { return impl_->helper->now(); }
WallTime DpdkReactor::wall_now() const { return impl_->helper->wall_now(); }
std::chrono::milliseconds DpdkReactor::wall_now_ms() const { return impl_->helper->wall_now_ms(); }
std::uint64_t DpdkReactor::random() { return impl_->helper->random(); }
void DpdkReactor::arm(Timer& timer, MonotonicTime deadline) { impl_->helper->arm(timer, deadline); }
void DpdkReactor::cancel(Timer& timer) { impl_->helper->cancel(timer); }
Ref<Signal> DpdkReactor::make_signal(std::function<void()> callback) {
  return impl_->helper->make_signal(std::move(callback));
}
void DpdkReactor::cancel_signal(const Ref<Signal>& signal) { impl_->helper->cancel_signal(signal); }
void DpdkReactor::post(std::function<void()> task) { impl_->helper->post(std::move(task)); }

Stream* DpdkReactor::connect(const Endpoint& peer, const ConnectOptions& options,
                             StreamHandler& handler) {
  return impl_->helper->connect(peer, options, handler);
}

void DpdkReactor::listen(const ListenPlace& place, Acceptor& acceptor) {
  impl_->station.claim(place.local);
  impl_->stack.listen(place.local, acceptor);
}

void DpdkReactor::stop_listening() { impl_->stack.stop_listening(); }

}  // namespace nearfield::net::dpdk
