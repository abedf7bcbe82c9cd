// The readers' side of a blob: what is readable, where it lies, waiting for more, and holding a
// streaming blob's window.
#include "cache/blob.h"

#include <limits>

#include "cache/blob_state.h"

namespace nearfield::cache {
namespace {

constexpr std::size_t kExtentsGivenAtOnce = 64;
constexpr std::uint64_t kLastReaderOffset = UINT64_MAX - 1;

bool continues(const iovec& vector, const std::byte* data) {
  return static_cast<const std::byte*>(vector.iov_base) + vector.iov_len == data;
}

}  // namespace

Ref<Blob> Blob::create(ExtentSource& source, Kind kind, std::optional<std::uint64_t> total_bytes,
                       std::uint64_t window_bytes) {
  return Ref<Blob>(new Blob(std::make_unique<Impl>(source, kind, total_bytes, window_bytes)));
}

Blob::Blob(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Blob::~Blob() {
  for (std::size_t i = 0; i < impl_->extents.size(); ++i) {
    impl_->source.give_extent(impl_->extents.piece(i).extent);
  }
}

Blob::State Blob::state() const { return impl_->state.load(std::memory_order_acquire); }
Blob::Kind Blob::kind() const { return impl_->kind.load(std::memory_order_acquire); }
std::optional<std::uint64_t> Blob::total_bytes() const { return impl_->length(); }
std::uint64_t Blob::charged_bytes() const { return impl_->charged.load(std::memory_order_relaxed); }

std::uint64_t Blob::memory_bytes() const {
  constexpr std::uint64_t kAllocatorBytes = 16;  // what malloc keeps beside a piece
  std::uint64_t bytes = sizeof(Blob) + sizeof(Impl) + 3 * kAllocatorBytes;
  if (impl_->frozen()) return bytes + impl_->extents.memory_bytes();
  const std::lock_guard lock(impl_->mutex);
  return bytes + impl_->extents.memory_bytes() +
         impl_->published.size() * sizeof(IntervalSet::Interval) + impl_->readers.memory_bytes() +
         impl_->waiters.memory_bytes();
}

std::uint64_t Blob::Impl::readable(std::uint64_t offset) const {
  if (frozen()) {
    const std::uint64_t end = total.load(std::memory_order_acquire);
    return offset < end ? end - offset : 0;
  }
  if (streams() && offset < floor) return 0;
  const auto run = published.containing(offset);
  return run ? run->end - offset : 0;
}

std::uint64_t Blob::readable_from(std::uint64_t offset) const {
  if (impl_->frozen()) return impl_->readable(offset);
  const std::lock_guard lock(impl_->mutex);
  return impl_->readable(offset);
}

std::size_t Blob::Impl::addresses(std::uint64_t offset, std::uint64_t bytes,
                                  std::span<iovec> vectors, std::uint64_t* covered_bytes) const {
  std::size_t used = 0;
  std::uint64_t covered = 0;
  auto index = bytes > 0 ? extents.find(offset) : std::nullopt;
  NEARFIELD_ASSERT(bytes == 0 || index);  // else given back already, or never written
  while (covered < bytes) {
    NEARFIELD_ASSERT(*index < extents.size());
    const ExtentList::Piece piece = extents.piece(*index);
    const std::uint64_t at = offset + covered;
    NEARFIELD_ASSERT(piece.begin <= at && at < piece.end());
    std::byte* const data = piece.extent.data + (at - piece.begin);
    const std::uint64_t length = std::min(bytes - covered, piece.end() - at);
    if (used > 0 && continues(vectors[used - 1], data)) {
      vectors[used - 1].iov_len += length;
    } else {
      if (used == vectors.size()) break;
      vectors[used++] = {data, length};
    }
    covered += length;
    ++*index;
  }
  *covered_bytes = covered;
  return used;
}

std::size_t Blob::addresses(std::uint64_t offset, std::uint64_t length, std::span<iovec> vectors,
                            std::uint64_t* covered_bytes) const {
  if (impl_->frozen()) {
    NEARFIELD_ASSERT(length <= impl_->readable(offset));
    return impl_->addresses(offset, length, vectors, covered_bytes);
  }
  const std::lock_guard lock(impl_->mutex);
  if (impl_->frozen()) {  // meanwhile
    NEARFIELD_ASSERT(length <= impl_->readable(offset));
    return impl_->addresses(offset, length, vectors, covered_bytes);
  }
  // Below the floor too, for readers that were cut loose; that the bytes are still there is checked
  // as they are looked up.
  const auto run = impl_->published.containing(offset);
  NEARFIELD_ASSERT(length == 0 || (run && length <= run->end - offset));
  return impl_->addresses(offset, length, vectors, covered_bytes);
}

bool Blob::subscribe(std::uint64_t offset, Ref<Signal> signal) {
  if (!impl_->growing()) return false;
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->growing() || impl_->readable(offset) > 0) return false;
  impl_->waiters.add(std::min(offset, kLastReaderOffset), std::move(signal));
  return true;
}

void Blob::unsubscribe(const Signal& signal) {
  if (!impl_->growing()) return;  // the list is empty by now, or is being emptied
  const std::lock_guard lock(impl_->mutex);
  impl_->waiters.remove(signal);
}

bool Blob::has_readers() const { return reader_count() > 0; }

std::size_t Blob::reader_count() const {
  if (impl_->frozen()) return 0;
  const std::lock_guard lock(impl_->mutex);
  return impl_->readers.size();
}

// --- streaming ---

bool Blob::Impl::window_open(std::uint64_t offset) const {
  if (const auto slowest = readers.slowest()) {
    return offset < *slowest || offset - *slowest < window_bytes;
  }
  return charged.load(std::memory_order_relaxed) < window_bytes;
}

Ref<Signal> Blob::Impl::signal_if_window_opened() {
  // Waking the writer for every few bytes a reader moved would cost more than it brings: wait for a
  // block's worth, which comes for certain, as the window holds two.
  if (!blocked_at || !window_open(*blocked_at + kBlockBytes - 1)) return nullptr;
  blocked_at.reset();
  return space_signal;
}

Ref<Signal> Blob::Impl::wake_after_leaving() {
  if (!readers.empty()) return streams() ? signal_if_window_opened() : nullptr;
  blocked_at.reset();
  return space_signal;  // the fill asks itself whether to go on
}

bool Blob::Impl::wholly_published(const ExtentList::Piece& piece) const {
  const auto run = published.containing(piece.begin);
  return run && run->end >= std::min(piece.end(), total.load(std::memory_order_relaxed));
}

std::vector<Extent> Blob::Impl::take_passed(std::uint64_t limit) {
  std::vector<Extent> passed;
  std::size_t first = 0;  // extents before it have holes, or are held by who was cut, and stay
  while (first < extents.size() && passed.size() < kExtentsGivenAtOnce) {
    std::size_t count = 0;
    while (first + count < extents.size() && passed.size() < kExtentsGivenAtOnce) {
      const ExtentList::Piece piece = extents.piece(first + count);
      if (std::min(piece.end(), total.load(std::memory_order_relaxed)) > limit ||
          !wholly_published(piece) || readers.held_in(piece.begin, piece.end()))
        break;
      passed.push_back(piece.extent);
      floor = std::max(floor, piece.end());
      charged.fetch_sub(piece.extent.bytes, std::memory_order_relaxed);
      ++count;
    }
    if (count > 0) extents.erase(first, count);
    if (first == extents.size()) break;
    const ExtentList::Piece stays = extents.piece(first);
    if (stays.begin >= limit) break;
    // A stretch that is held may be long, and whole: one look at its end.
    const auto held = readers.held_in(stays.begin, stays.end());
    const auto last = held ? extents.find(held->end - 1) : std::nullopt;
    first = last && *last > first ? *last : first + 1;
  }
  return passed;
}

void Blob::Impl::give_back_passed(bool all) {
  for (std::vector<Extent> passed;;) {
    Ref<Signal> opened;
    {
      const std::lock_guard lock(mutex);
      const auto slowest = readers.slowest();
      // Without readers what lies before the floor can only have been held by some that were cut.
      const std::uint64_t limit = all ? std::numeric_limits<std::uint64_t>::max() : floor;
      if (!slowest && limit == 0) return;
      passed = take_passed(slowest.value_or(limit));
      if (!passed.empty()) opened = signal_if_window_opened();
    }
    for (const Extent& extent : passed) source.give_extent(extent);
    if (opened) opened->raise();
    if (passed.size() < kExtentsGivenAtOnce) return;
  }
}

std::uint64_t Blob::Impl::readable_for(std::uint32_t slot, std::uint64_t offset) const {
  if (frozen()) return readable(offset);
  const auto end = readers.cut_end(slot);
  if (!end) return readable(offset);
  const auto run = published.containing(offset);
  return run && offset < *end ? std::min(run->end, *end) - offset : 0;
}

bool Blob::held_back() const {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->growing() || !impl_->streams() || !impl_->blocked_at) return false;
  const auto fastest = impl_->readers.fastest();
  return fastest && *fastest + kBlockBytes > *impl_->blocked_at && impl_->readers.size() > 1;
}

std::size_t Blob::cut_laggards() {
  Impl& state = *impl_;
  WaiterList::Raised raised;
  std::size_t count = 0;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.growing() || !state.streams() || !state.blocked_at) return 0;
    const std::uint64_t writer = *state.blocked_at;
    // Whatever is there now may stand in their plans.
    const std::uint64_t end = std::max(writer, state.published.end());
    count = state.readers.cut(writer - std::min(writer, state.window_bytes / 2), end);
    if (count == 0) return 0;
    state.blocked_at.reset();
    raised = state.waiters.take_all();
  }
  WaiterList::raise(raised);
  state.give_back_passed();
  return count;
}

// --- readers of a growing blob ---

BlobReader::BlobReader(Ref<Blob> blob, std::uint64_t offset)
    : blob_(std::move(blob)), offset_(std::min(offset, kLastReaderOffset)) {
  Blob::Impl& state = *blob_->impl_;
  if (state.frozen()) return;
  Ref<Signal> opened;
  {
    const std::lock_guard lock(state.mutex);
    if (state.frozen()) return;
    too_late_ = state.streams() && offset_ < state.floor;
    if (too_late_) return;
    slot_ = state.readers.attach(offset_);
    if (state.streams()) opened = state.signal_if_window_opened();
  }
  if (opened) opened->raise();
}

BlobReader::BlobReader(BlobReader&& other) noexcept
    : blob_(std::move(other.blob_)),
      offset_(other.offset_),
      slot_(std::exchange(other.slot_, kNoSlot)),
      too_late_(std::exchange(other.too_late_, false)) {}

BlobReader& BlobReader::operator=(BlobReader&& other) noexcept {
  if (this == &other) return *this;
  detach();
  blob_ = std::move(other.blob_);
  offset_ = other.offset_;
  slot_ = std::exchange(other.slot_, kNoSlot);
  too_late_ = std::exchange(other.too_late_, false);
  return *this;
}

BlobReader::~BlobReader() { detach(); }

std::uint64_t BlobReader::readable_from(std::uint64_t offset) const {
  const Blob::Impl& state = *blob_->impl_;
  if (slot_ == kNoSlot || state.frozen()) return blob_->readable_from(offset);
  const std::lock_guard lock(state.mutex);
  if (state.frozen()) return state.readable(offset);
  return state.readable_for(slot_, offset);
}

bool BlobReader::too_late() const {
  if (too_late_ || !blob_) return too_late_;
  const Blob::Impl& state = *blob_->impl_;
  if (state.frozen()) return false;
  const std::lock_guard lock(state.mutex);
  if (state.frozen()) return false;
  return state.disbanded || (slot_ != kNoSlot && state.readers.cut_end(slot_));
}

void BlobReader::release_before(std::uint64_t offset) {
  offset = std::min(offset, kLastReaderOffset);
  if (offset < offset_) return;
  offset_ = offset;
  if (slot_ == kNoSlot) return;
  Blob::Impl& state = *blob_->impl_;
  // A kept blob forgets nothing, so where its readers are does not matter: thousands of them would
  // fight over the lock for nothing. When it turns into a streaming one all waiters are woken, and
  // say where they are as they go to sleep again.
  if (state.frozen() || !state.streams()) return;
  Ref<Signal> opened;
  {
    const std::lock_guard lock(state.mutex);
    if (state.frozen()) return;
    if (!state.readers.move(slot_, offset) || !state.streams()) return;
    opened = state.signal_if_window_opened();
  }
  if (opened) opened->raise();
  state.give_back_passed();
}

void BlobReader::end_at(std::uint64_t end) {
  if (slot_ == kNoSlot || blob_->impl_->frozen()) return;
  Blob::Impl& state = *blob_->impl_;
  Ref<Signal> woken;
  {
    const std::lock_guard lock(state.mutex);
    if (state.frozen() || state.readers.cut_end(slot_)) return;
    state.readers.move(slot_, offset_);  // while it was kept nobody asked
    if (!state.readers.cut_one(slot_, end)) return;
    woken = state.wake_after_leaving();
  }
  if (woken) woken->raise();
  if (state.streams()) state.give_back_passed();
}

// While a blob is kept nobody notes where its readers are. One that looks for more just as the blob
// turns into a streaming one would sleep with a place the window waits for: so it is said again
// under the lock that decides whether it sleeps.
bool BlobReader::subscribe(std::uint64_t offset, Ref<Signal> signal) {
  if (slot_ == kNoSlot) return blob_->subscribe(offset, std::move(signal));
  Blob::Impl& state = *blob_->impl_;
  if (!state.growing()) return false;
  Ref<Signal> opened;
  {
    const std::lock_guard lock(state.mutex);
    if (!state.growing() || state.readable_for(slot_, offset) > 0) return false;
    const bool moved = state.readers.move(slot_, offset_);
    if (moved && state.streams()) opened = state.signal_if_window_opened();
    state.waiters.add(std::min(offset, kLastReaderOffset), std::move(signal));
  }
  if (opened) opened->raise();
  if (state.streams()) state.give_back_passed();
  return true;
}

void BlobReader::detach() {
  const Ref<Blob> blob = std::exchange(blob_, nullptr);
  const std::uint32_t slot = std::exchange(slot_, kNoSlot);
  too_late_ = false;
  if (slot == kNoSlot || blob->impl_->frozen()) return;
  Blob::Impl& state = *blob->impl_;
  Ref<Signal> woken;
  {
    const std::lock_guard lock(state.mutex);
    if (state.frozen()) return;
    const bool changed = state.readers.detach(slot);
    if (!changed) return;
    woken = state.wake_after_leaving();
  }
  if (woken) woken->raise();
  if (state.streams()) state.give_back_passed();
}

}  // namespace nearfield::cache
