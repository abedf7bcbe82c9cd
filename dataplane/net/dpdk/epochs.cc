// An epoch begins with all the references it can ever give, which costs no atomic operation a
// buffer; ending it takes back those not given, and one more that kept it from ending before.
#include "dataplane/net/dpdk/epochs.h"

#include <rte_mbuf.h>

#include <atomic>

#include "cache/base/assert.h"

namespace nearfield::net::dpdk {

struct alignas(64) Epochs::Slot {
  rte_mbuf_ext_shared_info information{};
  std::atomic<bool> is_over{false};
};

static_assert(Epochs::kMaximumReferences < INT16_MAX, "DPDK counts up and down in int16_t");

Epochs::Epochs() : slots_(std::make_unique<Slot[]>(kMaximum)) { begin(); }

Epochs::~Epochs() {
  advance();
  NEARFIELD_ASSERT(!is_waiting());
}

Epochs::Slot& Epochs::slot(std::uint64_t epoch) const { return slots_[epoch % kMaximum]; }

void Epochs::begin() {
  Slot& opened = slot(open_);
  opened.is_over.store(false, std::memory_order_relaxed);
  opened.information.free_cb = [](void*, void* is_over) {
    static_cast<std::atomic<bool>*>(is_over)->store(true, std::memory_order_release);
  };
  opened.information.fcb_opaque = &opened.is_over;
  rte_mbuf_ext_refcnt_set(&opened.information, kMaximumReferences + 1);
  used_ = 0;
}

rte_mbuf_ext_shared_info* Epochs::reference() {
  if (used_ == kMaximumReferences) return nullptr;
  ++used_;
  return &slot(open_).information;
}

void Epochs::advance() {
  // The slot of the next epoch is that of the one kMaximum before it.
  if (open_ - completed() == kMaximum) return;
  Slot& ended = slot(open_);
  const std::uint32_t ungiven = kMaximumReferences + 1 - used_;
  if (rte_mbuf_ext_refcnt_update(&ended.information,
                                 static_cast<std::int16_t>(-static_cast<int>(ungiven))) == 0)
    ended.is_over.store(true, std::memory_order_release);
  ++open_;
  begin();
}

std::uint64_t Epochs::completed() {
  while (completed_ + 1 < open_ && slot(completed_ + 1).is_over.load(std::memory_order_acquire))
    ++completed_;
  return completed_;
}

}  // namespace nearfield::net::dpdk
