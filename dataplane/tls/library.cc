#include "dataplane/tls/library.h"

#include <mbedtls/error.h>
#include <psa/crypto.h>

#include <array>
#include <format>
#include <mutex>

#include "cache/base/bounded_file.h"
#include "dataplane/tls/point_multiplication.h"

namespace nearfield::tls {

Result<void> start_library() {
  static std::once_flag once;
  static psa_status_t status = PSA_SUCCESS;
  std::call_once(once, [] {
    wipe_freed_numbers();
    status = psa_crypto_init();
  });
  if (status != PSA_SUCCESS)
    return failure(std::format(
        "the TLS library does not start (psa_crypto_init: {}): no randomness or no memory",
        status));
  return {};
}

std::string library_error(int code) {
  std::array<char, 160> text{};
  mbedtls_strerror(code, text.data(), text.size());
  return std::format("{} (-0x{:04x})", text.data(), -code);
}

Result<std::string> read_small_file(const std::string& file, std::size_t maximum) {
  Result<std::string> content = read_bounded_file(file, maximum);
  if (content) content->push_back('\0');  // in place
  return content;
}

}  // namespace nearfield::tls
