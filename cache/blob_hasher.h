// BlobHasher: the running SHA-256 of a blob's gapless beginning. 120 bytes, kept only until the
// digest is known.
#pragma once

#include <nettle/sha2.h>

#include <cstdint>

namespace nearfield::cache {

class BlobHasher {
 public:
  BlobHasher() { sha256_init(&context); }

  sha256_ctx context;
  std::uint64_t hashed_bytes = 0;
};

}  // namespace nearfield::cache
