// Hugepages spare the processor most of its address translation when 64 KiB pieces from all over
// many gigabytes are sent; and a NIC or disk can be given 2 MiB of memory as one piece. MAP_HUGETLB
// fails at once, not at first touch, when too few are reserved.
#include "cache/page_mapping.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <format>
#include <fstream>
#include <utility>

namespace nearfield::cache {
namespace {

constexpr std::uint64_t kHugePageBytes = 2 * 1024 * 1024;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::uint64_t number_in(const char* path) {
  return std::strtoull(first_line(path).c_str(), nullptr, 10);
}

bool transparent_hugepages_offered() {
  const std::string choice = first_line("/sys/kernel/mm/transparent_hugepage/enabled");
  return !choice.empty() && choice.find("[never]") == std::string::npos;
}

std::string hugepage_notice(std::uint64_t bytes, PageKind kind) {
  const std::uint64_t wanted = bytes / kHugePageBytes;
  const std::uint64_t free = number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
  const std::uint64_t reserved = number_in("/proc/sys/vm/nr_hugepages");
  const std::uint64_t missing = wanted > free ? wanted - free : 0;
  std::string notice = std::format(
      "the cache runs on {} pages: of {} hugepages of 2 MiB it needs {} are free; to reserve them "
      "run `sysctl -w vm.nr_hugepages={}` and restart",
      kind == PageKind::normal ? "normal 4 KiB" : "transparent huge", wanted, free,
      reserved + missing);
  if (kind == PageKind::normal) {
    notice +=
        ", or let the kernel make them with `echo madvise > "
        "/sys/kernel/mm/transparent_hugepage/enabled`";
  }
  return notice;
}

void* map(std::uint64_t bytes, int extra_flags) {
  return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra_flags, -1,
              0);
}

// Transparent hugepages need memory that begins on a 2 MiB boundary: map more, give back both ends.
void* map_aligned(std::uint64_t bytes) {
  void* const mapped = map(bytes + kHugePageBytes, 0);
  if (mapped == MAP_FAILED) return MAP_FAILED;
  auto* const begin = static_cast<std::byte*>(mapped);
  const std::uint64_t address = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uint64_t before = (kHugePageBytes - address % kHugePageBytes) % kHugePageBytes;
  if (before > 0) munmap(begin, before);
  const std::uint64_t after = kHugePageBytes - before;
  if (after > 0) munmap(begin + before + bytes, after);
  return begin + before;
}

}  // namespace

Result<PageMapping> PageMapping::create(std::uint64_t bytes, bool want_hugepages) {
  const std::uint64_t machine_bytes = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                                      static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  if (bytes > machine_bytes) {
    return failure(std::format(
        "cannot have a cache of {} MiB of memory: this machine has {} MiB; configure less",
        bytes >> 20, machine_bytes >> 20));
  }
  const std::uint64_t huge_bytes = bytes / kHugePageBytes * kHugePageBytes;
  if (want_hugepages && huge_bytes > 0) {
    void* const huge = map(huge_bytes, MAP_HUGETLB | (21 << MAP_HUGE_SHIFT));
    if (huge != MAP_FAILED) {
      madvise(huge, huge_bytes, MADV_DONTDUMP);
      return PageMapping({static_cast<std::byte*>(huge), huge_bytes}, PageKind::huge, "");
    }
  }
  void* const mapped = map_aligned(bytes);
  if (mapped == MAP_FAILED) {
    return failure(std::format(
        "cannot map {} MiB of memory for the cache ({}); configure less, or free memory",
        bytes >> 20, std::strerror(errno)));
  }
  madvise(mapped, bytes, MADV_DONTDUMP);  // a core dump of a crashed node need not hold its content
  PageKind kind = PageKind::normal;
  std::string notice;
  if (want_hugepages) {
    if (transparent_hugepages_offered() && madvise(mapped, bytes, MADV_HUGEPAGE) == 0) {
      kind = PageKind::transparent_huge;
    }
    notice = hugepage_notice(bytes, kind);
  }
  return PageMapping({static_cast<std::byte*>(mapped), bytes}, kind, std::move(notice));
}

PageMapping::PageMapping(PageMapping&& other) noexcept
    : memory_(std::exchange(other.memory_, {})),
      kind_(other.kind_),
      notice_(std::move(other.notice_)) {}

PageMapping::~PageMapping() {
  if (!memory_.empty()) munmap(memory_.data(), memory_.size());
}

}  // namespace nearfield::cache
