// PageMapping: one anonymous mapping on the largest pages that can be had, with a word to the
// operator when they are not huge. The mapping is reserved, not touched: pages are faulted in when
// content first reaches them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "cache/arena.h"
#include "cache/base/error.h"

namespace nearfield::cache {

class PageMapping {
 public:
  // `bytes` is a multiple of kBlockBytes. Reserved hugepages are tried first when wanted (the
  // mapping is then rounded down to 2 MiB), transparent ones next, then normal pages. Fails when
  // the machine has less memory than that.
  static Result<PageMapping> create(std::uint64_t bytes, bool want_hugepages);
  PageMapping(PageMapping&& other) noexcept;
  PageMapping& operator=(PageMapping&&) = delete;
  ~PageMapping();

  std::span<std::byte> memory() const { return memory_; }
  PageKind kind() const { return kind_; }
  const std::string& notice() const { return notice_; }

 private:
  PageMapping(std::span<std::byte> memory, PageKind kind, std::string notice)
      : memory_(memory), kind_(kind), notice_(std::move(notice)) {}

  std::span<std::byte> memory_;
  PageKind kind_;
  std::string notice_;
};

}  // namespace nearfield::cache
