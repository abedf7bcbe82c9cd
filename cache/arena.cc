// The arena proper: a lock around the page map, and the arithmetic between page numbers and
// addresses. Under the address sanitizer free pages are poisoned, so that a reader holding an
// address too long is caught.
#include "cache/arena.h"

#include <algorithm>
#include <atomic>
#include <format>
#include <mutex>
#include <utility>

#include "cache/base/assert.h"
#include "cache/page_map.h"
#include "cache/page_mapping.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define NEARFIELD_POISONS_PAGES
#include <sanitizer/asan_interface.h>
#endif
#endif

namespace nearfield::cache {
namespace {

constexpr std::uint64_t kMinimumBytes = 1024 * 1024;

void forbid([[maybe_unused]] std::span<std::byte> memory) {
#ifdef NEARFIELD_POISONS_PAGES
  ASAN_POISON_MEMORY_REGION(memory.data(), memory.size());
#endif
}

void allow([[maybe_unused]] std::span<std::byte> memory) {
#ifdef NEARFIELD_POISONS_PAGES
  ASAN_UNPOISON_MEMORY_REGION(memory.data(), memory.size());
#endif
}

std::uint32_t pages_for(std::size_t bytes) {
  const std::size_t wanted = std::clamp(bytes, std::size_t{1}, kBlockBytes);
  return static_cast<std::uint32_t>((wanted + kPageBytes - 1) / kPageBytes);
}

}  // namespace

struct Arena::Impl {
  Impl(PageMapping&& pages, std::uint32_t blocks) : mapping(std::move(pages)), map(blocks) {
    forbid(mapping.memory());
  }
  ~Impl() { allow(mapping.memory()); }

  std::optional<Extent> extent(const std::optional<PageMap::Run>& run) {
    if (!run) return std::nullopt;
    std::byte* const data = mapping.memory().data() + std::uint64_t{run->block} * kBlockBytes +
                            std::uint64_t{run->first_page} * kPageBytes;
    const Extent result{data, static_cast<std::uint32_t>(run->pages * kPageBytes)};
    allow({result.data, result.bytes});
    return result;
  }

  PageMapping mapping;
  std::mutex mutex;
  PageMap map;  // guarded by mutex
  std::atomic<std::uint64_t> used_bytes{0};
};

Result<std::unique_ptr<Arena>> Arena::create(const ArenaOptions& options) {
  if (options.bytes < kMinimumBytes) {
    return failure(
        std::format("a cache of {} bytes of memory is too small to work; configure at least 1 MiB",
                    options.bytes));
  }
  const std::uint64_t blocks = options.bytes / kBlockBytes;
  if (blocks >= UINT32_MAX) {
    return failure(
        std::format("a cache of {} bytes of memory is more than can be managed; configure less",
                    options.bytes));
  }
  auto mapping = PageMapping::create(blocks * kBlockBytes, options.want_hugepages);
  if (!mapping) return std::unexpected(std::move(mapping.error()));
  const std::uint64_t mapped_blocks = mapping->memory().size() / kBlockBytes;
  auto impl =
      std::make_unique<Impl>(std::move(*mapping), static_cast<std::uint32_t>(mapped_blocks));
  if (!impl->map.valid()) {
    return failure(
        "not enough memory for the bookkeeping of the cache; configure less, or free memory");
  }
  return std::unique_ptr<Arena>(new Arena(std::move(impl)));
}

Arena::Arena(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Arena::~Arena() = default;

std::optional<Extent> Arena::allocate(std::size_t bytes) {
  const std::lock_guard lock(impl_->mutex);
  const auto extent = impl_->extent(impl_->map.take(pages_for(bytes)));
  impl_->used_bytes.store(impl_->map.used_pages() * kPageBytes, std::memory_order_relaxed);
  return extent;
}

std::optional<Extent> Arena::allocate_up_to(std::size_t bytes) {
  const std::lock_guard lock(impl_->mutex);
  const auto extent = impl_->extent(impl_->map.take_up_to(pages_for(bytes)));
  impl_->used_bytes.store(impl_->map.used_pages() * kPageBytes, std::memory_order_relaxed);
  return extent;
}

void Arena::free(Extent extent) {
  const std::span<std::byte> all = impl_->mapping.memory();
  NEARFIELD_ASSERT(extent.data >= all.data() && extent.data < all.data() + all.size() &&
                   extent.bytes % kPageBytes == 0);
  const auto offset = static_cast<std::uint64_t>(extent.data - all.data());
  NEARFIELD_ASSERT(offset % kPageBytes == 0);
  const std::lock_guard lock(impl_->mutex);
  impl_->map.give({static_cast<std::uint32_t>(offset / kBlockBytes),
                   static_cast<std::uint32_t>(offset % kBlockBytes / kPageBytes),
                   static_cast<std::uint32_t>(extent.bytes / kPageBytes)});
  forbid({extent.data, extent.bytes});
  impl_->used_bytes.store(impl_->map.used_pages() * kPageBytes, std::memory_order_relaxed);
}

std::uint64_t Arena::capacity_bytes() const { return impl_->mapping.memory().size(); }
std::uint64_t Arena::used_bytes() const {
  return impl_->used_bytes.load(std::memory_order_relaxed);
}
std::uint64_t Arena::table_bytes() const { return impl_->map.table_bytes(); }
PageKind Arena::page_kind() const { return impl_->mapping.kind(); }
const std::string& Arena::page_notice() const { return impl_->mapping.notice(); }
std::span<std::byte> Arena::memory() const { return impl_->mapping.memory(); }

}  // namespace nearfield::cache
