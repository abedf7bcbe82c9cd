// Files that are read whole: keys, certificates. Bounded, and never waited for: what somebody named
// by mistake, a pipe that nobody writes to or a device without an end, is refused and not read.
#pragma once

#include <cstddef>
#include <string>

#include "cache/base/error.h"

namespace nearfield {

// All of the regular file `path`, at most `maximum` bytes. Its bytes are in one place only, so that
// a caller for whom they are secret can wipe them: the string has room for a byte more without
// being copied. The error begins with what failed and names the file.
Result<std::string> read_bounded_file(const std::string& path, std::size_t maximum);

// False when `path` is something, and not a regular file: to open it might mean to wait.
bool may_be_opened(const std::string& path);

}  // namespace nearfield
