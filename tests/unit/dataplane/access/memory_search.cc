#include "tests/unit/dataplane/access/memory_search.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace nearfield::access {
namespace {

// A sanitizer's shadow is larger than any heap of a test.
constexpr std::size_t kLargestMapping = std::size_t{256} << 20;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

std::size_t count_in(const std::uint8_t* from, std::size_t size,
                     std::span<const std::uint8_t> wanted) {
  std::size_t count = 0;
  const std::uint8_t* end = from + size;
  while (const void* found =
             ::memmem(from, static_cast<std::size_t>(end - from), wanted.data(), wanted.size())) {
    if (found != wanted.data()) ++count;
    from = static_cast<const std::uint8_t*>(found) + 1;
  }
  return count;
}

}  // namespace

std::size_t count_in_memory(std::span<const std::uint8_t> wanted) {
  const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
  std::size_t count = 0;
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char rights[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) != 3) continue;
    const std::string_view text(line);
    const bool is_stack = text.contains("[stack");
    if (!std::string_view(rights).starts_with("rw") || is_stack || to - from > kLargestMapping) {
      continue;
    }
    count += count_in(reinterpret_cast<const std::uint8_t*>(from), to - from, wanted);
  }
  return count;
}

}  // namespace nearfield::access
