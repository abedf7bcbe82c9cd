#include "dataplane/net/timer_wheel.h"

#include <algorithm>
#include <bit>

#include "cache/base/assert.h"

namespace nearfield::net {

Timer::~Timer() {
  if (wheel_ != nullptr) wheel_->cancel(*this);
}

TimerWheel::List::List() : head(nullptr, nullptr) {
  head.next_ = &head;
  head.previous_ = &head;
}

void TimerWheel::List::push_back(Timer& timer) {
  timer.previous_ = head.previous_;
  timer.next_ = &head;
  head.previous_->next_ = &timer;
  head.previous_ = &timer;
}

void TimerWheel::List::splice_back(List& other) {
  if (other.empty()) return;
  other.head.next_->previous_ = head.previous_;
  head.previous_->next_ = other.head.next_;
  other.head.previous_->next_ = &head;
  head.previous_ = other.head.previous_;
  other.head.next_ = &other.head;
  other.head.previous_ = &other.head;
}

TimerWheel::TimerWheel(MonotonicTime start, Duration tick) : start_(start), tick_(tick) {
  NEARFIELD_ASSERT(tick > Duration::zero());
}

TimerWheel::~TimerWheel() {
  const auto disarm = [](List& list) {
    while (!list.empty()) {
      Timer& timer = *list.head.next_;
      unlink(timer);
      timer.wheel_ = nullptr;
    }
  };
  disarm(due_);
  disarm(firing_);
  disarm(moving_);
  for (Level& level : levels_) {
    for (List& slot : level.slots) disarm(slot);
  }
}

void TimerWheel::unlink(Timer& timer) {
  timer.previous_->next_ = timer.next_;
  timer.next_->previous_ = timer.previous_;
  timer.next_ = nullptr;
  timer.previous_ = nullptr;
}

std::uint64_t TimerWheel::tick_of(MonotonicTime deadline) const {
  if (deadline <= start_) return 0;
  // Unsigned, because a deadline of MonotonicTime::max() must not overflow when it is rounded up.
  const auto since = static_cast<std::uint64_t>((deadline - start_).count());
  const auto tick = static_cast<std::uint64_t>(tick_.count());
  return std::min(since / tick + (since % tick != 0 ? 1 : 0), kLastTick);
}

void TimerWheel::insert(Timer& timer) {
  const std::uint64_t tick = tick_of(timer.deadline_);
  NEARFIELD_ASSERT(tick > current_tick_);
  const int level = (63 - std::countl_zero(tick ^ current_tick_)) / kSlotBits;
  const int slot = static_cast<int>((tick >> (level * kSlotBits)) & (kSlots - 1));
  Level& at = levels_[static_cast<std::size_t>(level)];
  at.slots[static_cast<std::size_t>(slot)].push_back(timer);
  at.occupied |= std::uint64_t{1} << slot;
}

void TimerWheel::arm(Timer& timer, MonotonicTime deadline) {
  if (timer.wheel_ != nullptr) timer.wheel_->cancel(timer);
  timer.wheel_ = this;
  timer.deadline_ = deadline;
  ++armed_count_;
  if (tick_of(deadline) <= current_tick_) {
    due_.push_back(timer);
  } else {
    insert(timer);
  }
}

void TimerWheel::cancel(Timer& timer) {
  if (timer.wheel_ == nullptr) return;
  NEARFIELD_ASSERT(timer.wheel_ == this);
  unlink(timer);
  timer.wheel_ = nullptr;
  --armed_count_;
}

std::optional<TimerWheel::Place> TimerWheel::next_place() {
  for (int number = 0; number < kLevels; ++number) {
    Level& level = levels_[static_cast<std::size_t>(number)];
    while (level.occupied != 0) {
      const int slot = std::countr_zero(level.occupied);
      if (level.slots[static_cast<std::size_t>(slot)].empty()) {
        level.occupied &= level.occupied - 1;  // paid for by the arm() that set it
        continue;
      }
      const int shift = number * kSlotBits;
      const std::uint64_t above = current_tick_ >> (shift + kSlotBits) << (shift + kSlotBits);
      return Place{number, slot, above | (static_cast<std::uint64_t>(slot) << shift)};
    }
  }
  return std::nullopt;
}

void TimerWheel::fire(Timer& timer) {
  unlink(timer);
  timer.wheel_ = nullptr;
  --armed_count_;
  timer.callback_(timer.context_);  // may destroy the timer
}

std::size_t TimerWheel::advance(MonotonicTime now, std::size_t budget) {
  std::uint64_t target = current_tick_;
  if (now > start_) {
    const auto reached = static_cast<std::uint64_t>((now - start_) / tick_);
    target = std::clamp(reached, current_tick_, kLastTick);
  }
  firing_.splice_back(due_);
  std::size_t fired = 0;
  while (budget > 0) {
    if (!firing_.empty()) {
      --budget;
      ++fired;
      fire(*firing_.head.next_);
      continue;
    }
    if (!moving_.empty()) {
      --budget;
      Timer& timer = *moving_.head.next_;
      unlink(timer);
      if (tick_of(timer.deadline_) <= current_tick_) {
        firing_.push_back(timer);
      } else {
        insert(timer);
      }
      continue;
    }
    const std::optional<Place> place = next_place();
    if (!place || place->tick > target) {
      current_tick_ = target;
      break;
    }
    current_tick_ = place->tick;
    Level& level = levels_[static_cast<std::size_t>(place->level)];
    level.occupied &= ~(std::uint64_t{1} << place->slot);
    (place->level == 0 ? firing_ : moving_)
        .splice_back(level.slots[static_cast<std::size_t>(place->slot)]);
  }
  return fired;
}

std::optional<MonotonicTime> TimerWheel::next_deadline() {
  if (!due_.empty() || !firing_.empty() || !moving_.empty()) return start_;
  const std::optional<Place> place = next_place();
  if (!place) return std::nullopt;
  const std::uint64_t most =
      static_cast<std::uint64_t>(
          (MonotonicTime::max() - std::max(start_, MonotonicTime{})).count()) /
      static_cast<std::uint64_t>(tick_.count());
  return start_ + tick_ * static_cast<std::int64_t>(std::min(place->tick, most));
}

}  // namespace nearfield::net
