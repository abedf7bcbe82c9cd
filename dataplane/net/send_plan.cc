// The plan's memory: one recycled Impl an active connection with a ring of pieces and a first block
// of text; more text goes to further blocks that live as long as a piece points into them. Blocks
// are filled front to back and never grow, so text never moves.
#include "dataplane/net/send_plan.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "cache/base/assert.h"
#include "cache/base/recycler.h"

namespace nearfield::net {
namespace {

constexpr std::size_t kFirstBlockBytes = 1024;  // a response head is 300-700 bytes
constexpr std::size_t kFurtherBlockBytes = 4096;
// A plan is in use only while its connection sends; these many cover the connections that send at
// one time on a worker.
constexpr std::size_t kRecycledPlans = 256;

// Text of one or more pieces, in order. Freed with its last piece, unless it is the first block,
// which is reused in place.
struct TextBlock {
  std::uint32_t capacity = 0;
  std::uint32_t used = 0;
  std::uint32_t pieces = 0;
  char* bytes() { return reinterpret_cast<char*>(this + 1); }

  static TextBlock* make(std::size_t capacity) {
    void* memory = ::operator new(sizeof(TextBlock) + capacity);
    auto* block = new (memory) TextBlock;
    block->capacity = static_cast<std::uint32_t>(capacity);
    return block;
  }
  static void destroy(TextBlock* block) { ::operator delete(block); }
};

struct Piece {
  Ref<cache::Blob> blob;       // null: text
  TextBlock* block = nullptr;  // of text
  PlanSource* source = nullptr;
  std::uint64_t offset = 0;  // in the blob, or in the block; not of a source
  std::uint64_t length = 0;
};

}  // namespace

struct SendPlan::Impl {
  static_assert((kMaximumPieces & (kMaximumPieces - 1)) == 0, "the ring is indexed with a mask");

  Impl() {
    first.block.capacity = kFirstBlockBytes;
    NEARFIELD_ASSERT(first.block.bytes() == first.text.data());
  }

  Piece& at(std::size_t index) { return pieces[(head + index) & (kMaximumPieces - 1)]; }
  const Piece& at(std::size_t index) const { return pieces[(head + index) & (kMaximumPieces - 1)]; }

  Piece& push() {
    NEARFIELD_ASSERT(count < kMaximumPieces);
    return at(count++);
  }
  Piece* last() { return count > 0 ? &at(count - 1) : nullptr; }

  void drop_block_reference(TextBlock* block) {
    NEARFIELD_ASSERT(block->pieces > 0);
    if (--block->pieces > 0) return;
    if (block == &first.block) {
      block->used = 0;
      return;
    }
    extra_bytes -= sizeof(TextBlock) + block->capacity;
    if (current == block) current = &first.block;
    TextBlock::destroy(block);
  }

  void pop() {
    Piece& piece = at(0);
    if (piece.block != nullptr) drop_block_reference(std::exchange(piece.block, nullptr));
    piece.blob.reset();
    piece.source = nullptr;
    head = (head + 1) & (kMaximumPieces - 1);
    --count;
  }

  void clear() {
    while (count > 0) pop();
    size_bytes = 0;
    head = 0;
  }

  // A block with room for all of `bytes`, so that a text is always one piece.
  TextBlock* block_for(std::size_t bytes) {
    if (current->capacity - current->used >= bytes) return current;
    if (first.block.capacity - first.block.used >= bytes) return current = &first.block;
    current = TextBlock::make(std::max(bytes, kFurtherBlockBytes));
    extra_bytes += sizeof(TextBlock) + current->capacity;
    return current;
  }

  std::array<Piece, kMaximumPieces> pieces;
  std::size_t head = 0;
  std::size_t count = 0;
  std::uint64_t size_bytes = 0;
  std::size_t extra_bytes = 0;
  struct {
    TextBlock block;
    std::array<char, kFirstBlockBytes> text;
  } first;
  TextBlock* current = &first.block;  // being filled
};

namespace {

// The thread's empty plans.
template <typename Impl>
Recycler<Impl, kRecycledPlans>& recycler() {
  thread_local Recycler<Impl, kRecycledPlans> instance;
  return instance;
}

template <typename Impl>
std::unique_ptr<Impl> take_plan() {
  return recycler<Impl>().take([] { return std::make_unique<Impl>(); });
}

}  // namespace

SendPlan::SendPlan() = default;
SendPlan::~SendPlan() { clear(); }
SendPlan::SendPlan(SendPlan&&) noexcept = default;
SendPlan& SendPlan::operator=(SendPlan&& other) noexcept {
  if (this != &other) {
    clear();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

std::size_t SendPlan::room() const {
  return impl_ == nullptr ? kMaximumPieces : kMaximumPieces - impl_->count;
}

void SendPlan::append_text(std::string_view text) {
  if (text.empty()) return;
  if (impl_ == nullptr) impl_ = take_plan<Impl>();
  TextBlock* block = impl_->block_for(text.size());
  std::memcpy(block->bytes() + block->used, text.data(), text.size());
  Piece* last = impl_->last();
  NEARFIELD_ASSERT(last == nullptr || last->source == nullptr);
  if (last != nullptr && last->block == block && last->offset + last->length == block->used) {
    last->length += text.size();
  } else {
    Piece& piece = impl_->push();
    piece.block = block;
    piece.offset = block->used;
    piece.length = text.size();
    ++block->pieces;
  }
  block->used += static_cast<std::uint32_t>(text.size());
  impl_->size_bytes += text.size();
}

void SendPlan::append_blob(const Ref<cache::Blob>& blob, std::uint64_t offset,
                           std::uint64_t length) {
  if (length == 0) return;
  NEARFIELD_ASSERT(blob);
  if (impl_ == nullptr) impl_ = take_plan<Impl>();
  Piece* last = impl_->last();
  NEARFIELD_ASSERT(last == nullptr || last->source == nullptr);
  if (last != nullptr && last->blob == blob && last->offset + last->length == offset) {
    last->length += length;
  } else {
    Piece& piece = impl_->push();
    piece.blob = blob;
    piece.offset = offset;
    piece.length = length;
  }
  impl_->size_bytes += length;
}

void SendPlan::append_source(PlanSource& source, std::uint64_t length) {
  if (length == 0) return;
  if (impl_ == nullptr) impl_ = take_plan<Impl>();
  Piece* last = impl_->last();
  if (last != nullptr && last->source != nullptr) {
    NEARFIELD_ASSERT(last->source == &source);
    last->length += length;
  } else {
    Piece& piece = impl_->push();
    piece.source = &source;
    piece.offset = 0;
    piece.length = length;
  }
  impl_->size_bytes += length;
}

std::uint64_t SendPlan::front_bytes(std::size_t pieces) const {
  if (impl_ == nullptr) return 0;
  if (pieces >= impl_->count) return impl_->size_bytes;
  std::uint64_t bytes = 0;
  for (std::size_t index = 0; index < pieces; ++index) bytes += impl_->at(index).length;
  return bytes;
}

void SendPlan::move_front(std::uint64_t bytes, SendPlan& to) {
  if (bytes == 0) return;
  NEARFIELD_ASSERT(impl_ != nullptr && bytes <= impl_->size_bytes && !has_source());
  std::uint64_t left = bytes;
  for (std::size_t index = 0; left > 0; ++index) {
    const Piece& piece = impl_->at(index);
    const std::uint64_t length = std::min(piece.length, left);
    if (piece.block != nullptr) {
      to.append_text({piece.block->bytes() + piece.offset, static_cast<std::size_t>(length)});
    } else {
      to.append_blob(piece.blob, piece.offset, length);
    }
    left -= length;
  }
  release(bytes);
}

bool SendPlan::has_source() const {
  return impl_ != nullptr && impl_->count > 0 && impl_->last()->source != nullptr;
}

std::uint64_t SendPlan::size_bytes() const { return impl_ == nullptr ? 0 : impl_->size_bytes; }

std::size_t SendPlan::peek(std::uint64_t offset, std::uint64_t maximum_bytes,
                           std::span<iovec> vectors, std::uint64_t* covered_bytes) const {
  *covered_bytes = 0;
  if (impl_ == nullptr) return 0;
  NEARFIELD_ASSERT(offset <= impl_->size_bytes);
  std::size_t used = 0;
  for (std::size_t index = 0; index < impl_->count && used < vectors.size() && maximum_bytes > 0;
       ++index) {
    const Piece& piece = impl_->at(index);
    if (offset >= piece.length) {
      offset -= piece.length;
      continue;
    }
    const std::uint64_t length = std::min(piece.length - offset, maximum_bytes);
    std::uint64_t covered = length;
    if (piece.block != nullptr) {
      vectors[used++] = {piece.block->bytes() + piece.offset + offset,
                         static_cast<std::size_t>(length)};
    } else if (piece.source != nullptr) {
      used += piece.source->peek(offset, length, vectors.subspan(used), &covered);
    } else {
      used += piece.blob->addresses(piece.offset + offset, length, vectors.subspan(used), &covered);
    }
    *covered_bytes += covered;
    if (covered < length) break;
    maximum_bytes -= length;
    offset = 0;
  }
  return used;
}

void SendPlan::release(std::uint64_t bytes) {
  if (bytes == 0) return;
  NEARFIELD_ASSERT(impl_ != nullptr && bytes <= impl_->size_bytes);
  impl_->size_bytes -= bytes;
  while (bytes > 0) {
    Piece& piece = impl_->at(0);
    if (piece.source != nullptr) piece.source->release(std::min(bytes, piece.length));
    if (bytes < piece.length) {
      piece.offset += bytes;
      piece.length -= bytes;
      return;
    }
    bytes -= piece.length;
    impl_->pop();
  }
  if (impl_->size_bytes == 0) clear();
}

void SendPlan::clear() {
  if (impl_ == nullptr) return;
  impl_->clear();
  recycler<Impl>().give(std::move(impl_));
}

std::size_t SendPlan::memory_bytes() const {
  return impl_ == nullptr ? 0 : sizeof(Impl) + impl_->extra_bytes;
}

}  // namespace nearfield::net
