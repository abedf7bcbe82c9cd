// Arena: all memory that holds content, one mapping of hugepages cut in 64 KiB blocks and 4 KiB
// pages within them.
//
// Invariant: every byte of content lives here and nowhere else, at an address that never moves, so
// that a disk, a socket or a NIC can be handed the same memory. The awkward part is small objects:
// a manifest of 1 KiB must not cost 64 KiB, so a block can be split into sixteen pages, of which
// neighbours are handed out together.
//
// Thread-safe; a call holds a lock for a bounded number of steps. Nothing is allocated after
// create().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "cache/base/error.h"

namespace nearfield::cache {

inline constexpr std::size_t kBlockBytes = 64 * 1024;
inline constexpr std::size_t kPageBytes = 4 * 1024;

// A piece of the arena: `bytes` is a multiple of kPageBytes, at most kBlockBytes, and lies inside
// one block.
struct Extent {
  std::byte* data = nullptr;
  std::uint32_t bytes = 0;
};

enum class PageKind { huge, transparent_huge, normal };

struct ArenaOptions {
  std::uint64_t bytes =
      0;  // rounded down to whole blocks (2 MiB when hugepages are used); at least 1 MiB
  bool want_hugepages = true;  // MAP_HUGETLB first, then transparent hugepages, then what there is
};

class Arena {
 public:
  // Maps and faults in nothing yet beyond the bookkeeping. Fails with a message when the address
  // space or the memory cannot be had.
  static Result<std::unique_ptr<Arena>> create(const ArenaOptions& options);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A piece of at least min(bytes, kBlockBytes), rounded up to pages. Nothing when the arena is
  // full (or too fragmented).
  std::optional<Extent> allocate(std::size_t bytes);
  // The longest piece there is, at most min(bytes, kBlockBytes) rounded up to pages: for when
  // allocate() found only fragments. Nothing only when every page is handed out.
  std::optional<Extent> allocate_up_to(std::size_t bytes);
  // All of an extent, or any run of its pages: what is left stays handed out. Asserts that it was
  // handed out.
  void free(Extent extent);

  std::uint64_t capacity_bytes() const;
  std::uint64_t used_bytes() const;   // handed out, in pages; a snapshot
  std::uint64_t table_bytes() const;  // bookkeeping beside it
  PageKind page_kind() const;
  // One line for the operator when hugepages were wanted and not had: how many are missing and the
  // command that reserves them.
  const std::string& page_notice() const;
  std::span<std::byte> memory()
      const;  // the whole mapping, for registering with a kernel ring or a NIC

 private:
  struct Impl;
  explicit Arena(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace nearfield::cache
