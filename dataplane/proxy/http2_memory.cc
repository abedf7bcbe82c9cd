// See http2_memory.h.
#include "dataplane/proxy/http2_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace nearfield::proxy {
namespace {

// The library asks for no other block of this size before its buffer.
constexpr std::size_t kFrameBytes = 16 * 1024;

}  // namespace

void* Http2Memory::take(std::size_t bytes) {
  if (frame_ != nullptr || bytes < kFrameBytes || bytes > Http2FramePool::kSlotBytes)
    return std::malloc(bytes);
  return frame_ = pool_.take();
}

void Http2Memory::give_back(void* block) {
  if (block == nullptr || block != frame_) return std::free(block);
  pool_.give_back(std::exchange(frame_, nullptr));
}

void* Http2Memory::resize(void* block, std::size_t bytes) {
  if (block == nullptr) return take(bytes);
  if (block != frame_) return std::realloc(block, bytes);
  // The library does not do this to its buffer.
  void* const moved = std::malloc(bytes);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(bytes, Http2FramePool::kSlotBytes));
  give_back(block);
  return moved;
}

}  // namespace nearfield::proxy
