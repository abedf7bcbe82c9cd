// See reassembly.h. A chunk's place follows from its number (position / kChunkBytes) modulo the
// number of slots; the window may begin inside a chunk, so it reaches into one chunk more than it
// is long.
#include "dataplane/net/tcp/reassembly.h"

#include <algorithm>
#include <cstring>

#include "cache/base/assert.h"

namespace nearfield::net::tcp {
namespace {

constexpr std::size_t kChunkBytes = ReceivePool::kChunkBytes;
constexpr std::size_t kSlots = Reassembly::kWindowBytes / kChunkBytes + 1;
constexpr std::size_t kListSize = Reassembly::kMaximumIntervals + 1;  // and the one in order

struct Interval {
  StreamPosition begin = 0;
  StreamPosition end = 0;
  std::uint32_t changed = 0;  // the state's count of stores when a segment last touched it
};

constexpr std::uint64_t chunk_number(StreamPosition position) { return position / kChunkBytes; }
constexpr std::size_t slot_of(std::uint64_t number) { return number % kSlots; }
constexpr std::size_t offset_in_chunk(StreamPosition position) { return position % kChunkBytes; }

}  // namespace

struct ReceivePool::State {
  ReceivePool* pool = nullptr;
  std::uint32_t index = 0;
  std::uint32_t stores = 0;
  std::size_t count = 0;
  std::size_t held_chunks = 0;
  std::array<Interval, kListSize> intervals;  // sorted; never overlapping or touching
  std::array<std::uint32_t, kSlots> chunks;   // kNone: not held

  std::span<const Interval> list() const { return {intervals.data(), count}; }

  void erase(std::size_t from, std::size_t to) {
    std::copy(intervals.begin() + to, intervals.begin() + count, intervals.begin() + from);
    count -= to - from;
  }
  void insert(std::size_t at, const Interval& interval) {
    std::copy_backward(intervals.begin() + at, intervals.begin() + count,
                       intervals.begin() + count + 1);
    intervals[at] = interval;
    ++count;
  }

  // Takes the chunks that [begin, end) reaches into. Returns how far it got.
  StreamPosition provide_chunks(StreamPosition begin, StreamPosition end) {
    for (std::uint64_t number = chunk_number(begin); number <= chunk_number(end - 1); ++number) {
      std::uint32_t& held = chunks[slot_of(number)];
      if (held != kNone) continue;
      if (held_chunks < pool->most_for_one()) held = pool->take_chunk();
      if (held == kNone) return std::max(begin, number * kChunkBytes);
      ++held_chunks;
    }
    return end;
  }

  void copy_in(StreamPosition begin, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t offset = offset_in_chunk(begin);
      const std::size_t piece = std::min(bytes.size(), kChunkBytes - offset);
      std::memcpy(pool->chunk(chunks[slot_of(chunk_number(begin))]) + offset, bytes.data(), piece);
      begin += piece;
      bytes = bytes.subspan(piece);
    }
  }

  void drop_chunks(std::uint64_t from, std::uint64_t to) {
    to = std::min(to, from + kSlots);
    for (; from < to; ++from) {
      std::uint32_t& held = chunks[slot_of(from)];
      if (held == kNone) continue;
      pool->return_chunk(held);
      held = kNone;
      --held_chunks;
    }
  }
};

ReceivePool::ReceivePool(std::size_t chunks)
    : chunk_count_(chunks),
      free_chunk_count_(chunks),
      free_state_count_(chunks),
      memory_(std::make_unique_for_overwrite<std::byte[]>(chunks * kChunkBytes)),
      free_chunks_(std::make_unique_for_overwrite<std::uint32_t[]>(chunks)),
      states_(std::make_unique<State[]>(chunks)),
      free_states_(std::make_unique_for_overwrite<std::uint32_t[]>(chunks)) {
  NEARFIELD_ASSERT(chunks > 0 && chunks < kNone);
  for (std::uint32_t i = 0; i < chunks; ++i) {
    free_chunks_[i] = free_states_[i] = static_cast<std::uint32_t>(chunks - 1 - i);
    states_[i].pool = this;
    states_[i].index = i;
    states_[i].chunks.fill(kNone);
  }
}

ReceivePool::~ReceivePool() = default;

std::uint32_t ReceivePool::take_chunk() {
  return free_chunk_count_ == 0 ? kNone : free_chunks_[--free_chunk_count_];
}

void ReceivePool::return_chunk(std::uint32_t index) { free_chunks_[free_chunk_count_++] = index; }

ReceivePool::State* ReceivePool::take_state() {
  return free_state_count_ == 0 ? nullptr : &states_[free_states_[--free_state_count_]];
}

void ReceivePool::return_state(State* state) { free_states_[free_state_count_++] = state->index; }

Reassembly::~Reassembly() {
  if (state_ != nullptr) forget_all(*state_->pool);
}

bool Reassembly::acquire_state(ReceivePool& pool) {
  // A state without a chunk would hold nothing.
  if (state_ == nullptr && pool.free_chunks() > 0) state_ = pool.take_state();
  return state_ != nullptr;
}

void Reassembly::forget_all(ReceivePool& pool) {
  for (std::uint32_t& held : state_->chunks) {
    if (held != ReceivePool::kNone) pool.return_chunk(held);
    held = ReceivePool::kNone;
  }
  state_->count = 0;
  state_->held_chunks = 0;
  state_->stores = 0;
  pool.return_state(state_);
  state_ = nullptr;
}

void Reassembly::clear(ReceivePool& pool) {
  if (state_ != nullptr) forget_all(pool);
  duplicate_begin_ = duplicate_end_ = 0;
}

bool Reassembly::store(ReceivePool& pool, StreamPosition begin, std::span<const std::byte> bytes,
                       StreamPosition consumed, StreamPosition* next) {
  consume(pool, consumed);  // what the application took directly, never through here
  const StreamPosition first = std::max(begin, consumed);
  const StreamPosition last = std::min(begin + bytes.size(), consumed + kWindowBytes);
  if (first >= last) {
    *next = contiguous_end(*next);
    return true;
  }
  if (!acquire_state(pool)) return false;
  ReceivePool::State& state = *state_;

  // [low, high): the intervals that [first, last) overlaps or touches; they become one.
  std::size_t low = 0;
  while (low < state.count && state.intervals[low].end < first) ++low;
  std::size_t high = low;
  while (high < state.count && state.intervals[high].begin <= last) ++high;

  if (low == high && first > *next) {
    const auto beyond_gap = std::ranges::count_if(
        state.list(), [next](const Interval& interval) { return interval.begin > *next; });
    if (static_cast<std::size_t>(beyond_gap) >= kMaximumIntervals) return false;
  }

  const StreamPosition end = state.provide_chunks(first, last);
  if (end <= first) {
    if (state.count == 0) forget_all(pool);
    return false;
  }
  // Where memory ran out no chunk was, so nothing is held in it: an interval that begins later is
  // not touched any more.
  while (high > low && state.intervals[high - 1].begin > end) --high;

  Interval merged{first, end, ++state.stores};
  StreamPosition position = first;  // up to here every byte is held now
  for (std::size_t i = low; i < high; ++i) {
    const Interval& held = state.intervals[i];
    if (held.begin > position) {
      state.copy_in(position, bytes.subspan(position - begin, held.begin - position));
    }
    const StreamPosition twice_begin = std::max(held.begin, first);
    const StreamPosition twice_end = std::min(held.end, end);
    if (twice_begin < twice_end && !has_duplicate()) note_duplicate(twice_begin, twice_end);
    position = std::max(position, held.end);
  }
  if (position < end) state.copy_in(position, bytes.subspan(position - begin, end - position));
  if (low < high) {
    merged.begin = std::min(merged.begin, state.intervals[low].begin);
    merged.end = std::max(merged.end, state.intervals[high - 1].end);
    state.intervals[low] = merged;
    state.erase(low + 1, high);
  } else {
    state.insert(low, merged);
  }
  *next = contiguous_end(*next);
  return end == last;
}

std::span<const std::byte> Reassembly::readable(StreamPosition consumed) const {
  const StreamPosition end = contiguous_end(consumed);
  if (end == consumed) return {};
  const std::size_t offset = offset_in_chunk(consumed);
  const std::uint32_t chunk = state_->chunks[slot_of(chunk_number(consumed))];
  return {state_->pool->chunk(chunk) + offset,
          std::min<std::size_t>(kChunkBytes - offset, end - consumed)};
}

void Reassembly::consume(ReceivePool& pool, StreamPosition to) {
  if (state_ == nullptr || to <= state_->intervals[0].begin) return;
  ReceivePool::State& state = *state_;
  const std::uint64_t lowest = chunk_number(state.intervals[0].begin);
  std::size_t gone = 0;
  while (gone < state.count && state.intervals[gone].end <= to) ++gone;
  if (gone == state.count) {
    forget_all(pool);
    return;
  }
  state.erase(0, gone);
  state.intervals[0].begin = std::max(state.intervals[0].begin, to);
  state.drop_chunks(lowest, chunk_number(state.intervals[0].begin));
}

StreamPosition Reassembly::contiguous_end(StreamPosition from) const {
  if (state_ == nullptr) return from;
  for (const Interval& interval : state_->list()) {
    if (interval.begin <= from && from < interval.end) return interval.end;
  }
  return from;
}

bool Reassembly::has_gap(StreamPosition next) const {
  return state_ != nullptr && state_->intervals[state_->count - 1].begin > next;
}

void Reassembly::note_duplicate(StreamPosition begin, StreamPosition end) {
  duplicate_begin_ = static_cast<std::uint32_t>(begin);
  duplicate_end_ = static_cast<std::uint32_t>(end);
}

SackBlocks Reassembly::sack_blocks(const SequenceSpace& space, StreamPosition next) const {
  SackBlocks blocks;
  std::array<const Interval*, kListSize> order;
  std::size_t count = 0;
  if (state_ != nullptr) {
    for (const Interval& interval : state_->list()) {
      if (interval.begin > next) order[count++] = &interval;
    }
  }
  const auto ordered = std::span(order).first(count);
  std::ranges::sort(ordered, [](const Interval* a, const Interval* b) {
    return static_cast<std::int32_t>(a->changed - b->changed) > 0;
  });
  if (has_duplicate()) {
    // Positions' low bits are enough: number_of() uses no others.
    const SackBlock duplicate{space.number_of(duplicate_begin_), space.number_of(duplicate_end_)};
    blocks.add(duplicate);
    const auto around = std::ranges::find_if(ordered, [&](const Interval* interval) {
      return !before(duplicate.begin, space.number_of(interval->begin)) &&
             !before(space.number_of(interval->end), duplicate.end);
    });
    if (around != ordered.end()) std::rotate(ordered.begin(), around, around + 1);
  }
  for (const Interval* interval : ordered) {
    blocks.add({space.number_of(interval->begin), space.number_of(interval->end)});
  }
  return blocks;
}

}  // namespace nearfield::net::tcp
