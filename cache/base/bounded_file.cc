#include "cache/base/bounded_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <format>

namespace nearfield {
namespace {

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) ::close(value);
  }
};

}  // namespace

Result<std::string> read_bounded_file(const std::string& path, std::size_t maximum) {
  // O_NONBLOCK: a pipe without a writer opens at once; for regular files it means nothing.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  if (file.value < 0) {
    return failure(std::format("cannot open {}: {}; check the path and its permissions", path,
                               std::strerror(errno)));
  }
  struct stat status{};
  if (::fstat(file.value, &status) != 0 || !S_ISREG(status.st_mode)) {
    return failure(
        std::format("cannot read {}: it is a folder, a pipe or a device, and what is "
                    "wanted is a regular file",
                    path));
  }
  // Into its final size at once: a growing string would leave copies behind.
  std::string content(maximum + 1, '\0');
  std::size_t filled = 0;
  while (filled < content.size()) {
    const ssize_t got = ::read(file.value, content.data() + filled, content.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error = errno;
      explicit_bzero(content.data(), filled);
      return failure(std::format("cannot read {}: {}", path, std::strerror(error)));
    }
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  if (filled > maximum) {
    explicit_bzero(content.data(), filled);
    return failure(std::format("{} has more than {} bytes: is it the right file?", path, maximum));
  }
  content.resize(filled);
  return content;
}

bool may_be_opened(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) != 0 || S_ISREG(status.st_mode);
}

}  // namespace nearfield
