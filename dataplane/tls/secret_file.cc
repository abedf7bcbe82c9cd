// The group may read: that is how several programs share a key.
#include "dataplane/tls/secret_file.h"

#include <sys/stat.h>

#include <format>

namespace nearfield::tls {

std::string exposure_warning(std::string_view what, const std::string& file) {
  struct stat status{};
  if (::stat(file.c_str(), &status) != 0 || (status.st_mode & (S_IROTH | S_IWOTH)) == 0) return {};
  return std::format("the {} {} can be read or written by everyone: chmod o-rw it", what, file);
}

}  // namespace nearfield::tls
