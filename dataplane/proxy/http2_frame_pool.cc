// See http2_frame_pool.h.
#include "dataplane/proxy/http2_frame_pool.h"

#include <sys/mman.h>
#include <unistd.h>

#include "cache/base/assert.h"

namespace nearfield::proxy {
namespace {

constexpr std::size_t kSlotsPerRegion = 64;
constexpr std::size_t kRegionBytes = kSlotsPerRegion * Http2FramePool::kSlotBytes;

}  // namespace

Http2FramePool::~Http2FramePool() {
  NEARFIELD_ASSERT(free_.size() == regions_.size() * kSlotsPerRegion);
  for (void* const region : regions_) munmap(region, kRegionBytes);
}

void* Http2FramePool::take() {
  if (free_.empty()) {
    NEARFIELD_ASSERT(kSlotBytes % static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) == 0);
    void* const region =
        mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (region == MAP_FAILED) return nullptr;
    madvise(region, kRegionBytes, MADV_NOHUGEPAGE);  // refused where there are none
    regions_.push_back(region);
    free_.reserve(regions_.size() * kSlotsPerRegion);
    for (std::size_t number = kSlotsPerRegion; number-- > 0;)
      free_.push_back(static_cast<std::byte*>(region) + number * kSlotBytes);
  }
  void* const slot = free_.back();
  free_.pop_back();
  if (warm_ > 0) --warm_;
  return slot;
}

void Http2FramePool::give_back(void* slot) {
  free_.push_back(slot);
  if (warm_ < kWarmSlots)
    ++warm_;
  else
    forget(free_[free_.size() - 1 - kWarmSlots]);
}

bool Http2FramePool::forget(void* slot) {
  // LOCKED, because all memory is where there is TLS (tls/locked_memory.h). Linux 5.18.
  return madvise(slot, kSlotBytes, MADV_DONTNEED_LOCKED) == 0;
}

}  // namespace nearfield::proxy
