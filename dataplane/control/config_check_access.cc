#include <format>
#include <utility>

#include "dataplane/control/config_check_files.h"
#include "dataplane/tls/secret_file.h"

namespace nearfield::control {

std::shared_ptr<const access::AccessPolicy> read_access(const access::AccessOptions& options,
                                                        const ComplainOfKey& complain,
                                                        std::vector<std::string>& warnings) {
  auto policy =
      access::AccessPolicy::make_or_tell(options, [&](std::string_view place, std::string message) {
        complain(std::format("access.{}", place), std::move(message));
      });
  if (policy == nullptr) return nullptr;
  // Public keys may be read by anyone.
  for (const std::string& file : policy->files_with_secrets()) {
    std::string warning = tls::exposure_warning("key set with secrets", file);
    if (!warning.empty()) warnings.push_back(std::move(warning));
  }
  return policy;
}

}  // namespace nearfield::control
