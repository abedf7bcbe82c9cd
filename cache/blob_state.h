// What a blob consists of, shared by the files that implement it: blob.cc (readers), blob_fill.cc
// (the writer), blob_digest.cc.
//
// Invariant: once frozen (complete and kept) extents and length never change again, and readers
// take no lock. Before that, everything is guarded by the mutex. No signal is raised and the source
// is not called with the mutex held: both may come back to this or another blob from below the
// store's lock.
//
// The awkward part is giving back a streaming blob's memory while the writer may have a receive
// under way into it. An extent goes back only when all of it is published (so nobody writes there
// any more) and every reader has passed it. `floor` is the end of the last one given back: below it
// nothing can be read any more, at or above it everything published still is there. The exception
// are readers that were cut loose: what they held at that time stays, also below the floor, for
// them alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "cache/base/assert.h"
#include "cache/blob.h"
#include "cache/blob_hasher.h"
#include "cache/extent_list.h"
#include "cache/interval_set.h"
#include "cache/reader_table.h"
#include "cache/waiter_list.h"

namespace nearfield::cache {

struct Blob::Impl {
  static constexpr std::uint64_t kUnknown = UINT64_MAX;

  Impl(ExtentSource& extent_source, Kind blob_kind, std::optional<std::uint64_t> length,
       std::uint64_t window)
      : source(extent_source),
        window_bytes(std::max<std::uint64_t>(window, 2 * kBlockBytes)),
        kind(blob_kind),
        total(length.value_or(kUnknown)) {}

  bool frozen() const {
    return state.load(std::memory_order_acquire) == State::complete &&
           kind.load(std::memory_order_acquire) == Kind::kept;
  }
  bool growing() const { return state.load(std::memory_order_acquire) == State::growing; }
  bool streams() const { return kind.load(std::memory_order_acquire) == Kind::streaming; }
  std::optional<std::uint64_t> length() const {
    const std::uint64_t value = total.load(std::memory_order_acquire);
    if (value == kUnknown) return std::nullopt;
    return value;
  }

  // With the mutex held, or frozen:
  std::uint64_t readable(std::uint64_t offset) const;
  std::uint64_t readable_for(std::uint32_t slot, std::uint64_t offset) const;
  std::size_t addresses(std::uint64_t offset, std::uint64_t bytes, std::span<iovec> vectors,
                        std::uint64_t* covered_bytes) const;

  // With the mutex held:
  bool window_open(std::uint64_t offset) const;
  // The space signal, if the writer waits for the window and it has opened enough to be worth
  // waking it.
  Ref<Signal> signal_if_window_opened();
  // The space signal, if a reader that left (or was cut) gives the writer something to think about.
  Ref<Signal> wake_after_leaving();
  bool wholly_published(const ExtentList::Piece& piece) const;
  // Takes out up to a bounded number of extents that end at or before `limit` and may go.
  std::vector<Extent> take_passed(std::uint64_t limit);

  void end_early(bool disbands);

  // Without the mutex: gives back what every reader of a streaming blob has passed. `all`: also
  // what nobody has read.
  void give_back_passed(bool all = false);

  ExtentSource& source;
  const std::uint64_t window_bytes;
  std::atomic<Kind> kind;
  std::atomic<State> state{State::growing};
  std::atomic<bool> digest_known{false};
  std::atomic<std::uint64_t> total;
  std::atomic<std::uint64_t> charged{0};

  mutable std::mutex mutex;
  ExtentList extents;
  IntervalSet published;  // emptied once frozen
  ReaderTable readers;    // emptied once frozen
  WaiterList waiters;
  std::uint64_t floor = 0;
  std::optional<std::uint64_t> blocked_at;  // where the writer found the window full
  bool islands_exhausted = false;
  bool disbanded = false;
  Ref<Signal> space_signal;

  std::unique_ptr<BlobHasher> hasher;  // the writer's alone; gone once the digest is known
  Digest digest{};                     // written once, before digest_known
};

}  // namespace nearfield::cache
