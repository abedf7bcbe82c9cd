// See http2_memory.h.
#include "dataplane/proxy/http2_memory.h"

#include <sys/mman.h>

#include <cstdlib>

namespace nearfield::proxy {
namespace {

constexpr std::size_t kPageBytes = 4096;
// Whole pages of the buffer, which has some bytes more. The library asks for no other block of this
// size before it.
constexpr std::size_t kFrameBytes = 16 * 1024;

}  // namespace

void* Http2Memory::take(std::size_t bytes) {
  if (frame_ != nullptr || bytes < kFrameBytes) return std::malloc(bytes);
  void* block = nullptr;
  if (posix_memalign(&block, kPageBytes, bytes) != 0) return nullptr;
  return frame_ = block;
}

void Http2Memory::give_back(void* block) {
  if (block == frame_) frame_ = nullptr;
  std::free(block);
}

void* Http2Memory::resize(void* block, std::size_t bytes) {
  if (block == nullptr) return take(bytes);
  if (block == frame_) frame_ = nullptr;
  return std::realloc(block, bytes);
}

bool Http2Memory::forget_frame() {
  // LOCKED, because all memory is where there is TLS (tls/locked_memory.h). Linux 5.18.
  return frame_ != nullptr && madvise(frame_, kFrameBytes, MADV_DONTNEED_LOCKED) == 0;
}

}  // namespace nearfield::proxy
