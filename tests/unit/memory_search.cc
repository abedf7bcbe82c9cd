#include "tests/unit/memory_search.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string_view>

namespace nearfield {
namespace {

// A sanitizer's shadow is larger than any heap of a test.
constexpr std::size_t kLargestMapping = std::size_t{128} << 20;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// The kernel reads, whatever a sanitizer says of freed memory.
std::size_t count_in(int memory, std::uintptr_t from, std::uintptr_t to,
                     std::span<const std::uint8_t> wanted) {
  // On the stack, which is not looked at; too large for a sanitizer's own.
  std::array<std::uint8_t, 256 << 10> part;
  std::size_t count = 0;
  while (from + wanted.size() <= to) {
    const std::size_t size = std::min<std::size_t>(part.size(), to - from);
    const ssize_t got = ::pread(memory, part.data(), size, static_cast<off_t>(from));
    if (got < static_cast<ssize_t>(wanted.size())) return count;
    const auto read = static_cast<std::size_t>(got);
    const std::uint8_t* at = part.data();
    while (const void* found = ::memmem(at, static_cast<std::size_t>(part.data() + read - at),
                                        wanted.data(), wanted.size())) {
      at = static_cast<const std::uint8_t*>(found);
      const std::uintptr_t place = from + static_cast<std::size_t>(at - part.data());
      if (place != reinterpret_cast<std::uintptr_t>(wanted.data())) ++count;
      ++at;
    }
    from += read - wanted.size() + 1;  // it may stand across two parts
  }
  return count;
}

}  // namespace

std::size_t count_in_memory(std::span<const std::uint8_t> wanted) {
  const std::unique_ptr<std::FILE, Close> maps(std::fopen("/proc/self/maps", "re"));
  const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
  std::size_t count = 0;
  char line[512];
  while (maps != nullptr && std::fgets(line, sizeof(line), maps.get()) != nullptr) {
    std::uintptr_t from = 0;
    std::uintptr_t to = 0;
    char rights[5] = {};
    if (std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s", &from, &to, rights) != 3) continue;
    const bool is_stack = std::string_view(line).contains("[stack");
    if (!std::string_view(rights).starts_with("rw") || is_stack || to - from > kLargestMapping) {
      continue;
    }
    count += count_in(memory, from, to, wanted);
  }
  if (memory >= 0) ::close(memory);
  return count;
}

}  // namespace nearfield
