// A stdio file that closes itself, and the words for what went wrong with one.
#pragma once

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "cache/base/error.h"

namespace nearfield::cache::sim {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

inline std::unexpected<Error> file_failure(const std::string& path, const char* what) {
  return failure(path + ": " + what + ": " + std::strerror(errno));
}

}  // namespace nearfield::cache::sim
