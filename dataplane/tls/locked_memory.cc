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

}  // namespace nearfield::tls
