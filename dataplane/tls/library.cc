#include "dataplane/tls/library.h"

#include <fcntl.h>
#include <mbedtls/error.h>
#include <psa/crypto.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <mutex>

#include "dataplane/tls/point_multiplication.h"
#include "dataplane/tls/secrets.h"

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
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return failure(std::format("cannot open {}: {}; check the path and its permissions", file,
                               std::strerror(errno)));
  // Read into its final size at once: a growing string would leave copies of a key behind.
  std::string content(maximum + 1, '\0');
  std::size_t filled = 0;
  ssize_t got = 0;
  while (filled < content.size() &&
         ((got = ::read(descriptor, content.data() + filled, content.size() - filled)) > 0 ||
          (got < 0 && errno == EINTR)))
    if (got > 0) filled += static_cast<std::size_t>(got);
  const int error = errno;
  ::close(descriptor);
  const auto drop = [&] {
    wipe(std::as_writable_bytes(std::span(content.data(), content.size())));
  };
  if (got < 0) {
    drop();
    return failure(std::format("cannot read {}: {}", file, std::strerror(error)));
  }
  if (filled > maximum) {
    drop();
    return failure(std::format("{} has more than {} bytes: is it the right file?", file, maximum));
  }
  content.resize(filled + 1);  // in place; the byte after the content is null already
  return content;
}

}  // namespace nearfield::tls
