// Library: starting mbedTLS and its errors as text. Internal to handshakes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "cache/base/error.h"

namespace nearfield::tls {

// Starts the library's key store (TLS 1.3 needs it), once; any thread, as often as one likes.
Result<void> start_library();

// "X509 - The CRT/CRL/CSR format is invalid (-0x2180)".
std::string library_error(int code);

inline std::span<const std::byte> as_bytes(const unsigned char* bytes, std::size_t count) {
  return {reinterpret_cast<const std::byte*>(bytes), count};
}
inline const unsigned char* as_chars(const std::byte* bytes) {
  return reinterpret_cast<const unsigned char*>(bytes);
}
inline unsigned char* as_chars(std::byte* bytes) { return reinterpret_cast<unsigned char*>(bytes); }

// The whole file, at most `maximum` bytes, with a final null byte appended (the library's PEM
// parsers want it). The caller wipes what is secret.
Result<std::string> read_small_file(const std::string& file, std::size_t maximum);

}  // namespace nearfield::tls
