// Locked memory: what counts is whether the kernel sets a limit, not who one is.
#include "dataplane/tls/locked_memory.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>

#include "CppUTest/TestHarness.h"

using namespace nearfield::tls;

TEST_GROUP(LockedMemory){};

// Root in a container is mostly without CAP_IPC_LOCK: allocations failed at the limit then.
TEST(LockedMemory, RootWithoutTheCapabilityHasALimit) {
  const pid_t child = ::fork();
  if (child == 0) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
    ::syscall(SYS_capget, &header, data);
    data[CAP_TO_INDEX(CAP_IPC_LOCK)].effective &= ~CAP_TO_MASK(CAP_IPC_LOCK);
    ::syscall(SYS_capset, &header, data);
    rlimit limit{};
    ::getrlimit(RLIMIT_MEMLOCK, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, rlim_t{1} << 40);  // finite
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
    ::_exit(lock_memory().empty() ? 1 : 0);
  }
  int status = 0;
  CHECK_EQUAL(child, ::waitpid(child, &status, 0));
  CHECK_TRUE(WIFEXITED(status));
  CHECK_EQUAL(0, WEXITSTATUS(status));
}
