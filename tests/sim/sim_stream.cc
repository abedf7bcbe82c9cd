#include "tests/sim/sim_stream.h"

#include <sys/uio.h>

#include <algorithm>
#include <array>

#include "cache/base/assert.h"

namespace nearfield::sim {
namespace {
// As the real transports: see Stream::close_after_send().
constexpr Duration kLingerTime = std::chrono::seconds(1);
constexpr std::size_t kLingerBytes = 64 * 1024;
}  // namespace

SimEnd::SimEnd(World::Impl& world, SimReactor::Impl& reactor, const net::Endpoint& local,
               const net::Endpoint& peer, const PathOptions& out)
    : world_(world),
      reactor_(reactor),
      number_(world.next_end++),
      local_(local),
      peer_(peer),
      out_(out) {
  NEARFIELD_ASSERT(out.minimum_segment_bytes >= 1 &&
                   out.minimum_segment_bytes <= out.maximum_segment_bytes);
}

template <typename Function>
void SimEnd::later(Duration after, Function function) {
  world_.schedule(after, [self = shared_from_this(), function] { function(*self); });
}

void SimEnd::open() {
  open_ = true;
  ++reactor_.streams;
  world_.open_ends.emplace(number_, shared_from_this());
}

void SimEnd::connected(bool announce) {
  connected_ = true;
  if (announce) handler_->on_connected();
  wake_sender();
}

void SimEnd::close_now(net::CloseReason reason) {
  if (!open_) return;
  const std::shared_ptr<SimEnd> self = shared_from_this();
  open_ = false;
  --reactor_.streams;
  world_.open_ends.erase(number_);
  plan_.clear();
  in_flight_bytes_ = 0;
  inbox_.clear();
  if (other_ != nullptr &&
      !other_->open_) {  // the ends hold each other; the last one to close lets go
    other_->other_.reset();
    other_.reset();
  }
  if (handler_ != nullptr) std::exchange(handler_, nullptr)->on_closed(reason);
}

// --- what the handler calls ---

void SimEnd::wake_sender() {
  if (!open_ || !connected_ || pump_posted_) return;
  pump_posted_ = true;
  later({}, [](SimEnd& end) {
    end.pump_posted_ = false;
    end.pump();
  });
}

void SimEnd::resume_receive() {
  if (!open_ || !paused_ || deliver_posted_) return;
  deliver_posted_ = true;
  later({}, [](SimEnd& end) {
    end.deliver_posted_ = false;
    end.paused_ = false;
    end.deliver();
  });
}

void SimEnd::close_after_send() {
  if (phase_ != Phase::open) return;
  phase_ = Phase::ending;
  wake_sender();
  if (!connected_) abort();
}

void SimEnd::shutdown_send() {
  half_closed_ = true;
  wake_sender();
}

void SimEnd::abort() {
  if (phase_ == Phase::aborting) return;
  phase_ = Phase::aborting;
  later({}, [](SimEnd& end) {
    if (!end.open_) return;
    end.send_reset();
    end.close_now(net::CloseReason::aborted);
  });
}

void SimEnd::abandon() {
  handler_ = nullptr;
  if (!open_) return;
  send_reset();
  close_now(net::CloseReason::aborted);
}

// --- sending ---

bool SimEnd::ask_for_more() {
  if (phase_ != Phase::open || half_closed_) return false;
  handler_->on_send_ready(plan_);
  return plan_.size_bytes() > in_flight_bytes_;
}

void SimEnd::pump() {
  if (!connected_) return;
  while (open_ && phase_ != Phase::aborting && phase_ != Phase::lingering) {
    if (plan_.size_bytes() == in_flight_bytes_ && !ask_for_more()) break;
    if (phase_ == Phase::aborting) return;
    // What is on its way and what waits to be consumed there.
    const std::size_t outstanding =
        other_ == nullptr ? 0 : other_->coming_bytes_ + other_->inbox_.size();
    if (outstanding >= out_.window_bytes) return;  // deliver() of the other end wakes us
    const std::size_t wanted =
        world_.random.between(out_.minimum_segment_bytes, out_.maximum_segment_bytes);
    send_segment(std::min({wanted, out_.window_bytes - outstanding,
                           static_cast<std::size_t>(plan_.size_bytes() - in_flight_bytes_)}));
  }
  if (!open_ || plan_.size_bytes() != in_flight_bytes_) return;
  if ((phase_ == Phase::ending || half_closed_) && !fin_sent_) send_fin();
  if (phase_ == Phase::ending && fin_sent_) {
    phase_ = Phase::lingering;
    inbox_.clear();
    if (!is_silent())  // else nobody acknowledges our end, and only the application can give up
      later(kLingerTime, [](SimEnd& end) { end.close_now(net::CloseReason::finished); });
    finish_if_ended();
  }
}

std::string SimEnd::pull(std::size_t bytes) {
  std::string result;
  std::array<iovec, 3> vectors;  // few, so that pulls meet the end of the vectors
  while (result.size() < bytes) {
    std::uint64_t covered = 0;
    const std::uint64_t from = in_flight_bytes_ + result.size();
    const std::size_t used = plan_.peek(from, bytes - result.size(), vectors, &covered);
    if (plan_.has_source()) {
      // What was made stays for a while, as with a device; when the staging is full, all is over.
      reactor_.staging.settle(++reactor_.staging_use);
      const std::uint64_t kept = used == 0 ? 0 : reactor_.random.between(0, 3);
      reactor_.staging.retire(reactor_.staging_use - std::min(kept, reactor_.staging_use));
      if (used == 0) continue;
    }
    NEARFIELD_ASSERT(used > 0 && covered > 0);
    for (std::size_t index = 0; index < used; ++index) {
      result.append(static_cast<const char*>(vectors[index].iov_base), vectors[index].iov_len);
    }
  }
  NEARFIELD_ASSERT(result.size() == bytes);
  return result;
}

MonotonicTime SimEnd::arrival_time(std::size_t bytes) {
  wire_free_at_ = std::max(wire_free_at_, world_.now);
  if (out_.bytes_per_second > 0) {
    wire_free_at_ += std::chrono::nanoseconds(bytes * 1'000'000'000 / out_.bytes_per_second);
  }
  return wire_free_at_ + out_.latency;
}

void SimEnd::send_segment(std::size_t bytes) {
  std::string segment = pull(bytes);
  in_flight_bytes_ += bytes;
  const std::uint64_t before = transmitted_bytes_;
  transmitted_bytes_ += bytes;
  const bool reset = out_.reset_after_bytes && transmitted_bytes_ >= *out_.reset_after_bytes;
  if (reset)
    segment.resize(*out_.reset_after_bytes > before ? *out_.reset_after_bytes - before : 0);
  if (out_.silent_after_bytes) {
    if (before >= *out_.silent_after_bytes) return;
    segment.resize(std::min<std::uint64_t>(segment.size(), *out_.silent_after_bytes - before));
  }
  other_->coming_bytes_ += segment.size();
  world_.schedule_at(arrival_time(bytes),
                     [self = shared_from_this(), other = other_, segment, reset] {
                       other->coming_bytes_ -= segment.size();
                       if (!segment.empty()) other->receive_segment(segment);
                       if (reset) self->reset_by_network();
                     });
}

void SimEnd::send_fin() {
  fin_sent_ = true;
  if (is_silent()) return;
  world_.schedule_at(arrival_time(0), [other = other_] { other->receive_fin(); });
}

void SimEnd::send_reset() {
  if (other_ == nullptr) return;
  if (is_silent()) return;
  world_.schedule_at(arrival_time(0), [other = other_] { other->receive_reset(); });
}

void SimEnd::acknowledge(const std::string& bytes) {
  if (!open_) return;
  // The invariant of SendPlan: pulled again, the same bytes.
  const std::size_t in_flight = std::exchange(in_flight_bytes_, 0);
  NEARFIELD_ASSERT(pull(bytes.size()) == bytes);
  in_flight_bytes_ = in_flight - bytes.size();
  plan_.release(bytes.size());
  acknowledged_bytes_ += bytes.size();
  if (handler_ != nullptr && phase_ != Phase::aborting) handler_->on_released(bytes.size());
  wake_sender();
}

// --- receiving ---

void SimEnd::receive_segment(const std::string& bytes) {
  if (!open_) {
    send_reset();  // nobody is there any more
    return;
  }
  world_.schedule(out_.latency, [sender = other_, bytes] { sender->acknowledge(bytes); });
  if (phase_ == Phase::lingering) {
    linger_over(bytes.size());
    return;
  }
  inbox_ += bytes;
  deliver();
}

void SimEnd::linger_over(std::size_t bytes) {
  lingered_bytes_ += bytes;
  if (lingered_bytes_ > kLingerBytes) close_now(net::CloseReason::finished);
}

void SimEnd::deliver() {
  if (!open_ || phase_ == Phase::aborting || phase_ == Phase::lingering) return;
  if (!paused_ && !inbox_.empty()) {
    const std::size_t taken = handler_->on_receive(std::as_bytes(std::span(inbox_)));
    NEARFIELD_ASSERT(taken <= inbox_.size());
    inbox_.erase(0, taken);
    paused_ = !inbox_.empty();
    if (taken > 0) world_.schedule(out_.latency, [sender = other_] { sender->wake_sender(); });
  }
  if (!open_ || phase_ == Phase::aborting || !inbox_.empty()) return;
  if (fin_received_ && !end_announced_) {
    end_announced_ = true;
    handler_->on_receive_end();
  }
}

void SimEnd::receive_fin() {
  if (!open_) return;
  fin_received_ = true;
  if (phase_ == Phase::lingering) {
    finish_if_ended();
  } else {
    deliver();
  }
}

void SimEnd::finish_if_ended() {
  if (!fin_received_) return;
  later({}, [](SimEnd& end) { end.close_now(net::CloseReason::finished); });
}

void SimEnd::receive_reset() {
  if (open_)
    close_now(phase_ == Phase::aborting ? net::CloseReason::aborted : net::CloseReason::peer_reset);
}

void SimEnd::reset_by_network() {
  const std::shared_ptr<SimEnd> other = other_;
  receive_reset();
  if (other != nullptr) other->receive_reset();
}

}  // namespace nearfield::sim
