// Inbox: how other threads reach a worker: raised signals and posted tasks, in one lock-free list
// that the worker empties.
//
// Invariant: a signal is in the list at most once, so the list is bounded by the signals that
// exist, and raising allocates nothing: the signal is its own list node. The awkward part is the
// end: signals are held by blobs that outlive the worker, so the list is shared and counted, and
// once closed it takes nothing any more. A callback is cancelled on its own thread, which is also
// the one that runs it, so that "after cancel it never runs" needs no lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>

#include "cache/base/ref.h"
#include "cache/base/signal.h"

namespace nearfield::net {

class Inbox final : public RefCounted<Inbox> {
 public:
  // `wake` is called on any thread, when something arrived while the worker was asleep or about to
  // be; it must not block. It may run until close() has returned.
  explicit Inbox(std::function<void()> wake);
  ~Inbox();

  // --- any thread ---
  void post(std::function<void()> task);  // dropped once closed

  // --- the worker ---
  Ref<Signal> make_signal(std::function<void()> callback);
  // The callback and all it holds are gone when this returns; unless it is running (cancelled from
  // within), then right after.
  static void cancel_signal(const Ref<Signal>& signal);
  // Runs up to `budget` of what has arrived, oldest first. Returns true when some is left.
  bool run(std::size_t budget);
  // Before sleeping: false means something is there and there must be no sleep. After true, an
  // arrival calls `wake`.
  bool prepare_sleep();
  void end_sleep();
  // Drops what is there and what will come.
  void close();

 private:
  struct Item;
  struct Task;
  class WorkerSignal;
  void push(Item* item);  // takes over one reference of the item
  void take_arrivals();
  void wake_if_asleep();

  std::function<void()> wake_;
  std::atomic<Item*> arrivals_{nullptr};  // newest first
  std::atomic<bool> asleep_{false};
  std::atomic<int> wakers_{0};  // threads inside wake_, for close()
  Item* waiting_ = nullptr;     // oldest first, the worker's
  Item* waiting_last_ = nullptr;
};

}  // namespace nearfield::net
