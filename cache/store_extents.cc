// Memory for bodies: taking an extent, evicting for it, and whom to tell when there is some again.
//
// Evicting frees only what nobody reads, and small bodies free scattered pages rather than a block.
// So a taker evicts a bounded number of objects in slices, and is content with a smaller piece once
// a few blocks' worth has come free without giving a whole one.
#include <algorithm>

#include "cache/store_state.h"

namespace nearfield::cache {
namespace {

constexpr int kEvictionsPerSlice = 64;
constexpr int kSlices = 16;
// Freed this many times over and still no piece in one: the arena is fragmented, take what there
// is.
constexpr std::uint64_t kFragmentedAfter = 4;

}  // namespace

std::optional<Extent> Store::take_extent(std::size_t bytes) {
  if (auto extent = impl_->arena->allocate(bytes)) return extent;
  std::uint64_t freed_in_all = 0;
  for (int slice = 0; slice < kSlices; ++slice) {
    std::uint64_t freed = 0;
    int evicted = 0;
    int still_read = 0;
    {
      Garbage garbage;
      const std::lock_guard lock(impl_->mutex);
      while (freed < bytes && evicted < kEvictionsPerSlice) {
        const auto one = impl_->evict_one(garbage);
        if (!one) break;
        freed += one->freed_bytes;
        still_read += one->still_read;
        ++evicted;
      }
    }
    if (auto extent = impl_->arena->allocate(bytes)) return extent;
    freed_in_all += freed;
    // A whole slice that slow readers hold (or nothing to evict at all): going on would empty the
    // index and free nothing.
    if (still_read == evicted || freed_in_all >= kFragmentedAfter * bytes) break;
  }
  auto piece = impl_->arena->allocate_up_to(bytes);
  if (!piece) impl_->refused_no_room.fetch_add(1, std::memory_order_relaxed);
  return piece;
}

void Store::give_extent(Extent extent) {
  impl_->arena->free(extent);
  impl_->raise_starved();
}

void Store::await_extent(const Ref<Signal>& signal) {
  Ref<Signal> crowded_out;
  {
    const std::lock_guard lock(impl_->starved_mutex);
    auto& starved = impl_->starved;
    if (std::ranges::find(starved, signal) != starved.end()) return;
    if (starved.size() >= Impl::kMaximumStarved) {
      // More than fills are allowed at once by any sane configuration: the oldest tries again early
      // rather than never.
      crowded_out = std::move(starved.front());
      starved.erase(starved.begin());
    }
    starved.push_back(signal);
    // Whoever frees memory after our caller's second try sees this: that try and the freeing go
    // through the arena's lock.
    impl_->any_starved.store(true);
  }
  if (crowded_out) crowded_out->raise();
}

void Store::note_not_kept() { impl_->stopped_keeping.fetch_add(1, std::memory_order_relaxed); }

void Store::Impl::raise_starved() {
  if (!any_starved.load()) return;
  std::vector<Ref<Signal>> woken;
  {
    const std::lock_guard lock(starved_mutex);
    woken.swap(starved);
    any_starved.store(false);
  }
  for (const Ref<Signal>& signal : woken) signal->raise();
}

}  // namespace nearfield::cache
