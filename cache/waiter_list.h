// WaiterList: who waits for a growing blob, and for which byte. Signals are handed out to be raised
// after the blob's lock is let go.
//
// The awkward part is a waiter that subscribes again and again without having been raised: equal
// entries are weeded out whenever the list has doubled, so its length stays within twice the number
// of waits and nobody pays for a search at each subscription. No threads: the blob locks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "cache/base/signal.h"

namespace nearfield::cache {

class WaiterList {
 public:
  using Raised = std::vector<Ref<Signal>>;

  void add(std::uint64_t offset, Ref<Signal> signal) {
    if (waiters_.size() >= weed_at_) weed();
    waiters_.push_back({offset, std::move(signal)});
  }

  void remove(const Signal& signal) {
    std::erase_if(waiters_, [&](const Waiter& waiter) { return waiter.signal.get() == &signal; });
  }

  // Takes out all who wait for a byte in [begin, end).
  Raised take(std::uint64_t begin, std::uint64_t end) {
    const auto first = std::partition(waiters_.begin(), waiters_.end(), [&](const Waiter& waiter) {
      return waiter.offset < begin || waiter.offset >= end;
    });
    Raised raised;
    raised.reserve(static_cast<std::size_t>(waiters_.end() - first));
    for (auto waiter = first; waiter != waiters_.end(); ++waiter)
      raised.push_back(std::move(waiter->signal));
    waiters_.erase(first, waiters_.end());
    return raised;
  }

  Raised take_all() { return take(0, UINT64_MAX); }

  std::size_t size() const { return waiters_.size(); }
  std::uint64_t memory_bytes() const { return waiters_.capacity() * sizeof(Waiter); }

  static void raise(const Raised& raised) {
    for (const Ref<Signal>& signal : raised) signal->raise();
  }

 private:
  static constexpr std::size_t kWeedFrom = 64;

  struct Waiter {
    std::uint64_t offset;
    Ref<Signal> signal;
  };

  void weed() {
    const auto key = [](const Waiter& waiter) {
      return std::pair(waiter.signal.get(), waiter.offset);
    };
    std::ranges::sort(waiters_, std::less<>(), key);
    const auto rest = std::ranges::unique(waiters_, std::equal_to<>(), key);
    waiters_.erase(rest.begin(), rest.end());
    weed_at_ = std::max(kWeedFrom, 2 * waiters_.size());
  }

  std::vector<Waiter> waiters_;
  std::size_t weed_at_ = kWeedFrom;
};

}  // namespace nearfield::cache
