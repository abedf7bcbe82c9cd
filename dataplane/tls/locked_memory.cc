#include "dataplane/tls/locked_memory.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <format>

namespace nearfield::tls {

std::vector<std::string> lock_memory() {
  std::vector<std::string> problems;
  // Under a limit, locking on fault turns growth beyond it into failing allocations. Locking is
  // worth less than serving: with a limit only what is there now is locked.
  rlimit limit{};
  const bool unlimited = ::geteuid() == 0 || (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
                                              limit.rlim_cur == RLIM_INFINITY);
  const int flags = MCL_CURRENT | MCL_ONFAULT | (unlimited ? MCL_FUTURE : 0);
  if (::mlockall(flags) != 0) {
    problems.push_back(std::format(
        "memory with private keys cannot be locked and may be written to swap: mlockall: {}; set "
        "LimitMEMLOCK=infinity in the unit or switch swap off",
        std::strerror(errno)));
  } else if (!unlimited) {
    problems.push_back(std::format(
        "only memory present at start is locked, later private keys may be written to swap: the "
        "limit is {} bytes; set LimitMEMLOCK=infinity in the unit or switch swap off",
        static_cast<unsigned long long>(limit.rlim_cur)));
  }
  return problems;
}

void forbid_core_files() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0) return;
  limit.rlim_cur = 0;
  static_cast<void>(::setrlimit(RLIMIT_CORE, &limit));  // lowering is always allowed
}

void exclude_from_core(std::span<std::byte> bytes) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t end = (begin + bytes.size()) / page * page;
  if (end <= first) return;
  // Fails on kernels built without core files only: then there are none.
  static_cast<void>(::madvise(bytes.data() + (first - begin), end - first, MADV_DONTDUMP));
}

}  // namespace nearfield::tls
