#include "dataplane/net/tcp/transmission_log.h"

#include <algorithm>

#include "cache/base/assert.h"

namespace nearfield::net::tcp {

using State = Transmission::State;
constexpr std::uint32_t kNone = Transmission::kNone;

// --- the pool ---

TransmissionPool::TransmissionPool(std::size_t connections, std::size_t shared)
    : all_(connections * kGuaranteed + shared),
      first_free_(all_.empty() ? kNone : 0),
      free_count_(all_.size()),
      promised_(connections * kGuaranteed) {
  NEARFIELD_ASSERT(all_.size() < kNone);
  for (std::size_t index = 0; index + 1 < all_.size(); ++index) {
    all_[index].next = static_cast<std::uint32_t>(index + 1);
  }
}

std::uint32_t TransmissionPool::take(std::size_t held) {
  if (!may_take(held)) {
    ++refusals_;
    return kNone;
  }
  NEARFIELD_ASSERT(free_count_ > 0);
  if (held < kGuaranteed) --promised_;
  --free_count_;
  const std::uint32_t index = first_free_;
  first_free_ = all_[index].next;
  all_[index] = Transmission{};
  return index;
}

void TransmissionPool::give(std::uint32_t index, std::size_t held_after) {
  if (held_after < kGuaranteed) ++promised_;
  ++free_count_;
  all_[index].next = first_free_;
  first_free_ = index;
}

// --- chains and sums ---

std::uint64_t& TransmissionLog::sum_of(State state) {
  switch (state) {
    case State::in_flight:
      return in_flight_bytes_;
    case State::lost:
      return lost_bytes_;
    case State::sacked:
      return sacked_bytes_;
  }
  NEARFIELD_ASSERT(false);
}

// Behind everything sent before it, and behind its elder of the same moment. New transmissions end
// up at the end at once; what comes back from a false alarm looks for its place from `near` on,
// where its neighbour has just found one.
void TransmissionLog::chain_time(std::uint32_t index, std::uint32_t near) {
  Transmission& range = at(index);
  const auto is_after = [&](std::uint32_t other) {
    return at(other).sent_at > range.sent_at ||
           (at(other).sent_at == range.sent_at && at(other).begin > range.begin);
  };
  std::uint32_t older = near;
  while (older != kNone && at(older).newer != kNone && !is_after(at(older).newer)) {
    older = at(older).newer;
  }
  while (older != kNone && is_after(older)) older = at(older).older;
  range.older = older;
  range.newer = older == kNone ? oldest_ : at(older).newer;
  (older == kNone ? oldest_ : at(older).newer) = index;
  (range.newer == kNone ? newest_ : at(range.newer).older) = index;
}

void TransmissionLog::unchain_time(std::uint32_t index) {
  Transmission& range = at(index);
  (range.older == kNone ? oldest_ : at(range.older).newer) = range.newer;
  (range.newer == kNone ? newest_ : at(range.newer).older) = range.older;
  range.older = kNone;
  range.newer = kNone;
}

void TransmissionLog::set_state(std::uint32_t index, State state, std::uint32_t near) {
  Transmission& range = at(index);
  if (range.state == state) return;
  sum_of(range.state) -= range.bytes();
  sum_of(state) += range.bytes();
  if (range.state == State::in_flight) unchain_time(index);
  range.state = state;
  if (state == State::in_flight) chain_time(index, near == kNone ? newest_ : near);
  if (state == State::lost && (lost_hint_ == kNone || range.begin < at(lost_hint_).begin)) {
    // With no hint everything may have to be looked at anyway, so that this one is as good a start
    // only when nothing else is lost.
    if (lost_hint_ != kNone || lost_bytes_ == range.bytes()) lost_hint_ = index;
  }
}

// The range keeps [begin, position), a new one behind it takes the rest.
bool TransmissionLog::cut(TransmissionPool& pool, std::uint32_t index, StreamPosition position,
                          std::size_t most_ranges) {
  NEARFIELD_ASSERT(at(index).begin < position && position < at(index).end);
  if (count_ >= std::min(most_ranges, kMaximumRanges)) return false;
  const std::uint32_t rest = pool.take(count_);
  if (rest == kNone) return false;
  ++count_;
  Transmission& front = at(index);
  Transmission& back = at(rest);
  back = front;
  back.begin = position;
  front.end = position;
  back.previous = index;
  (back.next == kNone ? last_ : at(back.next).previous) = rest;
  front.next = rest;
  if (front.state == State::in_flight) {
    back.older = index;
    (back.newer == kNone ? newest_ : at(back.newer).older) = rest;
    front.newer = rest;
  }
  return true;
}

void TransmissionLog::remove(TransmissionPool& pool, std::uint32_t index) {
  Transmission& range = at(index);
  sum_of(range.state) -= range.bytes();
  if (range.state == State::in_flight) unchain_time(index);
  (range.previous == kNone ? first_ : at(range.previous).next) = range.next;
  (range.next == kNone ? last_ : at(range.next).previous) = range.previous;
  if (lost_hint_ == index) lost_hint_ = range.next;
  --count_;
  pool.give(index, count_);
}

// Sacked neighbours are one range: their times do not matter any more.
void TransmissionLog::join_sacked(TransmissionPool& pool, std::uint32_t index) {
  const auto absorb_next = [&](std::uint32_t front) {
    const std::uint32_t back = at(front).next;
    if (back == kNone || at(back).state != State::sacked) return;
    const std::uint64_t bytes = at(back).bytes();
    at(front).retransmitted |= at(back).retransmitted;
    remove(pool, back);
    at(front).end += bytes;
    sacked_bytes_ += bytes;
  };
  absorb_next(index);
  const std::uint32_t before = at(index).previous;
  if (before != kNone && at(before).state == State::sacked) absorb_next(before);
}

// --- sending ---

bool TransmissionLog::append(TransmissionPool& pool, StreamPosition begin, StreamPosition end,
                             MonotonicTime now) {
  NEARFIELD_ASSERT(begin < end && end - begin <= kMaximumRangeBytes);
  if (last_ != kNone) {
    Transmission& last = at(last_);
    NEARFIELD_ASSERT(last.end == begin);
    if (last.state == State::in_flight && !last.retransmitted && last.sent_at == now &&
        end - last.begin <= kMaximumRangeBytes) {
      in_flight_bytes_ += end - begin;
      last.end = end;
      return true;
    }
  }
  if (count_ >= kMaximumRanges) return false;
  const std::uint32_t index = pool.take(count_);
  if (index == kNone) return false;
  all_ = &pool.all_;
  ++count_;
  Transmission& range = at(index);
  range.begin = begin;
  range.end = end;
  range.sent_at = now;
  range.previous = last_;
  (last_ == kNone ? first_ : at(last_).next) = index;
  last_ = index;
  in_flight_bytes_ += range.bytes();
  chain_time(index, newest_);
  return true;
}

void TransmissionLog::resend(std::uint32_t index, MonotonicTime now) {
  Transmission& range = at(index);
  if (range.state == State::in_flight) unchain_time(index);
  sum_of(range.state) -= range.bytes();
  range.state = State::in_flight;
  range.sent_at = now;
  range.retransmitted = true;
  in_flight_bytes_ += range.bytes();
  chain_time(index, newest_);
}

std::uint32_t TransmissionLog::first_lost() {
  if (lost_bytes_ == 0) return kNone;
  std::uint32_t index = lost_hint_ == kNone ? first_ : lost_hint_;
  while (at(index).state != State::lost) index = at(index).next;
  lost_hint_ = index;
  return index;
}

std::optional<TransmissionLog::Range> TransmissionLog::next_lost(TransmissionPool& pool,
                                                                 std::uint64_t at_most) {
  NEARFIELD_ASSERT(at_most > 0);
  const std::uint32_t index = first_lost();
  if (index == kNone) return std::nullopt;
  if (at(index).bytes() > at_most) cut(pool, index, at(index).begin + at_most);
  return Range{at(index).begin, at(index).end};
}

void TransmissionLog::on_lost_resent(MonotonicTime now) {
  const std::uint32_t index = first_lost();
  NEARFIELD_ASSERT(index != kNone);
  resend(index, now);
}

std::optional<TransmissionLog::Range> TransmissionLog::last_unsacked(std::uint64_t at_most) const {
  std::uint32_t index = last_;
  while (index != kNone && at(index).state == State::sacked) index = at(index).previous;
  if (index == kNone) return std::nullopt;
  const Transmission& range = at(index);
  return Range{range.end - std::min(at_most, range.bytes()), range.end};
}

void TransmissionLog::on_probed(TransmissionPool& pool, Range range, MonotonicTime now) {
  std::uint32_t index = last_;
  while (index != kNone && at(index).begin >= range.end) index = at(index).previous;
  NEARFIELD_ASSERT(index != kNone && at(index).state != State::sacked);
  if (at(index).begin < range.begin && cut(pool, index, range.begin)) index = at(index).next;
  if (range.end < at(index).end) cut(pool, index, range.end);
  resend(index, now);
}

// --- what the peer tells ---

void TransmissionLog::deliver(const Transmission& range, StreamPosition end,
                              Delivery* delivery) const {
  delivery->bytes += end - range.begin;
  if (range.retransmitted) {
    delivery->retransmitted_bytes += end - range.begin;
  } else {
    if (!delivery->timed || range.sent_at >= delivery->timed_sent_at) {
      delivery->timed_end = range.sent_at == delivery->timed_sent_at && delivery->timed
                                ? std::max(delivery->timed_end, end)
                                : end;
      delivery->timed_sent_at = range.sent_at;
      delivery->timed = true;
    }
    if (end <= delivery->highest_before) delivery->reordered = true;
  }
  if (!delivery->any || range.sent_at > delivery->sent_at ||
      (range.sent_at == delivery->sent_at && end > delivery->end)) {
    delivery->any = true;
    delivery->sent_at = range.sent_at;
    delivery->end = end;
    delivery->retransmitted = range.retransmitted;
  }
}

void TransmissionLog::acknowledge(TransmissionPool& pool, StreamPosition position,
                                  Delivery* delivery) {
  while (first_ != kNone && at(first_).begin < position) {
    Transmission& range = at(first_);
    const StreamPosition end = std::min(range.end, position);
    if (range.state != State::sacked) deliver(range, end, delivery);
    if (end == range.end) {
      remove(pool, first_);
      continue;
    }
    sum_of(range.state) -= end - range.begin;
    range.begin = end;
  }
  // What the mending of a gap lets the peer acknowledge may have waited there for long; it times
  // nothing (Karn and Partridge 1987).
  if (delivery->retransmitted_bytes > 0) delivery->timed = false;
}

void TransmissionLog::sack(TransmissionPool& pool, StreamPosition begin, StreamPosition end,
                           Delivery* delivery, std::size_t most_ranges) {
  for (std::uint32_t index = first_; index != kNone && at(index).begin < end;
       index = at(index).next) {
    if (at(index).end <= begin || at(index).state == State::sacked) continue;
    if (at(index).begin < begin) {
      cut(pool, index, begin, most_ranges);  // the rest comes next, or is forgotten
      continue;
    }
    if (end < at(index).end && !cut(pool, index, end, most_ranges)) break;
    deliver(at(index), at(index).end, delivery);
    highest_sacked_ = std::max(highest_sacked_, at(index).end);
    set_state(index, State::sacked);
    const std::uint32_t before = at(index).previous;
    const bool joins = before != kNone && at(before).state == State::sacked;
    join_sacked(pool, index);
    if (joins) index = before;  // it took this one in
  }
}

void TransmissionLog::forget_sacks() {
  for (std::uint32_t index = first_; index != kNone; index = at(index).next) {
    if (at(index).state == State::sacked) set_state(index, State::lost);
  }
  highest_sacked_ = 0;
}

// --- loss ---

void TransmissionLog::mark_lost(TransmissionPool& pool, StreamPosition begin, StreamPosition end) {
  for (std::uint32_t index = first_; index != kNone && at(index).begin < end;
       index = at(index).next) {
    if (at(index).end <= begin || at(index).state != State::in_flight) continue;
    if (at(index).begin < begin && cut(pool, index, begin)) continue;
    if (end < at(index).end) cut(pool, index, end);
    set_state(index, State::lost);
  }
}

void TransmissionLog::mark_all_lost() {
  while (oldest_ != kNone) set_state(oldest_, State::lost);
}

void TransmissionLog::unmark_lost() {
  std::uint32_t last = kNone;
  for (std::uint32_t index = first_; index != kNone; index = at(index).next) {
    if (at(index).state != State::lost) continue;
    set_state(index, State::in_flight, last);
    last = index;
  }
}

std::optional<MonotonicTime> TransmissionLog::oldest_sent_at() const {
  if (oldest_ == kNone) return std::nullopt;
  return at(oldest_).sent_at;
}

void TransmissionLog::clear(TransmissionPool& pool) {
  while (first_ != kNone) remove(pool, first_);
  highest_sacked_ = 0;
}

void TransmissionLog::check() const {
  std::uint64_t sums[3] = {};
  std::size_t ranges = 0;
  std::size_t in_flight = 0;
  std::uint32_t before = kNone;
  bool seen_hint = lost_hint_ == kNone;
  for (std::uint32_t index = first_; index != kNone; index = at(index).next) {
    const Transmission& range = at(index);
    NEARFIELD_ASSERT(range.begin < range.end && range.previous == before);
    NEARFIELD_ASSERT(before == kNone || at(before).end == range.begin);
    NEARFIELD_ASSERT(before == kNone || range.state != State::sacked ||
                     at(before).state != State::sacked);
    sums[static_cast<int>(range.state)] += range.bytes();
    if (index == lost_hint_) seen_hint = true;
    NEARFIELD_ASSERT(seen_hint || range.state != State::lost);
    if (range.state == State::in_flight) ++in_flight;
    before = index;
    ++ranges;
  }
  NEARFIELD_ASSERT(before == last_ && ranges == count_ && seen_hint);
  NEARFIELD_ASSERT(sums[0] == in_flight_bytes_ && sums[1] == lost_bytes_ &&
                   sums[2] == sacked_bytes_);
  before = kNone;
  for (std::uint32_t index = oldest_; index != kNone; index = at(index).newer) {
    NEARFIELD_ASSERT(at(index).state == State::in_flight && at(index).older == before);
    NEARFIELD_ASSERT(before == kNone || at(before).sent_at <= at(index).sent_at);
    before = index;
    --in_flight;
  }
  NEARFIELD_ASSERT(before == newest_ && in_flight == 0);
}

}  // namespace nearfield::net::tcp
