#include "dataplane/control/process_limits.h"

#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <format>

namespace nearfield::control {

std::string raise_descriptor_limit(std::uint64_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return {};
  rlimit more = limit;
  more.rlim_cur = wanted;
  more.rlim_max = std::max<rlim_t>(limit.rlim_max, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &more) == 0)
    return {};  // with CAP_SYS_RESOURCE also beyond the hard limit
  more.rlim_max = limit.rlim_max;
  more.rlim_cur = std::min<rlim_t>(limit.rlim_max, wanted);
  if (::setrlimit(RLIMIT_NOFILE, &more) != 0) more.rlim_cur = limit.rlim_cur;
  if (more.rlim_cur >= wanted) return {};
  return std::format(
      "only {} file descriptors are allowed where {} may be needed: raise LimitNOFILE (ulimit "
      "-Hn), or lower "
      "limits.connections",
      more.rlim_cur, wanted);
}

std::vector<int> available_cpus() {
  std::vector<int> result;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) result.push_back(cpu);
    }
  }
  if (result.empty()) result.push_back(0);
  return result;
}

}  // namespace nearfield::control
