// The writer's side of a blob: memory to receive into, publishing it, and the three ways it ends
// (complete, broken, no longer kept).
#include <cstring>
#include <limits>

#include "cache/blob_state.h"

namespace nearfield::cache {
namespace {

// A fragmented arena may give less than the cell: then the piece goes where the writer wants to
// write, not to the cell's beginning.
std::uint64_t place_in_cell(const ExtentList::Cell& cell, std::uint64_t offset,
                            std::uint32_t bytes) {
  if (bytes >= cell.end - cell.begin) return cell.begin;
  return std::min(offset / kPageBytes * kPageBytes, cell.end - bytes);
}

}  // namespace

std::span<std::byte> Blob::writable(std::uint64_t offset) {
  Impl& state = *impl_;
  ExtentList::Cell cell;
  std::uint64_t end;
  {
    const std::lock_guard lock(state.mutex);
    end = state.total.load(std::memory_order_relaxed);
    if (!state.growing() || offset >= std::min(end, ExtentList::kMaximumBytes)) return {};
    if (state.published.containing(offset)) return {};
    if (const auto next = state.published.next_begin(offset)) end = std::min(end, *next);
    if (state.published.size() >= kMaximumIslands && !state.published.extends_at(offset)) {
      state.islands_exhausted = true;
      return {};
    }
    if (state.streams() && !state.window_open(offset)) {
      state.blocked_at = offset;
      return {};
    }
    if (state.blocked_at == offset) state.blocked_at.reset();
    if (const auto index = state.extents.find(offset)) {
      const ExtentList::Piece piece = state.extents.piece(*index);
      return {piece.extent.data + (offset - piece.begin), std::min(end, piece.end()) - offset};
    }
    cell = state.extents.next_cell(offset, state.length());
  }

  // Only this thread adds extents, so the cell stays empty meanwhile.
  auto extent = state.source.take_extent(cell.end - cell.begin);
  if (!extent) {
    Ref<Signal> signal;
    {
      const std::lock_guard lock(state.mutex);
      signal = state.space_signal;
    }
    if (!signal) return {};
    state.source.await_extent(signal);
    extent = state.source.take_extent(cell.end - cell.begin);
    if (!extent) return {};
  }
  const std::uint64_t begin = place_in_cell(cell, offset, extent->bytes);
  const std::lock_guard lock(state.mutex);
  state.extents.add(begin, *extent);
  state.charged.fetch_add(extent->bytes, std::memory_order_relaxed);
  return {extent->data + (offset - begin), std::min(end, begin + extent->bytes) - offset};
}

void Blob::publish(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0) return;
  Impl& state = *impl_;
  WaiterList::Raised raised;
  Ref<Signal> space;
  {
    const std::lock_guard lock(state.mutex);
    NEARFIELD_ASSERT(state.growing() &&
                     bytes <= state.total.load(std::memory_order_relaxed) - offset);
    NEARFIELD_ASSERT(!state.published.overlaps(offset, offset + bytes));
    NEARFIELD_ASSERT(state.extents.find(offset) && state.extents.find(offset + bytes - 1));
    const IntervalSet::Interval run = state.published.add(offset, offset + bytes);
    raised = state.waiters.take(run.begin, run.end);
    if (state.islands_exhausted && state.published.size() < kMaximumIslands) {
      state.islands_exhausted = false;
      space = state.space_signal;
    }
  }
  WaiterList::raise(raised);
  if (space) space->raise();
  if (state.streams()) state.give_back_passed();
}

std::size_t Blob::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  std::size_t taken = 0;
  while (taken < bytes.size()) {
    const std::uint64_t at = offset + taken;
    const std::span<std::byte> room = writable(at);
    std::size_t count = std::min(room.size(), bytes.size() - taken);
    if (count > 0) {
      std::memcpy(room.data(), bytes.data() + taken, count);
      publish(at, count);
    } else {
      const std::lock_guard lock(impl_->mutex);
      const auto run = impl_->published.containing(at);
      if (!run) break;
      count = std::min<std::uint64_t>(run->end - at, bytes.size() - taken);
    }
    taken += count;
  }
  return taken;
}

void Blob::set_space_signal(Ref<Signal> signal) {
  const std::lock_guard lock(impl_->mutex);
  std::swap(impl_->space_signal, signal);
}

void Blob::set_total_bytes(std::uint64_t total_bytes) {
  WaiterList::Raised raised;
  {
    const std::lock_guard lock(impl_->mutex);
    const auto known = impl_->length();
    NEARFIELD_ASSERT(impl_->growing() && total_bytes != Impl::kUnknown &&
                     total_bytes >= impl_->published.end() &&
                     known.value_or(total_bytes) == total_bytes);
    if (known) return;
    impl_->total.store(total_bytes, std::memory_order_release);
    raised = impl_->waiters.take_all();
  }
  WaiterList::raise(raised);
}

std::optional<Blob::Gap> Blob::first_gap(std::uint64_t offset) const {
  if (impl_->frozen()) return std::nullopt;
  const std::lock_guard lock(impl_->mutex);
  if (impl_->frozen()) return std::nullopt;
  if (impl_->streams()) offset = std::max(offset, impl_->floor);
  if (const auto run = impl_->published.containing(offset)) offset = run->end;
  const auto total = impl_->length();
  if (total && offset >= *total) return std::nullopt;
  const auto next = impl_->published.next_begin(offset);
  return Gap{offset, next ? next : total};
}

void Blob::begin_at(std::uint64_t offset) {
  const std::lock_guard lock(impl_->mutex);
  NEARFIELD_ASSERT(impl_->streams() && impl_->published.empty());
  impl_->floor = offset;
}

void Blob::stop_keeping() {
  Impl& state = *impl_;
  WaiterList::Raised raised;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.growing() || state.streams()) return;
    state.kind.store(Kind::streaming, std::memory_order_release);
    state.hasher.reset();
    raised = state.waiters.take_all();
  }
  WaiterList::raise(raised);
  state.source.note_not_kept();
  state.give_back_passed(/*all=*/true);
}

void Blob::complete() {
  Impl& state = *impl_;
  WaiterList::Raised raised;
  std::vector<Extent> surplus;
  Ref<Signal> unused_signal;
  {
    const std::lock_guard lock(state.mutex);
    NEARFIELD_ASSERT(state.growing());
    const std::uint64_t total = state.length().value_or(state.published.end());
    if (!state.streams() && total > 0) {
      const auto run = state.published.containing(0);
      NEARFIELD_ASSERT(run && run->end == total);
    }
    // Memory beyond the end goes back: whole extents that were taken ahead, and the last one's
    // unused pages.
    while (state.extents.size() > 0) {
      const std::size_t last = state.extents.size() - 1;
      const ExtentList::Piece piece = state.extents.piece(last);
      if (piece.begin >= total) {
        surplus.push_back(piece.extent);
        state.extents.erase(last, 1);
        continue;
      }
      const std::uint64_t needed = (total - piece.begin + kPageBytes - 1) / kPageBytes * kPageBytes;
      if (needed < piece.extent.bytes) {
        surplus.push_back(state.extents.trim(last, static_cast<std::uint32_t>(needed)));
      }
      break;
    }
    for (const Extent& extent : surplus)
      state.charged.fetch_sub(extent.bytes, std::memory_order_relaxed);
    state.total.store(total, std::memory_order_release);
    raised = state.waiters.take_all();
    std::swap(unused_signal, state.space_signal);
    if (!state.streams()) {
      state.extents.shrink_to_fit();
      state.published.clear();
      state.readers = {};
      state.waiters = {};
    }
    state.state.store(State::complete, std::memory_order_release);
  }
  for (const Extent& extent : surplus) state.source.give_extent(extent);
  WaiterList::raise(raised);
  if (state.streams()) state.give_back_passed();
}

void Blob::break_off() { impl_->end_early(/*disbands=*/false); }
void Blob::disband() { impl_->end_early(/*disbands=*/true); }

void Blob::Impl::end_early(bool disbands) {
  WaiterList::Raised raised;
  Ref<Signal> unused_signal;
  {
    const std::lock_guard lock(mutex);
    if (!growing()) return;
    disbanded = disbands;
    state.store(State::broken, std::memory_order_release);
    hasher.reset();
    raised = waiters.take_all();
    std::swap(unused_signal, space_signal);
  }
  WaiterList::raise(raised);
}

}  // namespace nearfield::cache
