#include "dataplane/net/inbox.h"

#include <cstdint>
#include <thread>
#include <utility>

#include "cache/base/assert.h"

namespace nearfield::net {

struct Inbox::Item {
  virtual void run() = 0;   // on the worker
  virtual void drop() = 0;  // gives back the list's reference
  Item* next = nullptr;

 protected:
  ~Item() = default;
};

struct Inbox::Task final : Item {
  explicit Task(std::function<void()> work) : work_(std::move(work)) {}
  void run() override { work_(); }
  void drop() override { delete this; }

 private:
  std::function<void()> work_;
};

class Inbox::WorkerSignal final : public Signal, public Item {
 public:
  WorkerSignal(Ref<Inbox> inbox, std::function<void()> callback)
      : inbox_(std::move(inbox)), callback_(std::move(callback)) {}

  void raise() override {
    // Release: what the raiser wrote before is visible to the callback, which runs after an acquire
    // of the same flag or list.
    if (raised_.exchange(true, std::memory_order_acq_rel)) return;
    add_reference();
    inbox_->push(this);
  }

  void run() override {
    raised_.exchange(false,
                     std::memory_order_acq_rel);  // a raise from here on runs the callback again
    if (cancelled_) return;
    running_ = true;
    callback_();
    running_ = false;
    if (cancelled_) callback_ = nullptr;
  }

  void drop() override { drop_reference(); }

  void cancel() {
    cancelled_ = true;
    if (!running_) callback_ = nullptr;
  }

 private:
  const Ref<Inbox> inbox_;
  std::atomic<bool> raised_{false};
  // The worker's:
  bool cancelled_ = false;
  bool running_ = false;
  std::function<void()> callback_;
};

namespace {
// Stands in arrivals_ once the inbox is closed; never dereferenced.
template <typename Item>
Item* closed_mark() {
  return reinterpret_cast<Item*>(std::uintptr_t{1});
}
}  // namespace

Inbox::Inbox(std::function<void()> wake) : wake_(std::move(wake)) {}
Inbox::~Inbox() { close(); }

void Inbox::push(Item* item) {
  Item* newest = arrivals_.load(std::memory_order_relaxed);
  do {
    if (newest == closed_mark<Item>()) {
      item->drop();
      return;
    }
    item->next = newest;
    // Sequentially consistent against prepare_sleep(): either the worker sees the item or this
    // thread sees it asleep.
  } while (!arrivals_.compare_exchange_weak(newest, item, std::memory_order_seq_cst,
                                            std::memory_order_relaxed));
  wake_if_asleep();
}

void Inbox::wake_if_asleep() {
  if (!asleep_.load(std::memory_order_seq_cst)) return;
  wakers_.fetch_add(1, std::memory_order_seq_cst);
  if (asleep_.exchange(false, std::memory_order_seq_cst)) wake_();
  wakers_.fetch_sub(1, std::memory_order_release);
}

void Inbox::post(std::function<void()> task) { push(new Task(std::move(task))); }

Ref<Signal> Inbox::make_signal(std::function<void()> callback) {
  return make_ref<WorkerSignal>(Ref<Inbox>(this), std::move(callback));
}

void Inbox::cancel_signal(const Ref<Signal>& signal) {
  if (signal) static_cast<WorkerSignal&>(*signal).cancel();
}

void Inbox::take_arrivals() {
  if (arrivals_.load(std::memory_order_relaxed) == nullptr) return;
  Item* newest = arrivals_.exchange(nullptr, std::memory_order_seq_cst);
  NEARFIELD_ASSERT(newest != closed_mark<Item>());
  Item* oldest = nullptr;
  Item* const last = newest;
  while (newest != nullptr) {
    Item* next = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = next;
  }
  if (oldest == nullptr) return;
  (waiting_ == nullptr ? waiting_ : waiting_last_->next) = oldest;
  waiting_last_ = last;
}

bool Inbox::run(std::size_t budget) {
  take_arrivals();
  for (; budget > 0 && waiting_ != nullptr; --budget) {
    Item* item = waiting_;
    waiting_ =
        item->next;  // before run(): a signal may be raised again, and reuse its node, from within
    item->run();
    item->drop();
  }
  return waiting_ != nullptr;
}

bool Inbox::prepare_sleep() {
  if (waiting_ != nullptr) return false;
  asleep_.store(true, std::memory_order_seq_cst);
  if (arrivals_.load(std::memory_order_seq_cst) == nullptr) return true;
  asleep_.store(false, std::memory_order_relaxed);
  return false;
}

void Inbox::end_sleep() { asleep_.store(false, std::memory_order_relaxed); }

void Inbox::close() {
  Item* item = arrivals_.exchange(closed_mark<Item>(), std::memory_order_seq_cst);
  asleep_.store(false, std::memory_order_seq_cst);
  while (wakers_.load(std::memory_order_seq_cst) != 0) std::this_thread::yield();
  if (item == closed_mark<Item>()) return;
  for (Item* list : {std::exchange(waiting_, nullptr), item}) {
    while (list != nullptr) {
      Item* next = list->next;
      list->drop();
      list = next;
    }
  }
}

}  // namespace nearfield::net
