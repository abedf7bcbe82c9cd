// HugePageAllocator: memory for large tables that are read at random, in 2 MiB pages where the
// kernel has them to give. A table of 64 MiB spans 16,384 normal pages, more than a core's address
// cache holds; with huge pages the look-up costs one miss instead of two. Where transparent huge
// pages are off this is an ordinary, aligned allocation.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <new>

namespace nearfield::cache {

template <typename T>
struct HugePageAllocator {
  using value_type = T;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) {}

  T* allocate(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    void* memory = ::operator new(bytes, alignment(bytes));
    if (bytes >= kHugePageBytes)
      madvise(memory, bytes, MADV_HUGEPAGE);  // a wish: failing changes nothing
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, std::size_t count) {
    ::operator delete(memory, alignment(count * sizeof(T)));
  }

  template <typename U>
  bool operator==(const HugePageAllocator<U>&) const {
    return true;
  }

 private:
  static constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
  static constexpr std::size_t kCacheLineBytes = 64;

  static std::align_val_t alignment(std::size_t bytes) {
    if (bytes >= kHugePageBytes) return std::align_val_t{kHugePageBytes};
    return std::align_val_t{alignof(T) > kCacheLineBytes ? alignof(T) : kCacheLineBytes};
  }
};

}  // namespace nearfield::cache
