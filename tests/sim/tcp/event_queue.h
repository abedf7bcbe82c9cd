// EventQueue: what will happen, in the order of virtual time. Events of one moment run in the order
// in which they were scheduled, so that a run is a function of its seed alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "cache/base/clock.h"

namespace nearfield::sim::tcp {

class EventQueue {
 public:
  using Action = std::function<void(MonotonicTime now)>;

  void schedule(MonotonicTime at, Action action) {
    events_.push_back({at, next_sequence_++, std::move(action)});
    std::push_heap(events_.begin(), events_.end());
  }
  std::optional<MonotonicTime> next_at() const {
    return events_.empty() ? std::nullopt : std::optional(events_.front().at);
  }
  // Runs the first event; there must be one.
  void run_next() {
    std::pop_heap(events_.begin(), events_.end());
    Event event = std::move(events_.back());
    events_.pop_back();
    event.action(event.at);
  }
  std::size_t size() const { return events_.size(); }

 private:
  struct Event {
    MonotonicTime at;
    std::uint64_t sequence;
    Action action;
    bool operator<(const Event& other) const {  // the heap's top is its greatest: the earliest
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  std::vector<Event> events_;
  std::uint64_t next_sequence_ = 0;
};

}  // namespace nearfield::sim::tcp
