#include "dataplane/tls/locked_memory.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>

namespace nearfield::tls {
namespace {

// CAP_IPC_LOCK, in effect: root may be without it in a container, others may have it.
bool may_lock_anything() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  // The C library has no wrapper.
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)) != 0;
}

}  // namespace

std::vector<std::string> lock_memory() {
  std::vector<std::string> problems;
  // Under a limit, locking on fault turns growth beyond it into failing allocations. Locking is
  // worth less than serving: with a limit only what is there now is locked.
  rlimit limit{};
  const bool unlimited = may_lock_anything() || (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
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
