// /proc/self, read anew at each scrape.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "dataplane/control/metrics.h"

namespace nearfield::control {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double count_descriptors() {
  DIR* folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  double count = 0;
  while (const dirent* entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(folder);
  return count - 1;  // the folder's own
}

}  // namespace

ProcessInfo read_process_info() {
  ProcessInfo info;
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) {
    info.cpu_seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    info.maximum_descriptors = static_cast<double>(limit.rlim_cur);
  }
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    double number = 0;
    if (word == "VmRSS:" && status >> number) info.resident_bytes = number * 1024;
    if (word == "VmSize:" && status >> number) info.virtual_bytes = number * 1024;
    if (word == "Threads:" && status >> number) info.threads = number;
  }
  info.open_descriptors = count_descriptors();
  return info;
}

}  // namespace nearfield::control
